/* A file in memory, as the kernel has it: parts of it are looked at without a system call. A part that the disk does not give is an error here too,
 * and no end of the process: the kernel says so with SIGBUS, which is caught around each look.
 *
 * One thread. */
#pragma once
#include "base/cleanup.h"

#include <stdint.h>

enum { MAP_AHEAD_BYTES = 16 << 10 /* the kernel is told of a look at more before it begins, so that it reads all of it at once */ };

struct map {
	const uint8_t *p; /* NULL: there is none */
	size_t n;
};

/* N bytes of FD, which need not be there yet. Without room for one more there is none, and the caller reads as it did. */
struct map map_open(int fd, size_t n);
void map_close(struct map *m);

/* SEEN looks at N bytes from AT on, both inside of M and of its file; it may be left in the middle, so it takes and holds nothing. -EIO. */
typedef void map_seen(void *ctx, const uint8_t *p, size_t n);
MUST_CHECK int map_look(const struct map *m, size_t at, size_t n, map_seen *seen, void *ctx);
MUST_CHECK int map_read(const struct map *m, size_t at, void *ret, size_t n); /* copies them */
