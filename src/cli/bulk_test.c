#include "cli/bulk.h"

#include "test/t.h"

static void test_answers(void)
{
	static const struct {
		struct str in;
		int r;
		const char *want;
	} rows[] = {
		{ S("$5\r\nhello\r\n"), 0, "hello" },
		{ S("$0\r\n\r\n"), 0, "" },
		{ S("$4\r\n\r\n\r\n\r\n"), 0, "\r\n\r\n" },
		{ S("-Command not supported\r\n"), BULK_ERROR, "Command not supported" },
		{ S("-\r\n"), BULK_ERROR, "" },
		{ S(""), BULK_MORE, NULL },
		{ S("$"), BULK_MORE, NULL },
		{ S("$5\r"), BULK_MORE, NULL },
		{ S("$5\r\nhello"), BULK_MORE, NULL },
		{ S("$5\r\nhello\r"), BULK_MORE, NULL },
		{ S("$16777216\r\n"), BULK_MORE, NULL },
		{ S("$16777217\r\n"), -EBADMSG, NULL }, /* one past the limit */
		{ S("$-1\r\n"), -EBADMSG, NULL },
		{ S("$\r\n"), -EBADMSG, NULL },
		{ S("$5\nhello\r\n"), -EBADMSG, NULL },
		{ S("$5\r\nhello!!"), -EBADMSG, NULL },
		{ S("\r\n"), -EBADMSG, NULL },
		{ S("+OK\r\n"), -EBADMSG, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str got = { 0 };
		int r = bulk_read(rows[i].in, &got);

		T_CHECK(r == rows[i].r, "row %zu: %d", i, r);
		T_CHECK(!rows[i].want || str_eq(got, str_c(rows[i].want)), "row %zu: '" STR_FMT "'", i, STR_ARG(got));
	}
}

static void test_a_line_without_end(void)
{
	char line[513];

	memset(line, '1', sizeof(line));
	line[0] = '$';
	T_CHECK(bulk_read((struct str){ line, 511 }, &(struct str){ 0 }) == BULK_MORE, "it may end yet");
	T_CHECK(bulk_read((struct str){ line, 512 }, &(struct str){ 0 }) == -EBADMSG, "it is waited for for ever");
}

int main(void)
{
	T_RUN(test_answers);
	T_RUN(test_a_line_without_end);
	return T_END();
}
