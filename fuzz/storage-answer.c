/* What a child says of a disk is either refused or safe: printable, its UUID a plain file name; and said again it is the same. */
#include "storage/answer.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct answer a, again;
	AUTO_BUF struct buf line = { 0 }, same = { 0 };

	if (answer_decode((struct str){ (const char *)data, n }, &a, NULL))
		return 0;
	for (size_t i = 0; a.text[i]; i++)
		if (a.text[i] < ' ' || a.text[i] > '~')
			abort();
	if (a.uuid[0] && !answer_uuid_ok(str_c(a.uuid)))
		abort();
	if (answer_encode(&a, &line) || answer_decode(buf_str(&line), &again, NULL) || answer_encode(&again, &same) ||
	    !str_eq(buf_str(&line), buf_str(&same)))
		abort();
	return 0;
}
