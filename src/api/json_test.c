/* What json_parse() takes at all, before any table looks at it. */
#include "api/json.h"

#include "test/t.h"

static void nested(struct buf *ret, const char *open, const char *close, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		buf_add(ret, str_c(open));
	buf_add(ret, S("1"));
	for (unsigned i = 0; i < depth; i++)
		buf_add(ret, str_c(close));
}

static void depth_has_an_end(void)
{
	static const struct {
		const char *open, *close;
		unsigned depth;
		int r;
	} rows[] = {
		{ "[", "]", 1000, 0 },
		{ "{\"a\":", "}", 1000, 0 },
		{ "[", "]", 10000, -EBADMSG },
		{ "{\"a\":", "}", 10000, -EBADMSG },
		{ "[{\"a\":", "}]", 10000, -EBADMSG },
		{ "[", "", 1000000, -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_BUF struct buf text = { 0 };
		AUTO_JSON sd_json_variant *v = NULL;
		struct err e = { 0 };

		nested(&text, rows[i].open, rows[i].close, rows[i].depth);
		T_CHECK(json_parse(buf_str(&text), &v, &e) == rows[i].r && !e.msg[0] == !rows[i].r, "row %zu: %s", i, e.msg);
	}
}

static void what_is_no_json(void)
{
	static const struct str rows[] = {
		S(""), S(" "), S("{"), S("{}{}"), S("{} x"), S("\"\xff\""), S("[1,]"), S("01"), S("nul"), S("{\"a\":1\0}")
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_JSON sd_json_variant *v = NULL;
		struct err e = { 0 };

		T_CHECK(json_parse(rows[i], &v, &e) == -EBADMSG && e.msg[0], "row %zu was taken", i);
	}
}

int main(void)
{
	T_RUN(depth_has_an_end);
	T_RUN(what_is_no_json);
	return T_END();
}
