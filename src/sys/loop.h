/* Loop devices: a file as a read-only block device, for what a file system cannot mount from a file of its own (EROFS: not from tmpfs). */
#pragma once
#include "base/err.h"

#include <stdint.h>

enum { LOOP_PATH_MAX = 32 };

/* The device is gone when the last who uses it lets go: keep *RET_FD (owned) until RET_PATH is mounted. */
MUST_CHECK int loop_open(const char *file, int *ret_fd, char ret_path[static LOOP_PATH_MAX], struct err *e);
