/* Owned, growing bytes. The zero value is ready; the first failure sticks, so write freely and ask once.
 *
 * A buffer whose size a peer decides gets a limit first. The text in p is NUL-terminated whenever p is set. */
#pragma once
#include "base/cleanup.h"
#include "base/str.h"

#include <stdint.h>

struct buf {
	char *p;
	size_t len, cap;
	size_t limit; /* bytes; 0 = none */
	bool failed;
};
#define AUTO_BUF CLEANUP(buf_deinit)

void buf_deinit(struct buf *b);
/* The same for what is a secret: it is overwritten first. What it held before it grew is not: give it its room at once. */
void buf_wipe(struct buf *b);
#define AUTO_SECRET CLEANUP(buf_wipe)
void buf_reserve(struct buf *b, size_t more_bytes); /* room for MORE and a NUL */
void buf_add(struct buf *b, struct str s);
void buf_add_bytes(struct buf *b, const void *p, size_t n);
void buf_add_le(struct buf *b, uint64_t v, unsigned n_bytes); /* little-endian, 1 to 8 bytes */
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_drop(struct buf *b, size_t n_bytes); /* from the front; n_bytes <= len */

/* 0, or -ENOBUFS when something did not fit. */
MUST_CHECK static inline int buf_check(const struct buf *b)
{
	return b->failed ? -ENOBUFS : 0;
}

static inline struct str buf_str(const struct buf *b)
{
	return (struct str){ b->p ? b->p : "", b->len };
}
