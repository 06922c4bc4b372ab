/* A recovery token from a disk's header is either refused or names a key and a sealed secret of their lengths, and comes back as it was. */
#include "storage/escrow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct escrow x = { 0 }, again = { 0 };
	AUTO_BUF struct buf text = { 0 };

	if (escrow_decode((struct str){ (const char *)data, n }, &x, NULL))
		return 0;
	if (!x.is_there || strlen(x.key) != SEAL_DIGEST_LEN || strlen(x.sealed) != RECOVERY_SEALED_TEXT_LEN)
		abort();
	if (escrow_encode(&x, "1", &text) || escrow_decode(buf_str(&text), &again, NULL) || memcmp(&x, &again, sizeof(x)))
		abort();
	return 0;
}
