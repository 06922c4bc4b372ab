#include "base/parse.h"

#include "base/file.h"
#include "test/t.h"

static void sizes(void)
{
	static const struct {
		const char *in;
		int r;
		uint64_t want;
	} rows[] = {
		{ "0", 0, 0 },
		{ "10", 0, 10 },
		{ "4KiB", 0, 4096 },
		{ "3GiB", 0, 3ull << 30 },
		{ "16777215TiB", 0, 16777215ull << 40 },
		{ "16777216TiB", -ERANGE, 7 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 7 },
		{ "", -EINVAL, 7 },
		{ "KiB", -EINVAL, 7 },
		{ "4kib", -EINVAL, 7 },
		{ "4 KiB", -EINVAL, 7 },
		{ "-4", -EINVAL, 7 },
		{ "1.5GiB", -EINVAL, 7 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t got = 7;
		int r = parse_bytes(str_c(rows[i].in), &got);

		T_CHECK(r == rows[i].r && got == rows[i].want, "'%s' gave %d, %llu", rows[i].in, r, (unsigned long long)got);
	}
}

static void durations_and_numbers(void)
{
	uint64_t v = 7;

	T_CHECK(!parse_duration(S("250ms"), &v) && v == 250, "250ms");
	T_CHECK(!parse_duration(S("7d"), &v) && v == 604800000, "7d");
	T_CHECK(parse_duration(S("7"), &v) == -EINVAL && v == 604800000, "a duration names its unit");
	T_CHECK(!parse_u64(S("65535"), 65535, &v) && v == 65535, "at the maximum");
	T_CHECK(parse_u64(S("65536"), 65535, &v) == -ERANGE, "one past it");
	T_CHECK(parse_u64(S("12x"), 65535, &v) == -EINVAL, "text behind");
}

static void times(void)
{
	static const struct {
		const char *in;
		int r;
	} rows[] = {
		{ "2026-01-31T12:00:00Z", 0 },       { "2024-02-29T00:00:00Z", 0 },
		{ "2026-02-29T00:00:00Z", -EINVAL }, { "2026-04-31T00:00:00Z", -EINVAL },
		{ "2026-01-31 12:00:00Z", -EINVAL }, { "2026-01-31T12:00:00", -EINVAL },
		{ "2026-01-31T24:00:00Z", -EINVAL }, { "", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t t = 0;
		char again[24] = "";
		int r = parse_utc(str_c(rows[i].in), &t);

		T_CHECK(r == rows[i].r, "'%s' gave %d", rows[i].in, r);
		if (!r)
			format_time(again, t);
		T_CHECK(r || !strcmp(again, rows[i].in), "'%s' became '%s'", rows[i].in, again);
	}
}

static void base64_is_canonical(void)
{
	static const struct {
		const char *in, *want; /* NULL: refused */
	} rows[] = {
		{ "", "" },      { "Zg==", "f" }, { "Zm8=", "fo" }, { "Zm9v", "foo" },  { "Zm9vYg==", "foob" }, { "Zh==", NULL }, { "Zm9=", NULL },
		{ "Zg=", NULL }, { "Zg", NULL },  { "Z===", NULL }, { "Zm9v\n", NULL }, { "Zg==Zg==", NULL },   { "Zm-v", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_BUF struct buf got = { 0 }, again = { 0 };
		int r = parse_base64(str_c(rows[i].in), &got);

		T_CHECK(rows[i].want ? !r && str_eq(buf_str(&got), str_c(rows[i].want)) : r == -EINVAL && !got.len, "'%s' gave %d", rows[i].in, r);
		format_base64(&again, got.p, got.len);
		T_CHECK(r || str_eq(buf_str(&again), str_c(rows[i].in)), "'%s' written again", rows[i].in);
	}
}

static void base64_and_hex_round_trip(void)
{
	for (size_t n = 0; n < 100; n++) {
		uint8_t bytes[100], back[100];
		AUTO_BUF struct buf text = { 0 }, raw = { 0 }, hex = { 0 };

		random_bytes(bytes, sizeof(bytes));
		format_base64(&text, bytes, n);
		T_CHECK(!parse_base64(buf_str(&text), &raw) && raw.len == n && (!n || !memcmp(raw.p, bytes, n)), "base64 of %zu", n);
		format_hex(&hex, bytes, n);
		T_CHECK(!parse_hex(buf_str(&hex), back, n) && !memcmp(back, bytes, n), "hex of %zu", n);
	}
	T_CHECK(parse_hex(S("0G"), (uint8_t[1]){ 0 }, 1) == -EINVAL, "not a digit");
	T_CHECK(parse_hex(S("0A"), (uint8_t[1]){ 0 }, 1) == -EINVAL, "one spelling only");
}

static void names(void)
{
	static const struct {
		const char *in;
		bool ok;
	} rows[] = {
		{ "a", true },
		{ "web-1", true },
		{ "1", true },
		{ "", false },
		{ "-a", false },
		{ "Web", false },
		{ "a_b", false },
		{ "a.b", false },
		{ "a/b", false },
		{ "abcdefghijklmnopqrstuvwxyz0123456789", true },
		{ "abcdefghijklmnopqrstuvwxyz01234567890", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		T_CHECK(name_ok(str_c(rows[i].in)) == rows[i].ok, "'%s'", rows[i].in);
}

static void sizes_for_people(void)
{
	char text[16];

	format_size(text, 512);
	T_CHECK(!strcmp(text, "512 B"), "%s", text);
	format_size(text, 1536ull << 20);
	T_CHECK(!strcmp(text, "1.5 GiB"), "%s", text);
	format_size(text, 768ull << 20);
	T_CHECK(!strcmp(text, "768 MiB"), "%s", text);
}

/* RFC 4648 section 10, without the padding. */
static void base32_has_one_spelling(void)
{
	static const struct {
		const char *bytes, *text;
	} rows[] = { { "", "" }, { "f", "MY" }, { "fo", "MZXQ" }, { "foo", "MZXW6" }, { "foob", "MZXW6YQ" }, { "fooba", "MZXW6YTB" } };
	static const char *const wrong[] = { "M", "MYA", "MZ", "my", "M=", "M1" };
	uint8_t got[8];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = strlen(rows[i].bytes);
		char text[16];

		format_base32(text, (const uint8_t *)rows[i].bytes, n);
		T_CHECK(!strcmp(text, rows[i].text), "'%s' became '%s'", rows[i].bytes, text);
		T_CHECK(!parse_base32(str_c(rows[i].text), got, n) && !memcmp(got, rows[i].bytes, n), "'%s'", rows[i].text);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		T_CHECK(parse_base32(str_c(wrong[i]), got, 1) == -EINVAL, "'%s'", wrong[i]);
}

static void addresses_and_ranges(void)
{
	static const struct {
		const char *text;
		bool is_range, is_whole;
	} rows[] = {
		{ "10.20.1.0/24", true, true },  { "10.20.1.5/24", true, false },    { "0.0.0.0/0", true, true },     { "10.0.0.1/32", true, true },
		{ "10.20.1.0/33", false, 0 },    { "10.20.1/24", false, 0 },         { "10.20.1.0", false, 0 },       { "10.20.1.0/", false, 0 },
		{ "10.20.01.0/24", false, 0 },   { "10.20.1.256/24", false, 0 },     { " 10.20.1.0/24", false, 0 },   { "10.20.1.0/24/8", false, 0 },
		{ "fd00:1:2::/48", true, true }, { "fd00:1:2:3::/48", true, false }, { "fd00:1:2::/129", false, 0 },  { "fd00:1::2::/48", false, 0 },
		{ "::/0", true, true },          { "fd00::1/127", true, false },     { "fe80::1%eth0/64", false, 0 }, { "", false, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[RANGE6_TEXT_SIZE] = "";
		bool whole = false;
		struct range4 v4;
		struct range6 v6;
		int r;

		if (strchr(rows[i].text, ':')) {
			if (!(r = parse_range6(str_c(rows[i].text), &v6))) {
				format_range6(text, &v6);
				whole = range6_is_whole(&v6);
			}
		} else if (!(r = parse_range4(str_c(rows[i].text), &v4))) {
			format_range4(text, &v4);
			whole = range4_is_whole(&v4);
		}
		T_CHECK(!r == rows[i].is_range, "'%s' gave %d", rows[i].text, r);
		T_CHECK(r || (!strcmp(text, rows[i].text) && whole == rows[i].is_whole), "'%s' became '%s'", rows[i].text, text);
	}
}

static void ranges_in_ranges(void)
{
	static const struct {
		const char *outer, *inner;
		bool has;
	} rows[] = {
		{ "10.0.0.0/8", "10.20.1.0/24", true },     { "10.0.0.0/8", "10.0.0.0/8", true },        { "10.20.1.0/24", "10.0.0.0/8", false },
		{ "10.20.0.0/15", "10.21.0.0/24", true },   { "10.20.0.0/15", "10.22.0.0/24", false },   { "0.0.0.0/0", "192.168.1.1/32", true },
		{ "172.16.0.0/12", "172.31.1.0/24", true }, { "172.16.0.0/12", "172.32.1.0/24", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct range4 outer, inner;

		T_NEED(!parse_range4(str_c(rows[i].outer), &outer) && !parse_range4(str_c(rows[i].inner), &inner), "ranges");
		T_CHECK(range4_has(&outer, &inner) == rows[i].has, "%s in %s", rows[i].inner, rows[i].outer);
	}
}

static void macs(void)
{
	static const struct {
		const char *text;
		int r;
	} rows[] = {
		{ "52:54:00:ab:cd:ef", 0 },        { "52:54:00:AB:CD:EF", 0 },
		{ "52:54:00:ab:cd:e", -EINVAL },   { "52:54:00:ab:cd:ef:", -EINVAL },
		{ "52-54-00-ab-cd-ef", -EINVAL },  { "52:54:00:ab:cd:eg", -EINVAL },
		{ "5254:00:ab:cd:ef:1", -EINVAL }, { "", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t got[6] = { 7 };
		int r = parse_mac(str_c(rows[i].text), got);

		T_CHECK(r == rows[i].r && !memcmp(got, r ? "\7\0\0\0\0\0" : "\x52\x54\0\xab\xcd\xef", 6), "'%s' gave %d", rows[i].text, r);
	}
}

int main(void)
{
	T_RUN(sizes);
	T_RUN(durations_and_numbers);
	T_RUN(times);
	T_RUN(base64_is_canonical);
	T_RUN(base64_and_hex_round_trip);
	T_RUN(names);
	T_RUN(sizes_for_people);
	T_RUN(base32_has_one_spelling);
	T_RUN(addresses_and_ranges);
	T_RUN(ranges_in_ranges);
	T_RUN(macs);
	return T_END();
}
