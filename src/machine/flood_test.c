#include "machine/flood.h"

#include "base/cleanup.h"

#include "test/t.h"

enum { PIECE = 4096, START_MS = 5000 };

/* Says BYTES_S for SECONDS, in pieces, one as often as they come. Returns how many bytes were kept. */
static uint64_t say(struct flood *f, uint64_t bytes_s, uint64_t seconds)
{
	uint64_t n = bytes_s * seconds / PIECE, kept = 0;

	for (uint64_t i = 0; i < n; i++)
		kept += flood_keeps(f, PIECE, START_MS + i * seconds * 1000 / n) ? PIECE : 0;
	return kept;
}

static void what_is_moderate_is_kept(void)
{
	static const struct {
		uint64_t bytes_s, seconds;
	} rows[] = { { FLOOD_BURST_BYTES, 1 }, { FLOOD_KEEP_BYTES_S, 100 }, { FLOOD_KEEP_BYTES_S / 2, 3600 } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct flood f = FLOOD_NEW(START_MS);
		uint64_t kept = say(&f, rows[i].bytes_s, rows[i].seconds);

		T_CHECK(kept == rows[i].bytes_s * rows[i].seconds && !f.dropped_bytes, "row %zu: kept %llu", i, (unsigned long long)kept);
		T_CHECK(!flood_wait_ms(&f, START_MS + rows[i].seconds * 1000), "row %zu waits", i);
	}
}

static void a_flood_is_cut_to_the_rate(void)
{
	struct flood f = FLOOD_NEW(START_MS);
	uint64_t kept = say(&f, 2 << 20, 60), most = FLOOD_BURST_BYTES + 60ull * FLOOD_KEEP_BYTES_S;

	T_CHECK(kept <= most + PIECE && kept > most - 2 * PIECE, "kept %llu of at most %llu", (unsigned long long)kept, (unsigned long long)most);
	T_CHECK(kept + f.dropped_bytes == 60ull * (2 << 20), "every byte is kept or counted");
	f.dropped_bytes = 0;
	T_CHECK(flood_keeps(&f, PIECE, START_MS + 70000) && !f.dropped_bytes, "who is quiet again is heard again");
}

static void past_the_second_s_share_nothing_is_read(void)
{
	struct flood f = FLOOD_NEW(START_MS);

	for (int i = 0; i < FLOOD_READ_BYTES_S / PIECE - 1; i++)
		flood_keeps(&f, PIECE, START_MS + 200);
	T_CHECK(!flood_wait_ms(&f, START_MS + 200), "one piece is left");
	flood_keeps(&f, PIECE, START_MS + 200);
	T_CHECK(flood_wait_ms(&f, START_MS + 300) == 700, "%llu", (unsigned long long)flood_wait_ms(&f, START_MS + 300));
	T_CHECK(!flood_wait_ms(&f, START_MS + 1000), "the second is over");
	flood_keeps(&f, PIECE, START_MS + 1000);
	T_CHECK(f.read_bytes == PIECE && !flood_wait_ms(&f, START_MS + 1001), "a new one begins");
}

int main(void)
{
	T_RUN(what_is_moderate_is_kept);
	T_RUN(a_flood_is_cut_to_the_rate);
	T_RUN(past_the_second_s_share_nothing_is_read);
	return T_END();
}
