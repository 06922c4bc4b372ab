#include "init/cmdline.h"

#include "base/parse.h"

static bool set_debug(struct cmdline *c, struct str value)
{
	if (value.p)
		return false;
	c->is_debug = true;
	return true;
}

static bool set_hostname(struct cmdline *c, struct str value)
{
	if (!value.p || !name_ok(value))
		return false;
	memcpy(c->hostname, value.p, value.n);
	c->hostname[value.n] = '\0';
	return true;
}

/* Of the uplinks: cards.c reads them. */
static bool leave(struct cmdline *c, struct str value)
{
	(void)c;
	return value.p;
}

static const struct {
	struct str name;
	bool (*set)(struct cmdline *c, struct str value); /* value.p is NULL without "=" */
} words[] = {
	{ S("zos.debug"), set_debug },
	{ S("zos.hostname"), set_hostname },
	{ S("zos.uplink"), leave },
	{ S("zos.dns"), leave },
};

static bool word_apply(struct cmdline *c, struct str word)
{
	struct str value = word, name;

	str_next(&value, '=', &name);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_eq(words[i].name, name))
			return words[i].set(c, value);
	return false;
}

unsigned cmdline_parse(struct cmdline *ret, struct str text, struct str *ret_bad)
{
	struct str rest = text, word;
	unsigned n_bad = 0;

	*ret = (struct cmdline){ .hostname = "zos" };
	if (text.n && text.p[text.n - 1] == '\n')
		rest.n--;
	while (str_next(&rest, ' ', &word)) {
		if (!str_starts(word, S("zos.")) || word_apply(ret, word))
			continue;
		if (!n_bad++)
			*ret_bad = word;
	}
	return n_bad;
}
