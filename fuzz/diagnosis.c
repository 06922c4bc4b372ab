/* Whatever is a diagnosis has one spelling, and signed it is the same one again. */
#include "api/diagnosis.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct key key;
	struct diagnosis d, again;
	AUTO_BUF struct buf bytes = { 0 };
	char text[DIAGNOSIS_SIZE];

	if (!key.pub.role && key_new(KEY_NODE, &key))
		abort();
	(void)!diagnosis_open((struct str){ (const char *)data, n }, &d, NULL);
	if (diagnosis_decode(data, n, &d))
		return 0;
	diagnosis_encode(&d, n, &bytes);
	if (bytes.len != n || memcmp(bytes.p, data, n))
		abort();
	if (n > DIAGNOSIS_LONG - KEY_SIG_LEN)
		return 0;
	d.node = key.pub;
	if (diagnosis_sign(&d, &key, DIAGNOSIS_LONG, text) || diagnosis_open(str_c(text), &again, NULL) || memcmp(&d, &again, sizeof(d)))
		abort();
	return 0;
}
