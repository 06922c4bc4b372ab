/* Where the bytes are cut must not matter, and no more may come out than went in. */
#include "image/tar.h"

#include <stdlib.h>

static int count(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	(void)p;
	(void)e;
	*(size_t *)ctx += n;
	return 0;
}

static int scan(const uint8_t *data, size_t n, size_t step, size_t *out)
{
	struct tar t = TAR_INIT(count, out);
	int r = 0;

	for (size_t at = 0; at < n && !r; at += step)
		r = tar_feed(&t, data + at, n - at < step ? n - at : step, NULL);
	r = r ?: tar_finish(&t, NULL);
	tar_deinit(&t);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t whole = 0, pieces = 0;

	if (scan(data, n, n ? n : 1, &whole) != scan(data, n, 7, &pieces) || whole > n || pieces > n)
		abort();
	return 0;
}
