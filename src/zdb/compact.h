/* Gives back the room of records that are nobody's newest: a full file is written anew without them, beside it, and takes its place in one step
 * (doc/disk-zdb.md, Compaction). Goes on while clients are served: each step copies a little. */
#pragma once
#include "zdb/space.h"

enum {
	COMPACT_PART = 2,      /* a file is written anew when a half of it is dead, */
	COMPACT_PART_FULL = 8, /* or an eighth, once the namespace takes an eighth more than it may hold */
	COMPACT_STEP_BYTES = 1 << 20,
	COMPACT_SYNC_BYTES = 8 << 20, /* copied bytes are made safe so often, that the end does not take long */
};

struct compact; /* of one file */

/* The file of S that is worth it most, enough of it dead; false when there is none. */
bool compact_find(const struct space *s, uint32_t *ret_file);

MUST_CHECK int compact_begin(struct space *s, uint32_t file, struct compact **ret, struct err *e);

/* COMPACT_MORE: call it again. 0: the file is replaced, or gone when nothing of it was needed. Whatever it returns, C is freed with compact_free(). */
enum { COMPACT_MORE = 1 };
MUST_CHECK int compact_step(struct compact *c, struct err *e);

/* Before its end: nothing has changed. */
void compact_free(struct compact *c);
