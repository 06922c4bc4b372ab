/* The disk image that an owner brings, a stranger's file: what its first bytes say, and the writable layer that goes over it.
 *
 * Formats: a raw disk with a boot sector, and qcow2 2 and 3 (QEMU's docs/interop/qcow2.rst). One that names another file (a backing file, an
 * external data file) is refused, whatever it names; so is one that is encrypted, or marked as dirty or corrupt. */
#pragma once
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { DISKFILE_HEAD = 512 }; /* bytes to look at */
#define DISKFILE_SIZE_MAX (16ull << 40)

struct diskfile {
	enum { DISKFILE_RAW, DISKFILE_QCOW2 } format;
	uint64_t size_bytes; /* of the disk; a multiple of 512 */
};

/* HEAD: the first N bytes of a file of FILE_BYTES. -EBADMSG with a sentence for the owner. */
MUST_CHECK int diskfile_decode(const uint8_t *head, size_t n, uint64_t file_bytes, struct diskfile *ret, struct err *e);

/* Writes an empty qcow2 of SIZE_BYTES into FD, an empty file: a layer over another disk of that size, which it does not name. It counts what is
 * written in pieces of 2 KiB (subclusters), so that in memory it takes little more than that. */
MUST_CHECK int diskfile_layer_write(int fd, uint64_t size_bytes, struct err *e);
