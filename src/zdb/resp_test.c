#include "zdb/resp.h"

#include "test/t.h"

static struct resp_command c;

static const struct {
	const char *in, *words[4];
	size_t used; /* 0: all */
} good[] = {
	{ "*1\r\n$4\r\nPING\r\n", { "PING" } },
	{ "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n", { "SET", "k", "" } },
	{ "*2\r\n$3\r\nGET\r\n$4\r\n\r\n\r\n\r\n", { "GET", "\r\n\r\n" } },
	{ "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPI", { "PING" }, 14 },
	{ "PING\r\n", { "PING" } },
	{ "  set  k v \nGET k\n", { "set", "k", "v" }, 12 },
	{ "\r\n", { NULL } },
	{ "*0\r\n", { NULL } },
};

static const struct {
	const char *in, *why;
} bad[] = {
	{ "*-1\r\n", "multibulk length" },
	{ "*1025\r\n", "multibulk length" },
	{ "*99999999999999999999999999", "multibulk length" },
	{ "* 1\r\n", "multibulk length" },
	{ "*1\r\nPING\r\n", "expected a bulk string" },
	{ "*1\r\n$-1\r\n", "expected a bulk string" },
	{ "*1\r\n$8388609\r\n", "expected a bulk string" },
	{ "*1\r\n$3\r\nPING\r\n", "longer than it says" },
};

static void test_commands(void)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		const char *why = NULL;
		size_t used, n = 0;
		int r = resp_parse(str_c(good[i].in), &c, &used, &why);

		if (!T_CHECK(!r, "row %zu: %s", i, why ? why : "more"))
			continue;
		while (n < ARRAY_LEN(good[i].words) && good[i].words[n])
			n++;
		T_CHECK(c.n == n && used == (good[i].used ? good[i].used : strlen(good[i].in)), "row %zu: %zu words, %zu bytes", i, c.n, used);
		for (size_t k = 0; k < n && k < c.n; k++)
			T_CHECK(str_eq(c.words[k], str_c(good[i].words[k])), "row %zu, word %zu", i, k);
	}
}

static void test_each_part_of_one_wants_more(void)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		size_t all = good[i].used ? good[i].used : strlen(good[i].in), need;
		const char *why;

		for (size_t n = 0; n < all; n++)
			T_CHECK(resp_parse((struct str){ good[i].in, n }, &c, &need, &why) == RESP_MORE && need > n && need <= all,
				"row %zu, %zu bytes: %zu", i, n, need);
	}
}

static void test_what_is_no_command(void)
{
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *why = "none";
		size_t used;

		T_CHECK(resp_parse(str_c(bad[i].in), &c, &used, &why) == -EBADMSG && strstr(why, bad[i].why), "row %zu: %s", i, why);
	}
}

static void test_bounds(void)
{
	AUTO_BUF struct buf in = { 0 };
	const char *why;
	size_t used;

	buf_addf(&in, "*2\r\n$3\r\nSET\r\n$%d\r\n", RESP_WORD_MAX);
	T_CHECK(resp_parse(buf_str(&in), &c, &used, &why) == RESP_MORE && used == in.len + RESP_WORD_MAX + 2, "%zu", used);
	in.len = 0;
	while (in.len < RESP_INLINE_MAX)
		buf_add(&in, S("word "));
	T_CHECK(resp_parse(buf_str(&in), &c, &used, &why) == -EBADMSG, "a line without an end");
	in.len = 0;
	for (int i = 0; i <= RESP_WORDS_MAX; i++)
		buf_add(&in, S("w "));
	buf_add(&in, S("\n"));
	T_CHECK(resp_parse(buf_str(&in), &c, &used, &why) == -EBADMSG, "too many words");
}

static void test_replies(void)
{
	AUTO_BUF struct buf b = { 0 };

	resp_simple(&b, "OK");
	resp_error(&b, "Key not found");
	resp_number(&b, -12);
	resp_number(&b, INT64_MIN);
	resp_bulk(&b, S("a\r\nb"));
	resp_nil(&b);
	resp_array(&b, 0);
	T_CHECK(str_eq(buf_str(&b), S("+OK\r\n-Key not found\r\n:-12\r\n:-9223372036854775808\r\n$4\r\na\r\nb\r\n$-1\r\n*0\r\n")), "%s", b.p);
}

int main(void)
{
	T_RUN(test_commands);
	T_RUN(test_each_part_of_one_wants_more);
	T_RUN(test_what_is_no_command);
	T_RUN(test_bounds);
	T_RUN(test_replies);
	return T_END();
}
