/* What a node that reaches no hub says by the code on its screen: checked and printed, without any hub. */
#include "cli/command.h"

#include "api/diagnosis.h"
#include "base/file.h"
#include "base/parse.h"

#include <fcntl.h>
#include <stdio.h>

enum { TEXT_MAX = 4096, WORDS_MAX = 16 /* of a text that was broken into lines */ };

/* The text itself, in as many words as it came, or the file that has it. */
static int text_read(const char **words, struct buf *ret, struct err *e)
{
	if (!str_starts(str_c(words[0]), S(DIAGNOSIS_HEAD)))
		return file_read(AT_FDCWD, words[0], TEXT_MAX, ret, e);
	for (; *words; words++)
		buf_add(ret, str_c(*words));
	return buf_check(ret) ? err_set(e, -ENOMEM, "read the diagnosis: out of memory") : 0;
}

static const char *why(const struct diagnosis *d)
{
	return d->cause == DIAGNOSIS_HUB && d->n_words ? d->words[0] : diagnosis_why(d->cause);
}

/* The words behind those that say why. */
static size_t first_warning(const struct diagnosis *d)
{
	return d->cause == DIAGNOSIS_HUB && d->n_words ? 1 : 0;
}

static int strings_json(const struct diagnosis *d, sd_json_variant **ret_addresses, sd_json_variant **ret_warnings)
{
	int r = sd_json_variant_new_array(ret_addresses, NULL, 0);

	for (size_t i = 0; r >= 0 && i < d->n_addresses; i++) {
		char text[64];

		diagnosis_address_format(text, &d->addresses[i]);
		r = sd_json_variant_append_arrayb(ret_addresses, SD_JSON_BUILD_STRING(text));
	}
	if (r >= 0)
		r = sd_json_variant_new_array(ret_warnings, NULL, 0);
	for (size_t i = first_warning(d); r >= 0 && i < d->n_words; i++)
		r = sd_json_variant_append_arrayb(ret_warnings, SD_JSON_BUILD_STRING(d->words[i]));
	return r;
}

static int diagnosis_json(const struct diagnosis *d, const char *node, const char *version, const char *time, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL, *addresses = NULL, *warnings = NULL;
	int r = strings_json(d, &addresses, &warnings);

	if (r >= 0)
		r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("node", node), SD_JSON_BUILD_PAIR_STRING("time", time),
				   SD_JSON_BUILD_PAIR_UNSIGNED("up_s", UINT64_C(60) * d->up_min), SD_JSON_BUILD_PAIR_STRING("version", version),
				   SD_JSON_BUILD_PAIR_STRING("flavour", diagnosis_flavours[d->flavour]),
				   SD_JSON_BUILD_PAIR_BOOLEAN("approved", d->is_approved), SD_JSON_BUILD_PAIR_BOOLEAN("durable", d->is_durable),
				   SD_JSON_BUILD_PAIR_STRING("why", why(d)), SD_JSON_BUILD_PAIR_VARIANT("addresses", addresses),
				   SD_JSON_BUILD_PAIR_VARIANT("warnings", warnings));
	return r < 0 ? err_set(e, -ENOMEM, "print: out of memory") : out_json(v, e);
}

static void diagnosis_print(const struct diagnosis *d, const char *node, const char *version, const char *time)
{
	char up[16], address[64];

	format_duration(up, UINT64_C(60) * d->up_min);
	printf("node      %s\n", node);
	printf("signed    %s, by that node\n", time);
	printf("runs      Zero-OS %s %s, for %s\n", version, diagnosis_flavours[d->flavour], up);
	printf("farm      %s\n", d->is_approved ? "has approved it" : "has not approved it");
	printf("hub       not reached: %s\n", why(d));
	for (size_t i = 0; i < d->n_addresses; i++) {
		diagnosis_address_format(address, &d->addresses[i]);
		printf("%s%s\n", i ? "          " : "address   ", address);
	}
	for (size_t i = first_warning(d); i < d->n_words; i++)
		printf("%s%s\n", i > first_warning(d) ? "          " : "warnings  ", d->words[i]);
}

static int node_diagnose(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	char node[KEY_TEXT_SIZE], version[16], time[24];
	struct diagnosis d;
	int r = text_read(words, &text, e);

	(void)args;
	if (r || (r = diagnosis_open(buf_str(&text), &d, e)))
		return r;
	key_pub_format(node, &d.node);
	snprintf(version, sizeof(version), "%u.%u.%u", d.version[0], d.version[1], d.version[2]);
	format_time(time, d.time_s);
	if (c->json)
		return diagnosis_json(&d, node, version, time, e);
	diagnosis_print(&d, node, version, time);
	return 0;
}

const struct command diagnose_commands[] = {
	{ .name = "node diagnose",
	  .words = "TEXT|FILE",
	  .help = "check and print what the code on the screen of a node says that reaches no hub",
	  .min_words = 1,
	  .max_words = WORDS_MAX,
	  .run = node_diagnose },
};
const size_t n_diagnose_commands = ARRAY_LEN(diagnose_commands);
