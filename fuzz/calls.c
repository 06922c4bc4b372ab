/* Arguments of every call, the first byte picks which: what is taken fills its struct and nothing beside it, and says the same when asked
 * again; what is refused names the place. */
#include "api/call.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct call *call;
	AUTO_JSON sd_json_variant *v = NULL;
	AUTO_FREE void *once = NULL, *again = NULL;
	struct err e = { 0 };
	int r;

	if (!n || json_parse((struct str){ (const char *)data + 1, n - 1 }, &v, NULL))
		return 0;
	call = &calls[data[0] % n_calls];
	once = calloc(1, call->arguments_size); /* no byte more, so that one too many is seen */
	again = calloc(1, call->arguments_size);
	r = json_decode(v, call->arguments, once, &e);
	if (r && (e.msg[0] != '/' || r != -EBADMSG))
		abort();
	if (json_decode(v, call->arguments, again, NULL) != r || (!r && memcmp(once, again, call->arguments_size)))
		abort();
	return 0;
}
