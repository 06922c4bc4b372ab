#include "api/pool.h"

#include "test/t.h"

#include <stdio.h>

#define FIRST "198.51.100.16"
enum : uint32_t { BASE = 0xc6336410, OTHER = 0xcb007107 }; /* 198.51.100.16, 203.0.113.7 */

static void ranges_are_strict(void)
{
	static const struct {
		const char *before, *range; /* BEFORE NULL: an empty pool */
		int r;
		size_t size; /* in all, then */
		const char *why;
	} rows[] = {
		{ NULL, FIRST "/29", 0, 8, "" },
		{ NULL, "203.0.113.7/32", 0, 1, "" },
		{ NULL, "198.51.100.0/24", 0, 256, "" },
		{ FIRST "/29", "198.51.100.24/29", 0, 16, "" },
		{ NULL, "198.51.100.0/23", -ENOSPC, 0, "at most 256 public addresses" },
		{ NULL, "198.51.101.0/23", -EBADMSG, 0, "does not begin where its prefix does" },
		{ NULL, "198.51.100.17/29", -EBADMSG, 0, "does not begin where its prefix does" },
		{ NULL, "10.1.2.0/28", -EBADMSG, 0, "private" },
		{ NULL, "100.127.0.0/28", -EBADMSG, 0, "private" },
		{ NULL, "0.0.0.0/0", -EBADMSG, 0, "private" },
		{ NULL, FIRST, -EBADMSG, 0, "is no IPv4 range" },
		{ NULL, FIRST "/33", -EBADMSG, 0, "is no IPv4 range" },
		{ NULL, "2001:db8::/124", -EBADMSG, 0, "is no IPv4 range" },
		{ NULL, "", -EBADMSG, 0, "is no IPv4 range" },
		{ FIRST "/29", FIRST "/29", -EBADMSG, 8, "name each once" },
		{ FIRST "/29", "198.51.100.23/32", -EBADMSG, 8, "name each once" },
		{ FIRST "/29", "198.51.100.0/24", -EBADMSG, 8, "name each once" },
		{ FIRST "/29", "203.0.113.0/24", -ENOSPC, 8, "at most 256 public addresses" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pool p = { 0 };
		struct err e = { 0 };
		int r;

		T_NEED(!rows[i].before || !pool_add(&p, str_c(rows[i].before), &e), "%s", e.msg);
		r = pool_add(&p, str_c(rows[i].range), &e);
		T_CHECK(r == rows[i].r && strstr(e.msg, rows[i].why), "row %zu: %d '%s'", i, r, e.msg);
		T_CHECK(pool_size(&p) == rows[i].size, "row %zu: %zu", i, pool_size(&p));
	}
}

static void so_many_ranges_and_no_more(void)
{
	struct pool p = { 0 };
	struct err e = { 0 };
	char range[24];

	for (int i = 0; i < POOL_RANGES_MAX; i++) {
		snprintf(range, sizeof(range), "198.51.100.%d/32", i);
		T_CHECK(!pool_add(&p, str_c(range), &e), "%s", e.msg);
	}
	T_CHECK(pool_add(&p, S("203.0.113.7/32"), &e) == -ENOSPC && strstr(e.msg, "at most 16 ranges"), "%s", e.msg);
}

static struct pool pool_make(void)
{
	struct pool p = { 0 };
	struct err e = { 0 };

	T_NEED(!pool_add(&p, S(FIRST "/30"), &e) && !pool_add(&p, S("203.0.113.7/32"), &e), "%s", e.msg);
	return p;
}

static void it_knows_its_own(void)
{
	const struct pool p = pool_make(), none = { 0 };

	T_CHECK(pool_has(&p, BASE) && pool_has(&p, BASE + 3) && pool_has(&p, OTHER), "its own");
	T_CHECK(!pool_has(&p, BASE - 1) && !pool_has(&p, BASE + 4) && !pool_has(&p, OTHER + 1) && !pool_has(&none, BASE), "others");
}

/* Places are 0 to 3 of the first range, and 4. */
static void the_place_is_the_id_s_or_the_next(void)
{
	static const struct {
		const char *id;
		uint32_t taken[5];
		size_t n;
		uint32_t want; /* 0 = all are taken */
	} rows[] = {
		{ "0000000000000000", { 0 }, 0, BASE },
		{ "0000000300000000", { 0 }, 0, BASE + 3 },
		{ "0000000400000000", { 0 }, 0, OTHER },
		{ "0000000500000000", { 0 }, 0, BASE },
		{ "ffffffff00000000", { 0 }, 0, BASE }, /* 4294967295 modulo 5 */
		{ "0000000300000000", { BASE + 3 }, 1, OTHER },
		{ "0000000300000000", { OTHER, BASE + 3 }, 2, BASE },
		{ "0000000100000000", { OTHER, BASE + 3, BASE + 1, BASE + 2 }, 4, BASE },
		{ "0000000100000000", { OTHER, BASE + 3, BASE + 1, BASE + 2, BASE }, 5, 0 },
		{ "0000000100000000", { BASE + 9 }, 1, BASE + 1 }, /* who has one that the farm took back takes none of these */
	};
	const struct pool p = pool_make(), none = { 0 };
	uint32_t got = 7;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int r = pool_pick(&p, rows[i].id, rows[i].taken, rows[i].n, &got);

		T_CHECK(rows[i].want ? !r && got == rows[i].want : r == POOL_EMPTY, "row %zu: %d %08x", i, r, got);
	}
	got = 7;
	T_CHECK(pool_pick(&none, "0000000100000000", NULL, 0, &got) == POOL_EMPTY && got == 7, "no pool, no address");
}

int main(void)
{
	T_RUN(ranges_are_strict);
	T_RUN(so_many_ranges_and_no_more);
	T_RUN(it_knows_its_own);
	T_RUN(the_place_is_the_id_s_or_the_next);
	return T_END();
}
