/* However a guest's bytes are cut into pieces, the runner hears the same words; at most two, and never a READY after the end. */
#include "sys/guest_wire.h"

#include <stdlib.h>

enum { WORDS_MAX = 3 };

/* Feeds PIECE bytes at a time. Returns how many words came, or the refusal after them as -1 - words. */
static int hear(const uint8_t *data, size_t n, size_t piece, struct guest_word ret[static WORDS_MAX])
{
	struct guest_ear ear = { 0 };
	int heard = 0;

	for (size_t at = 0; at < n; at += piece) {
		struct str p = { (const char *)data + at, n - at < piece ? n - at : piece };
		int r;

		while ((r = guest_ear_take(&ear, &p, &ret[heard])) == GUEST_EAR_WORD)
			if (++heard == WORDS_MAX)
				abort();
		if (r < 0)
			return -1 - heard;
		if (p.n)
			abort();
	}
	return heard;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct guest_word whole[WORDS_MAX] = { 0 }, cut[WORDS_MAX] = { 0 };

	if (hear(data, n, n ? n : 1, whole) != hear(data, n, 1, cut) || memcmp(whole, cut, sizeof(whole)))
		abort();
	return 0;
}
