/* Whatever uacme says, and a server through it: what people are told of it is one printable line, and a bundle that was made of it is read again as the same. */
#include "gateway/order.h"

#include <stdlib.h>

#define NAME "www.example.org"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct buf key;
	const struct str said = { (const char *)data, n };
	AUTO_BUF struct buf bundle = { .limit = CERT_BUNDLE_MAX };
	struct cert_times times, again;
	char why[ORDER_WHY_SIZE];
	struct err e = { 0 };

	order_read_why(said, why);
	for (size_t i = 0; !i || why[i]; i++)
		if (why[i] < ' ' || why[i] > '~')
			abort();
	if (!key.len && cert_key_make(&key, &e))
		abort();
	if (!cert_bundle_make(buf_str(&key), said, NAME, 1, &bundle, &times, &e) &&
	    (cert_bundle_read(buf_str(&bundle), NAME, &again, &e) || again.until_s != times.until_s))
		abort();
	return 0;
}
