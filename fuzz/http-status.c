/* However an HTTP answer's first bytes are cut, its status is the same once it is there; what was refused stays refused
 * with more. */
#include "machine/health.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	int whole = health_http_status((struct str){ (const char *)data, n });

	if (whole > 0 && (whole < 100 || whole > 599))
		abort();
	for (size_t i = 0; i < n; i++) {
		int part = health_http_status((struct str){ (const char *)data, i });

		if (part && part != whole)
			abort();
	}
	return 0;
}
