#include "init/ring.h"

#include <stdio.h>
#include <string.h>

enum { LEVEL_DEFAULT = 6 };

static void ring_put(struct ring *r, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		r->bytes[(r->end + i) % RING_SIZE] = p[i];
	r->end += n;
}

/* Moves the beginning to the first line that is whole. */
static void ring_forget(struct ring *r)
{
	if (r->end - r->begin <= RING_SIZE)
		return;
	r->begin = r->end - RING_SIZE;
	while (r->begin < r->end && r->bytes[r->begin++ % RING_SIZE] != '\n')
		;
}

void ring_add(struct ring *r, int level, uint64_t now_ms, const char *text, size_t n)
{
	char head[48];
	int h = snprintf(head, sizeof(head), "<%d>%llu.%03u ", level, (unsigned long long)now_ms / 1000, (unsigned)(now_ms % 1000));

	if (n > RING_LINE_MAX - (size_t)h - 1)
		n = RING_LINE_MAX - (size_t)h - 1;
	ring_put(r, head, (size_t)h);
	ring_put(r, text, n);
	ring_put(r, "\n", 1);
	ring_forget(r);
}

size_t ring_read(const struct ring *r, uint64_t *from, char *ret, size_t room)
{
	uint64_t at = *from < r->begin || *from > r->end ? r->begin : *from;
	size_t n = 0, whole = 0;

	while (at + n < r->end && n < room) {
		ret[n] = r->bytes[(at + n) % RING_SIZE];
		if (ret[n++] == '\n')
			whole = n;
	}
	*from = at + whole;
	return whole;
}

static void line_end(struct ring_line *l, ring_line_fn *fn, void *ctx)
{
	const char *p = l->text;
	size_t n = l->n;
	int level = LEVEL_DEFAULT;

	if (n >= 3 && p[0] == '<' && p[1] >= '0' && p[1] <= '7' && p[2] == '>') {
		level = p[1] - '0';
		p += 3;
		n -= 3;
	}
	l->n = 0;
	if (n)
		fn(ctx, level, p, n);
}

void ring_line_feed(struct ring_line *l, const char *p, size_t n, ring_line_fn *fn, void *ctx)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c == '\n' || l->n == sizeof(l->text)) {
			line_end(l, fn, ctx);
			if (c == '\n')
				continue;
		}
		l->text[l->n++] = c < 0x20 || c == 0x7f ? ' ' : (char)c; /* no terminal is steered by what a service quotes */
	}
}
