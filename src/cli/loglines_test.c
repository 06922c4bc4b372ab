#include "cli/loglines.h"
#include "test/t.h"

#define AT_9 "2026-01-31T09:00:00Z stdout nine\n"
#define AT_10 "2026-01-31T10:00:00Z stderr ten\n"
#define AT_11 "2026-01-31T11:00:00Z stdout \n"

/* Whatever the pieces in which it arrives. */
static void lines_from_before_are_left_out(void)
{
	static const struct {
		const char *since, *in, *want;
	} rows[] = {
		{ "2026-01-31T10:00:00Z", AT_9 AT_10 AT_11, AT_10 AT_11 },
		{ "2026-01-31T09:00:00Z", AT_9 AT_10, AT_9 AT_10 },
		{ "2026-01-31T10:00:01Z", AT_9 AT_10, "" },
		{ "1h", AT_9 AT_10 AT_11, AT_10 AT_11 }, /* it is eleven */
		{ "10m", AT_9 AT_11 AT_10, AT_11 },
		{ "10m", "no time\n" AT_9 "\n", "no time\n\n" },
		{ "10m", AT_9 "2026-01-31T11:00:00Z stdout no end", "2026-01-31T11:00:00Z stdout no end" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t piece = 1; piece <= 70; piece += 3) {
			struct loglines l = LOGLINES_ALL;
			AUTO_BUF struct buf got = { 0 };
			struct str rest = str_c(rows[i].in);
			int64_t now_s = 1769857200;
			struct err e = { 0 };

			T_CHECK(!loglines_since(&l, rows[i].since, now_s, &e), "%s", e.msg);
			while (rest.n) {
				size_t n = rest.n < piece ? rest.n : piece;

				loglines_add(&l, (struct str){ rest.p, n }, &got);
				rest = (struct str){ rest.p + n, rest.n - n };
			}
			T_CHECK(str_eq(buf_str(&got), str_c(rows[i].want)), "row %zu in pieces of %zu: '" STR_FMT "'", i, piece,
				STR_ARG(buf_str(&got)));
		}
}

static void a_wrong_time_is_refused(void)
{
	static const char *const rows[] = { "", "yesterday", "10", "-5m", "2026-13-01T00:00:00Z", "999999999d" };
	struct loglines l = LOGLINES_ALL;
	struct err e = { 0 };

	T_CHECK(!loglines_since(&l, "7d", 1769857200, &e), "%s", e.msg);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		T_CHECK(loglines_since(&l, rows[i], 1769857200, &e) == -EINVAL && strstr(e.msg, "--since"), "'%s'", rows[i]);
}

int main(void)
{
	T_RUN(lines_from_before_are_left_out);
	T_RUN(a_wrong_time_is_refused);
	return T_END();
}
