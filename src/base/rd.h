/* Reads bytes that somebody else wrote: never past the end, missing bytes read as zero, ask once at the end. */
#pragma once
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rd {
	const uint8_t *p, *end;
	bool bad; /* sticks */
};

static inline struct rd rd_over(const void *p, size_t n)
{
	return (struct rd){ .p = p, .end = n ? (const uint8_t *)p + n : p }; /* an empty buffer has no address to add to */
}

static inline size_t rd_left(const struct rd *r)
{
	return (size_t)(r->end - r->p);
}

/* Returns a pointer to the next N bytes (borrowed), or NULL. */
static inline const uint8_t *rd_take(struct rd *r, size_t n)
{
	const uint8_t *at = r->p;

	if (r->bad || rd_left(r) < n) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	return at;
}

static inline void rd_bytes(struct rd *r, void *ret, size_t n)
{
	const uint8_t *at = rd_take(r, n);

	if (at)
		memcpy(ret, at, n);
	else
		memset(ret, 0, n);
}

/* Little-endian, N_BYTES from 1 to 8. */
static inline uint64_t rd_le(struct rd *r, unsigned n_bytes)
{
	uint8_t bytes[8] = { 0 };
	uint64_t v = 0;

	rd_bytes(r, bytes, n_bytes);
	for (unsigned i = n_bytes; i-- > 0;)
		v = v << 8 | bytes[i];
	return v;
}

/* 0 when nothing was missing and nothing is left over, else -EBADMSG. */
static inline int rd_done(const struct rd *r)
{
	return r->bad || r->p != r->end ? -EBADMSG : 0;
}
