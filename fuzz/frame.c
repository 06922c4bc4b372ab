/* A message that is taken has one spelling only: encoding what was decoded gives the same bytes. */
#include "grid/frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct frame f;
	uint8_t again[FRAME_MAX];

	if (frame_decode(data, n, &f))
		return 0;
	memcpy(again, data, n);
	frame_encode(again, &f);
	if (memcmp(again, data, FRAME_HEAD) || (f.type == FRAME_DATA ? n != FRAME_HEAD + f.len : n != FRAME_HEAD))
		abort();
	return 0;
}
