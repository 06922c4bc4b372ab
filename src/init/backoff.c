#include "init/backoff.h"

uint64_t backoff_next(struct backoff *b, uint64_t ran_ms, uint32_t random)
{
	uint64_t delay_ms = BACKOFF_FIRST_MS;

	if (ran_ms >= BACKOFF_GOOD_RUN_MS)
		b->failures = 0;
	if (!b->failures++)
		return 0;
	for (unsigned i = 2; i < b->failures && delay_ms < BACKOFF_MAX_MS; i++)
		delay_ms *= 2;
	if (delay_ms > BACKOFF_MAX_MS)
		delay_ms = BACKOFF_MAX_MS;
	return delay_ms - random % (delay_ms / 4); /* up to a quarter earlier: services that fail together part */
}
