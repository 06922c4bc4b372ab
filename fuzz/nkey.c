/* A key has one spelling: what parses must print as it was read. */
#include "ident/key.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str input = { (const char *)data, n };
	char text[KEY_TEXT_SIZE];
	struct key_pub pub;

	if (key_pub_parse(input, &pub))
		return 0;
	key_pub_format(text, &pub);
	if (!str_eq(str_c(text), input))
		abort();
	return 0;
}
