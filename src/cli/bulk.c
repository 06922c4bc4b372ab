#include "cli/bulk.h"

#include "base/parse.h"

enum { LINE_MAX_BYTES = 512 };

int bulk_read(struct str in, struct str *ret)
{
	const char *end = memchr(in.p, '\n', in.n < LINE_MAX_BYTES ? in.n : LINE_MAX_BYTES);
	struct str line;
	uint64_t n = 0;

	if (!end)
		return in.n < LINE_MAX_BYTES ? BULK_MORE : -EBADMSG;
	line = (struct str){ in.p, (size_t)(end - in.p) };
	if (line.n < 2 || line.p[line.n - 1] != '\r')
		return -EBADMSG;
	line.n--;
	*ret = (struct str){ line.p + 1, line.n - 1 };
	if (line.p[0] == '-')
		return BULK_ERROR;
	if (line.p[0] != '$' || parse_u64(*ret, BULK_MAX, &n))
		return -EBADMSG;
	in = (struct str){ end + 1, in.n - line.n - 2 };
	if (in.n < n + 2)
		return BULK_MORE;
	if (in.p[n] != '\r' || in.p[n + 1] != '\n')
		return -EBADMSG;
	*ret = (struct str){ in.p, n };
	return 0;
}
