/* One disk as a run of a program has it (run.h): opened only when it is the one that was meant. */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	DEVICE_EDGE_BYTES = 16 << 20,       /* at both ends: all zero, or the disk is not blank */
	DEVICE_ERASE_BYTES = 32 << 20,      /* at both ends, more than a LUKS2 header with all its key slots */
	DEVICE_SAMPLES = 256,               /* looked at between the ends, evenly spread, */
	DEVICE_SAMPLE_BYTES = 64 << 10,     /* ... of so many bytes each */
};
#define DEVICE_MIN_BYTES (1ull << 30)      /* a smaller disk is of no use */

struct disk_args { /* what the command line says */
	const char *name, *uuid, *farm; /* NULL = not said */
	uint64_t seq;
	bool rotational, is_ata;
};

/* Names get another disk when one is pulled out and another put in: -ESTALE unless the kernel's number is the one meant. FLAGS of open(2). */
MUST_CHECK int device_open(const struct disk_args *a, int flags, int *ret_fd, uint64_t *ret_size_bytes, struct err *e);

/* Whether the ends, and with SAMPLES what lies between them, are zero as far as it is looked at. 0: they are; DEVICE_DATA: they are not. What
 * cannot be read is an error. */
enum { DEVICE_DATA = 1 };
MUST_CHECK int device_is_blank(int fd, uint64_t size_bytes, bool samples, struct err *e);

/* Overwrites both ends and gives the rest back to the disk where it takes it. */
MUST_CHECK int device_erase(int fd, uint64_t size_bytes, struct err *e);
