#include "image/pull.h"

#include "image/registry.h"
#include "test/t.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void lines(void)
{
	static const struct {
		const char *in;
		int r;
	} rows[] = {
		{ "progress pulling 1 2", 0 },  { "progress converting 18446744073709551615 0", 0 },
		{ "done sha256:" HEX, 0 },      { "failed 2 no such thing", 0 },
		{ "failed 2 ", 0 },             { "", -EBADMSG },
		{ "progress", -EBADMSG },       { "progress flying 1 2", -EBADMSG },
		{ "progress pulling 1", -EBADMSG }, { "progress pulling -1 2", -EBADMSG },
		{ "progress pulling 1 2 3", -EBADMSG }, { "done sha256:" HEX "0", -EBADMSG },
		{ "done ../../x", -EBADMSG },   { "failed 0 x", -EBADMSG },
		{ "failed 99999 x", -EBADMSG }, { "failed 2", -EBADMSG },
		{ "doing x", -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pull_line l;

		T_CHECK(pull_line_decode(str_c(rows[i].in), &l) == rows[i].r, "'%s'", rows[i].in);
	}
}

static void challenges(void)
{
	static const struct {
		const char *in, *want; /* NULL = refused */
	} rows[] = {
		{ " Bearer realm=\"https://a/token\",service=\"s\"", "https://a/token?scope=repository%3Am%2Fapp%3Apull&service=s" },
		{ "bearer service=\"a b\", realm=\"https://a/t?x=1\"\r\n", "https://a/t?x=1&scope=repository%3Am%2Fapp%3Apull&service=a%20b" },
		{ "Bearer realm=\"http://a/token\"", NULL },
		{ "Bearer realm=\"file:///etc/passwd\"", NULL },
		{ "Bearer realm=\"https://a/to ken\"", NULL },
		{ "Bearer realm=\"https://a", NULL },
		{ "Bearer realm", NULL },
		{ "Bearer ", NULL },
		{ "Basic realm=\"x\"", NULL },
		{ "", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_BUF struct buf url = { 0 };
		int r = registry_challenge(str_c(rows[i].in), "m/app", &url);

		T_CHECK(rows[i].want ? !r && !strcmp(url.p, rows[i].want) : r == -EBADMSG, "'%s' gave %d '%s'", rows[i].in, r,
		        url.p ? url.p : "");
	}
}

int main(void)
{
	T_RUN(lines);
	T_RUN(challenges);
	return T_END();
}
