#include "zdb/mirror.h"

#include "base/parse.h"

void mirror_put(struct buf *out, int64_t time_s, const char *space, uint32_t owner, const struct resp_command *c)
{
	resp_array(out, c->n + 3);
	resp_number(out, time_s);
	resp_bulk(out, str_c(space));
	resp_number(out, owner);
	for (size_t i = 0; i < c->n; i++)
		resp_bulk(out, c->words[i]);
}

int mirror_owner(struct resp_command *c, uint32_t *ret)
{
	uint64_t owner = 0;

	if (c->n < 2 || parse_u64(c->words[c->n - 1], UINT32_MAX, &owner))
		return -EBADMSG;
	c->n--;
	*ret = (uint32_t)owner;
	return 0;
}
