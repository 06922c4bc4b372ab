#include "base/ustar.h"

#include "test/t.h"

static void numbers_are_octal_or_binary(void)
{
	static const struct {
		const char text[13];
		int r;
		uint64_t want;
	} rows[] = {
		{ "00000000017", 0, 15 },
		{ "     17     ", 0, 15 },
		{ "", 0, 0 },
		{ "00000000018", -EBADMSG, 7 },
		{ "77777777777", 0, 077777777777 },
		{ "\x80\0\0\0\0\0\0\0\0\0\1\1", 0, 257 },
		{ "\x80\0\0\0\0\0\4\0\0\0\0\0", 0, 1ull << 42 },
		{ "\x80\0\0\0\0\0\4\0\0\0\0\1", -EBADMSG, 7 },
		{ "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", -EBADMSG, 7 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t got = 7;
		int r = ustar_number((const uint8_t *)rows[i].text, USTAR_SIZE_LEN, &got);

		T_CHECK(r == rows[i].r && (r || got == rows[i].want), "row %zu: %d, %llu", i, r, (unsigned long long)got);
	}
}

static void a_sum_stands_for_its_block(void)
{
	uint8_t block[USTAR_BLOCK] = "name";

	T_CHECK(!ustar_sum_ok(block) && !ustar_is_zero(block), "no sum yet");
	ustar_sum_set(block);
	T_CHECK(ustar_sum_ok(block), "set");
	block[511] ^= 1;
	T_CHECK(!ustar_sum_ok(block), "changed");
}

/* Around each length at which a digit more changes the length. */
static void records_count_their_own_length(void)
{
	static char value[10010];

	memset(value, '\n', sizeof(value)); /* a value may hold what ends a record */
	for (size_t n = 0; n < sizeof(value); n += n < 120 || (n > 980 && n < 1010) || n > 9980 ? 1 : 7) {
		AUTO_BUF struct buf b = { 0 };
		struct str rest, key, got;

		pax_put(&b, "k", (struct str){ value, n });
		pax_put(&b, "last", S("a=b"));
		rest = buf_str(&b);
		T_CHECK(pax_next(&rest, &key, &got) == PAX_RECORD && str_eq(key, S("k")) && got.n == n, "%zu bytes", n);
		T_CHECK(pax_next(&rest, &key, &got) == PAX_RECORD && str_eq(key, S("last")) && str_eq(got, S("a=b")), "behind %zu bytes", n);
		T_CHECK(pax_next(&rest, &key, &got) == PAX_END, "the end behind %zu bytes", n);
	}
}

static void records_that_are_none_are_refused(void)
{
	static const char *const rows[] = { "x",       "5 a=b",    "6 a=b",
					    "7 a=b\n", "5 a=b\n",  "0 a=b\n",
					    "6 abc\n", " 6 a=b\n", "99999999999999999999 a=b\n" };
	struct str key, value, good = S("6 a=b\n");

	T_CHECK(pax_next(&good, &key, &value) == PAX_RECORD && !good.n, "a good one");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str rest = str_c(rows[i]);

		T_CHECK(pax_next(&rest, &key, &value) == -EBADMSG, "%s", rows[i]);
	}
}

int main(void)
{
	T_RUN(numbers_are_octal_or_binary);
	T_RUN(a_sum_stands_for_its_block);
	T_RUN(records_count_their_own_length);
	T_RUN(records_that_are_none_are_refused);
	return T_END();
}
