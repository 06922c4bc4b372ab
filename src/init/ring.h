/* The last lines a service wrote: a fixed number of bytes, the oldest lines give way. Owned by its unit.
 *
 * An offset counts all bytes ever kept, so a reader that comes back knows where it was. Whole lines only. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum { RING_SIZE = 16384, RING_LINE_MAX = 1024 };

struct ring {
	uint64_t end;   /* offset behind the last byte */
	uint64_t begin; /* offset of the oldest whole line */
	char bytes[RING_SIZE];
};

/* Keeps "<LEVEL>SECONDS.MILLIS TEXT\n"; a longer line than RING_LINE_MAX is cut. */
void ring_add(struct ring *r, int level, uint64_t now_ms, const char *text, size_t n);

/* Copies whole lines from the offset *FROM (or the oldest line, when that is later) into RET and moves *FROM behind
 * them. Returns the number of bytes; 0 when there is nothing new. ROOM is at least RING_LINE_MAX. */
size_t ring_read(const struct ring *r, uint64_t *from, char *ret, size_t room);

/* Bytes from a pipe on their way to lines: calls back once for every line, its level taken off. */
struct ring_line {
	char text[RING_LINE_MAX];
	size_t n;
};
typedef void ring_line_fn(void *ctx, int level, const char *text, size_t n);
void ring_line_feed(struct ring_line *l, const char *p, size_t n, ring_line_fn *fn, void *ctx);
