/* Whole small files: read with a limit, written so that either the old or the new content is there after a crash. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

/* Appends the content of PATH (relative to the directory DIR_FD) to RET. -EFBIG past LIMIT_BYTES. */
MUST_CHECK int file_read(int dir_fd, const char *path, size_t limit_bytes, struct buf *ret, struct err *e);

/* Replaces PATH: temporary file beside it, fsync, rename, fsync of the directory. */
MUST_CHECK int file_save(int dir_fd, const char *path, struct str content, mode_t mode, struct err *e);

/* The same, and without writing where PATH holds just that already: doing again what is done needs no room. */
MUST_CHECK int file_keep(int dir_fd, const char *path, struct str content, mode_t mode, struct err *e);

/* One of the kernel's counters: what stands behind KEY in the file PATH, or the file's only one (KEY NULL); "max" is UINT64_MAX.
 * 0 where there is none. */
uint64_t file_count(const char *path, const char *key);

/* Writes CONTENT into an existing file in one write (sysctl, cgroup, sysfs). */
MUST_CHECK int file_poke(int dir_fd, const char *path, struct str content, struct err *e);

/* Makes PATH and its missing parents. */
MUST_CHECK int dir_make(const char *path, mode_t mode, struct err *e);

/* Removes PATH and all below it without following links and without leaving its file system. 0 when absent. */
MUST_CHECK int tree_remove(int dir_fd, const char *path, struct err *e);

/* N random bytes from the kernel. */
void random_bytes(void *ret, size_t n);
uint64_t random_u64(void);
