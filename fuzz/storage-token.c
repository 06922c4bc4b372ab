/* A token from a disk's header is either refused or keeps one key, and comes back as it was. */
#include "storage/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct token t = { 0 }, again = { 0 };
	AUTO_BUF struct buf text = { 0 };

	if (token_decode((struct str){ (const char *)data, n }, &t, NULL))
		return 0;
	if (t.key == ANSWER_KEY_NONE || (t.key == ANSWER_KEY_TPM) != (t.sealed_len > 0) || t.sealed_len > sizeof(t.sealed))
		abort();
	if (token_encode(&t, &text) || token_decode(buf_str(&text), &again, NULL) || memcmp(&t, &again, sizeof(t)))
		abort();
	return 0;
}
