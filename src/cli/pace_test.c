#include "cli/pace.h"

#include "test/t.h"

static void the_rest_takes_as_long_as_what_is_done(void)
{
	static const struct {
		uint64_t done, total, elapsed_ms, want_s;
	} rows[] = {
		{ 50, 100, 10000, 10 },
		{ 1, 4, 2000, 6 },
		{ 100, 100, 10000, 0 },
		{ 1ull << 50, 1ull << 52, 3600000, 10800 }, /* no product of these fits */
		{ 0, 100, 10000, PACE_UNKNOWN },
		{ 50, 100, 1000, PACE_UNKNOWN }, /* it has only begun */
		{ 101, 100, 10000, PACE_UNKNOWN },
		{ 50, 0, 10000, PACE_UNKNOWN }, /* how much it is, is not known */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t got = pace_left_s(rows[i].done, rows[i].total, rows[i].elapsed_ms);

		T_CHECK(got == rows[i].want_s, "row %zu: %llu", i, (unsigned long long)got);
	}
}

int main(void)
{
	T_RUN(the_rest_takes_as_long_as_what_is_done);
	return T_END();
}
