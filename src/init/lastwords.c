#include "init/lastwords.h"

#include "base/parse.h"

#include <stdio.h>

bool lastwords_parse(struct str text, struct lastwords *ret)
{
	struct lastwords l = { .lines = text };
	struct str head, reason, count;

	if (!str_next(&l.lines, '\n', &head) || !l.lines.p || !str_next(&head, '#', &reason) || !str_next(&head, ' ', &count))
		return false;
	if (!reason.n || reason.n >= sizeof(l.reason) || parse_u64(count, UINT32_MAX, &l.count) || !str_starts(head, S("Part")) ||
	    parse_u64((struct str){ head.p + 4, head.n - 4 }, UINT32_MAX, &l.part))
		return false;
	memcpy(l.reason, reason.p, reason.n);
	*ret = l;
	return true;
}

static int compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

int lastwords_order(const struct lastwords *a, const struct lastwords *b)
{
	return a->count != b->count ? compare(a->count, b->count) : compare(b->part, a->part);
}

struct str lastwords_text(struct str line)
{
	struct str rest = line, head;

	if (str_starts(rest, S("<")) && str_next(&rest, '>', &head) && rest.p)
		line = rest;
	if (str_starts(line, S("[")) && str_next(&rest, ']', &head) && rest.p)
		line = str_starts(rest, S(" ")) ? (struct str){ rest.p + 1, rest.n - 1 } : rest;
	return line;
}

static const struct str heads[] = { S("Kernel panic - not syncing"), S("Oops"),         S("BUG: "), S("Internal error"),
				    S("general protection fault"),   S("kernel BUG at") };

bool lastwords_is_why(struct str text)
{
	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++)
		if (str_starts(text, heads[i]))
			return true;
	return false;
}
