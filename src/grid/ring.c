#include "grid/ring.h"

#include "base/err.h"

enum { RING_FIRST = 4096, RING_KEEP = 16384 }; /* bytes: the first piece; what an empty ring may keep */

void ring_deinit(struct ring *r)
{
	free(r->p);
	*r = (struct ring){ .limit = r->limit };
}

static void ring_grow(struct ring *r, size_t need)
{
	size_t cap = r->cap ? r->cap : RING_FIRST;
	uint8_t *p;

	while (cap < need)
		cap *= 2;
	if (cap == r->cap)
		return;
	p = malloc(cap);
	BUG_ON(!p); /* the size is ours: bounded by the limit */
	ring_copy(r, 0, p, r->len);
	free(r->p);
	r->p = p;
	r->cap = cap;
	r->head = 0;
}

size_t ring_add(struct ring *r, const void *p, size_t n)
{
	size_t tail, first;

	if (n > ring_room(r))
		n = ring_room(r);
	if (!n)
		return 0;
	ring_grow(r, r->len + n);
	tail = (r->head + r->len) & (r->cap - 1);
	first = n < r->cap - tail ? n : r->cap - tail;
	memcpy(r->p + tail, p, first);
	memcpy(r->p, (const uint8_t *)p + first, n - first);
	r->len += n;
	return n;
}

size_t ring_copy(const struct ring *r, size_t at, void *ret, size_t n)
{
	size_t from, first;

	if (at >= r->len)
		return 0;
	if (n > r->len - at)
		n = r->len - at;
	from = (r->head + at) & (r->cap - 1);
	first = n < r->cap - from ? n : r->cap - from;
	memcpy(ret, r->p + from, first);
	memcpy((uint8_t *)ret + first, r->p, n - first);
	return n;
}

size_t ring_front(const struct ring *r, const void **ret)
{
	*ret = r->p + r->head;
	return r->len < r->cap - r->head ? r->len : r->cap - r->head;
}

void ring_drop(struct ring *r, size_t n)
{
	BUG_ON(n > r->len);
	if (!n)
		return;
	r->len -= n;
	r->head = (r->head + n) & (r->cap - 1);
	if (r->len)
		return;
	r->head = 0;
	if (r->cap > RING_KEEP)
		ring_deinit(r);
}

size_t ring_take(struct ring *r, void *ret, size_t n)
{
	n = ring_copy(r, 0, ret, n);
	ring_drop(r, n);
	return n;
}
