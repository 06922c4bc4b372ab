#include "cli/command.h"

#include <stdio.h>

static int key_show(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_PROFILE struct profile p = PROFILE_NONE;
	AUTO_KEY struct key k = KEY_NONE;
	AUTO_JSON sd_json_variant *v = NULL;
	char text[KEY_TEXT_SIZE];
	int r;

	(void)args;
	(void)words;
	if ((r = profile_open(&p, e)) || (r = profile_key(&p, "user.seed", KEY_USER, true, &k, e)))
		return r;
	key_pub_format(text, &k.pub);
	if (!c->json)
		return printf("%s\n", text) < 0 ? -EIO : 0;
	if (sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("key", text)) < 0)
		return err_set(e, -ENOMEM, "print: out of memory");
	return out_json(v, e);
}

const struct command key_commands[] = {
	{ .name = "key", .help = "print your public key (made on first use)", .run = key_show },
};
const size_t n_key_commands = ARRAY_LEN(key_commands);
