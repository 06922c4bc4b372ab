/* What is taken as a qcow2 names no other file: with such a name in it, it would not be. What is taken is a disk that a layer can go over. */
#include "machine/diskfile.h"

#include <stdlib.h>
#include <string.h>

enum { BACKING_OFFSET = 15, INCOMPATIBLE_LAST = 79, DATA_FILE = 1 << 2 };

static int is_taken(const uint8_t *head, size_t n)
{
	struct diskfile d;

	return !diskfile_decode(head, n, 4096, &d, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t head[DISKFILE_HEAD];
	struct diskfile d;

	if (n > sizeof(head) || diskfile_decode(data, n, 4096, &d, NULL))
		return 0;
	if (!d.size_bytes || d.size_bytes % 512 || d.size_bytes > DISKFILE_SIZE_MAX)
		abort();
	if (d.format == DISKFILE_RAW)
		return 0;
	memcpy(head, data, n);
	head[BACKING_OFFSET] |= 1;
	if (is_taken(head, n))
		abort();
	memcpy(head, data, n);
	if (n > INCOMPATIBLE_LAST && head[7] == 3) {
		head[INCOMPATIBLE_LAST] |= DATA_FILE;
		if (is_taken(head, n))
			abort();
	}
	return 0;
}
