/* The part of `volume` that meets what strangers wrote: archives, and the names in a volume. It runs in a process of its own whose root is one
 * directory, in a range of uids that is nobody's, without network, with few system calls and bounded memory; what comes back is a number and a sentence. */
#pragma once
#include "base/err.h"

#include <stdint.h>

#define STREAM_UID_BASE ((1u << 20) - (1u << 16)) /* just below those of machines */
enum { STREAM_TAIL_MAX = 1 << 20 /* bytes that may follow an archive's end: tar fills up its last record */ };

/* The subvolume AT as an archive into the socket STREAM, in frames (doc/volume-archive.md). RET_LEFT_OUT: what an archive cannot hold. */
MUST_CHECK int stream_out(const char *at, int stream, uint64_t *ret_left_out, struct err *e);
/* The archive that comes out of the socket STREAM into the empty subvolume AT. */
MUST_CHECK int stream_in(const char *at, int stream, uint64_t *ret_left_out, struct err *e);
/* The last frame of stream_out(): how that ended. */
void stream_out_end(int stream, uint64_t left_out, int r, const struct err *e);
