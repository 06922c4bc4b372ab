/* What a disk remembers of its scrubs is refused, or comes back as it was and can be acted on. */
#include "storage/care.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct care_scrub again = { 0 };
	struct care c = { 0 };
	AUTO_BUF struct buf text = { 0 };

	if (care_scrub_decode((struct str){ (const char *)data, n }, &c.scrub, NULL))
		return 0;
	if (care_scrub_encode(&c.scrub, &text) || care_scrub_decode(buf_str(&text), &again, NULL) || memcmp(&c.scrub, &again, sizeof(again)))
		abort();
	if (c.scrub.at_bytes && !care_scrub_is_due(&c, 0, 0))
		abort();
	return 0;
}
