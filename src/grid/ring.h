/* A queue of bytes that grows up to a limit and shrinks when it is empty.
 *
 * Embedded by its owner, one thread. The zero value with a limit is ready. Memory is taken as bytes come, so an idle
 * session costs nothing and a busy one never more than its limit. */
#pragma once
#include "base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

struct ring {
	uint8_t *p;
	size_t cap, head, len; /* cap is 0 or a power of two */
	size_t limit;          /* bytes; a power of two */
};

void ring_deinit(struct ring *r);

static inline size_t ring_room(const struct ring *r)
{
	return r->limit - r->len;
}

/* Appends as much as the limit allows; returns how much. */
size_t ring_add(struct ring *r, const void *p, size_t n);

/* Copies up to N bytes that stand AT bytes behind the front, without taking them; returns how many. */
size_t ring_copy(const struct ring *r, size_t at, void *ret, size_t n);

/* The longest piece at the front that lies in one place (borrowed until the next change). */
size_t ring_front(const struct ring *r, const void **ret);

/* Takes N bytes (<= len) off the front. */
void ring_drop(struct ring *r, size_t n);

/* ring_copy() and ring_drop() in one; returns how many. */
size_t ring_take(struct ring *r, void *ret, size_t n);
