/* What a key-value store says. A part of an answer is never taken for another answer than the whole. */
#include "base/err.h"
#include "cli/bulk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size }, whole, part;
	int r = bulk_read(in, &whole);

	if (r < 0)
		return 0;
	if (r != BULK_MORE)
		BUG_ON(whole.p < in.p || whole.p + whole.n > in.p + in.n);
	for (size_t n = 0; n < size; n++) {
		int k = bulk_read((struct str){ in.p, n }, &part);

		BUG_ON(k != BULK_MORE && (k != r || part.p != whole.p || part.n != whole.n));
	}
	return 0;
}
