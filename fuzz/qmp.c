/* However the bytes of a monitor are cut, it says the same words; after each line the ear is empty. */
#include "machine/qmp.h"

#include "base/err.h"

#include <stdlib.h>

/* A digest of the words in what comes in pieces of STEP bytes. */
static uint64_t words(const uint8_t *data, size_t n, size_t step)
{
	static struct qmp_ear ear;
	uint64_t sum = 0;

	ear.n = 0;
	for (size_t at = 0; at < n; at += step) {
		struct str p = { (const char *)data + at, n - at < step ? n - at : step };

		while (p.n) {
			int word = qmp_take(&ear, &p);

			if (word < 0)
				return sum * 31 + 7;
			if (word > QMP_OTHER || (word != QMP_MORE && ear.n))
				abort();
			if (word != QMP_MORE)
				sum = sum * 31 + (uint64_t)word + 8;
		}
	}
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (words(data, n, 1) != words(data, n, n ? n : 1))
		abort();
	return 0;
}
