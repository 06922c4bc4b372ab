/* How long to wait before the next try: not at all the first time, then doubling up to a cap, with jitter. */
#pragma once
#include <stdint.h>

enum {
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MAX_MS = 30000,
	BACKOFF_GOOD_RUN_MS = 10000, /* whoever ran this long starts afresh */
};

struct backoff {
	unsigned failures; /* in a row */
};

/* RAN_MS: how long the failed run lasted. RANDOM: any 32 random bits. Returns the delay in ms. */
uint64_t backoff_next(struct backoff *b, uint64_t ran_ms, uint32_t random);
