/* Whatever is found in an EFI program lies inside it, and more bytes behind the program change nothing. */
#include "cli/uki.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str found[UKI_PARTS], again[UKI_PARTS];
	char *longer;

	if (uki_decode(data, n, found))
		return 0;
	for (size_t i = 0; i < UKI_PARTS; i++)
		if (found[i].p < (const char *)data || found[i].n > n || (size_t)(found[i].p - (const char *)data) > n - found[i].n)
			abort();
	longer = calloc(1, n + 1);
	memcpy(longer, data, n);
	if (uki_decode(longer, n + 1, again))
		abort();
	for (size_t i = 0; i < UKI_PARTS; i++)
		if (again[i].n != found[i].n || again[i].p - longer != found[i].p - (const char *)data)
			abort();
	free(longer);
	return 0;
}
