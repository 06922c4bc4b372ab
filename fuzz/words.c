/* What PID 1 reads: the kernel command line and what services say of themselves. Whatever comes, the host name is a name, and what is
 * borrowed lies in the input. */
#include "base/parse.h"
#include "init/cmdline.h"
#include "init/notify.h"

#include <stdlib.h>

static bool lies_in(struct str part, struct str whole)
{
	return part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str text = { (const char *)data, n }, bad = { 0 }, none = { 0 };
	struct cmdline c, again;
	struct notify said;

	if (cmdline_parse(&c, text, &bad)) {
		if (!lies_in(bad, text) || !str_starts(bad, S("zos.")))
			abort();
		if (bad.p[bad.n - 1] != '\n' && cmdline_parse(&again, bad, &none) != 1) /* the line's end would be taken off */
			abort();
	}
	if (!memchr(c.hostname, 0, sizeof(c.hostname)) || !name_ok(str_c(c.hostname)))
		abort();
	if (!notify_parse(&said, text) && said.status.p && (!lies_in(said.status, text) || memchr(said.status.p, '\n', said.status.n)))
		abort();
	return 0;
}
