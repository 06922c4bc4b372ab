/* Nothing that was not sealed for a place opens there, and what was opens as it was: the input is both the value and the forgery. */
#include "ident/seal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct key node, owner;
	static struct seal_key key;
	AUTO_SECRET struct buf clear = { 0 };
	AUTO_BUF struct buf sealed = { 0 };
	struct str input = { (const char *)data, n };
	struct seal_place at = { &owner.pub, &node.pub, "name" };

	if (!node.pub.role && (key_new(KEY_NODE, &node) || key_new(KEY_USER, &owner) || seal_key_derive(&node, &key)))
		abort();
	if (!seal_open(&key, &at, input, &clear))
		abort();
	if (seal_value(key.pub, &at, input, &sealed))
		return 0;
	if (seal_open(&key, &at, buf_str(&sealed), &clear) || !str_eq(buf_str(&clear), input))
		abort();
	return 0;
}
