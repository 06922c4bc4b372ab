#include "api/pool.h"

#include <stdlib.h>

static uint32_t count(const struct range4 *r)
{
	return (uint32_t)(1ull << (32 - r->prefix));
}

size_t pool_size(const struct pool *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += count(&p->ranges[i]);
	return n;
}

static bool overlap(const struct range4 *a, const struct range4 *b)
{
	return range4_has(a, b) || range4_has(b, a);
}

bool pool_has(const struct pool *p, uint32_t address)
{
	const struct range4 only = { address, 32 };

	for (size_t i = 0; i < p->n; i++)
		if (range4_has(&p->ranges[i], &only))
			return true;
	return false;
}

bool pool_overlaps(const struct pool *a, const struct pool *b)
{
	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < b->n; k++)
			if (overlap(&a->ranges[i], &b->ranges[k]))
				return true;
	return false;
}

/* The one at PLACE, from 0, of all of them in order. */
static uint32_t at(const struct pool *p, size_t place)
{
	size_t i = 0;

	while (place >= count(&p->ranges[i]))
		place -= count(&p->ranges[i++]);
	return p->ranges[i].address + (uint32_t)place;
}

static int range_check(const struct pool *p, const struct range4 *r, struct str text, struct err *e)
{
	if (!range4_is_whole(r))
		return err_set(e, -EBADMSG, "'" STR_FMT "' does not begin where its prefix does: write the first address of the range",
			       STR_ARG(text));
	if (range4_is_private(r))
		return err_set(e, -EBADMSG, "'" STR_FMT "' holds private addresses, at which nobody outside finds a machine", STR_ARG(text));
	for (size_t i = 0; i < p->n; i++)
		if (overlap(&p->ranges[i], r))
			return err_set(e, -EBADMSG, "'" STR_FMT "' holds addresses that stand there already: name each once", STR_ARG(text));
	return 0;
}

int pool_add(struct pool *p, struct str range, struct err *e)
{
	struct range4 r;
	int ret;

	if (parse_range4(range, &r))
		return err_set(e, -EBADMSG, "'%.*s' is no IPv4 range such as 198.51.100.16/29, or 198.51.100.7/32 for a single address",
			       (int)(range.n > 60 ? 60 : range.n), range.p);
	if ((ret = range_check(p, &r, range, e)))
		return ret;
	if (p->n == POOL_RANGES_MAX)
		return err_set(e, -ENOSPC, "a node has at most %d ranges of public addresses: name fewer, larger ones", POOL_RANGES_MAX);
	if (r.prefix < 24 || pool_size(p) + count(&r) > POOL_ADDRESSES_MAX)
		return err_set(e, -ENOSPC, "a node has at most %d public addresses: name fewer", POOL_ADDRESSES_MAX);
	p->ranges[p->n++] = r;
	return 0;
}

static bool is_among(const uint32_t *taken, size_t n, uint32_t address)
{
	for (size_t i = 0; i < n; i++)
		if (taken[i] == address)
			return true;
	return false;
}

int pool_pick(const struct pool *p, const char *id, const uint32_t *taken, size_t n, uint32_t *ret)
{
	char head[POOL_ID_LEN + 1] = { 0 };
	size_t size = pool_size(p), first;

	memcpy(head, id, POOL_ID_LEN);
	first = size ? strtoul(head, NULL, 16) % size : 0;
	for (size_t i = 0; i < size; i++) {
		uint32_t address = at(p, (first + i) % size);

		if (is_among(taken, n, address))
			continue;
		*ret = address;
		return 0;
	}
	return POOL_EMPTY;
}
