/* What is on a disk. Reads what strangers wrote, through libblkid: call it in a process that may do nothing else. */
#pragma once
#include "storage/answer.h"

#include <stdint.h>

/* The names in a LUKS2 header of ours: label, and subsystem before and after it is finished. */
#define PROBE_LABEL "zos"
#define PROBE_UNFINISHED "unfinished"
#define PROBE_COMPLETE "complete"

/* FD: of a block device or a file, to read from. RET: blank, foreign, ours or unfinished; what cannot be read is an error, never blank. */
MUST_CHECK int probe_fd(int fd, uint64_t size_bytes, struct answer *ret, struct err *e);
