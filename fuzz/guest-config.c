/* A configuration that is taken has one spelling only. */
#include "sys/guest_wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_BUF struct buf again = { 0 };
	struct guest_config c;

	if (guest_config_decode(data, n, &c))
		return 0;
	if (guest_config_encode(&c, &again, NULL) || again.len != GUEST_HEAD + n || memcmp(again.p + GUEST_HEAD, data, n))
		abort();
	return 0;
}
