#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

void buf_deinit(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ .limit = b->limit };
}

void buf_wipe(struct buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->cap);
	buf_deinit(b);
}

void buf_reserve(struct buf *b, size_t more_bytes)
{
	size_t need, cap = b->cap ? b->cap : 64;
	char *p;

	if (b->failed || __builtin_add_overflow(b->len, more_bytes, &need) || need >= SIZE_MAX / 2 || (b->limit && need > b->limit)) {
		b->failed = true;
		return;
	}
	if (need < b->cap)
		return;
	while (cap <= need)
		cap *= 2;
	p = realloc(b->p, cap);
	if (!p) {
		b->failed = true;
		return;
	}
	b->p = p;
	b->cap = cap;
	b->p[b->len] = '\0';
}

void buf_add_bytes(struct buf *b, const void *p, size_t n)
{
	buf_reserve(b, n);
	if (b->failed || !n)
		return;
	memcpy(b->p + b->len, p, n);
	b->len += n;
	b->p[b->len] = '\0';
}

void buf_add(struct buf *b, struct str s)
{
	buf_add_bytes(b, s.p, s.n);
}

void buf_add_le(struct buf *b, uint64_t v, unsigned n_bytes)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < n_bytes; i++)
		bytes[i] = (uint8_t)(v >> (8 * i));
	buf_add_bytes(b, bytes, n_bytes);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		b->failed = true;
	else
		buf_reserve(b, (size_t)n + 1);
	if (!b->failed) {
		vsnprintf(b->p + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void buf_drop(struct buf *b, size_t n_bytes)
{
	if (!n_bytes)
		return;
	memmove(b->p, b->p + n_bytes, b->len - n_bytes);
	b->len -= n_bytes;
	b->p[b->len] = '\0';
}
