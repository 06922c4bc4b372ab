/* How much of what a machine says is kept, and how much is read at all: no I/O, no clock.
 *
 * A burst is kept, and after it FLOOD_KEEP_BYTES_S; what is above that is read, counted and dropped, for then the
 * machine need not wait. Past FLOOD_READ_BYTES_S nothing is read until the second is over: a machine's noise must not
 * become its runner's work. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FLOOD_BURST_BYTES = 256 << 10, FLOOD_KEEP_BYTES_S = 64 << 10, FLOOD_READ_BYTES_S = 4 << 20, FLOOD_SECOND_MS = 1000 };

struct flood {
	int64_t credit_bytes; /* what may be kept; a piece that begins within it is kept whole */
	uint64_t seen_ms;     /* when it was last filled up */
	uint64_t second_ms;   /* when the second of READ_BYTES began */
	uint64_t read_bytes;
	uint64_t dropped_bytes; /* not told yet */
};
#define FLOOD_NEW(now_ms) { .credit_bytes = FLOOD_BURST_BYTES, .seen_ms = (now_ms), .second_ms = (now_ms) }

/* N bytes were read: whether to keep them. */
bool flood_keeps(struct flood *f, size_t n, uint64_t now_ms);
/* How long to read nothing; 0 = go on. */
uint64_t flood_wait_ms(const struct flood *f, uint64_t now_ms);
