/* A file in memory, as the kernel has it: small parts are read without a system call. A part that the disk does not give is an error here too, and
 * no end of the process: the kernel says so with SIGBUS, which is caught around each read.
 *
 * One thread. */
#pragma once
#include "base/cleanup.h"

#include <stdint.h>

enum { MAP_READ_MAX = 16 << 10 /* more at once is read ahead better by pread() */ };

struct map {
	const uint8_t *p; /* NULL: there is none */
	size_t n;
};

/* N bytes of FD, which need not be there yet. Without room for one more there is none, and the caller reads as it did. */
struct map map_open(int fd, size_t n);
void map_close(struct map *m);

/* N bytes from AT on, both inside of it and of its file. -EIO. */
MUST_CHECK int map_read(const struct map *m, size_t at, void *ret, size_t n);
