/* Commands of clients. A command that is whole is the same whatever comes behind it, each part of it asks for more and for no more than it has,
 * and its words lie inside it. */
#include "base/err.h"
#include "zdb/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct resp_command whole, part;
	struct str in = { (const char *)data, size };
	size_t n, need;
	const char *why = NULL;
	int r = resp_parse(in, &whole, &n, &why);

	BUG_ON(r < 0 && !why);
	BUG_ON(r == RESP_MORE && n <= size);
	if (r)
		return 0;
	BUG_ON(!n || n > size);
	for (size_t i = 0; i < whole.n; i++)
		BUG_ON(whole.words[i].p < in.p || whole.words[i].p + whole.words[i].n > in.p + n);
	BUG_ON(resp_parse((struct str){ in.p, n }, &part, &need, &why) || need != n || part.n != whole.n);
	for (size_t i = 0; i < n; i++)
		BUG_ON(resp_parse((struct str){ in.p, i }, &part, &need, &why) != RESP_MORE || need > n);
	return 0;
}
