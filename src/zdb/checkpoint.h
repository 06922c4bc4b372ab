/* Where all keys of a namespace stand, as one file, so that a start reads that and what was written since, instead of all records (doc/disk-zdb.md,
 * Checkpoint). It is written in small steps, while clients are served.
 *
 * What it says is of one moment, when it was begun: the table goes on changing while it is written, and what is in there of records behind that moment is left
 * out. What such a record took out of the table before it was written is missing then, too, and would be replaced by that record in any case. */
#pragma once
#include "zdb/space.h"

#define CHECKPOINT_NAME "checkpoint"

enum {
	CHECKPOINT_STEP_BYTES = 512 << 10,
	CHECKPOINT_LAG_BYTES = 8 << 20, /* that may be under way to the disk */
};

/* Fills S's table and says where its files end. RET: from where on records are newer. -EBADMSG or -errno: there is none that fits, and S's
 * table is not to be used as it is. */
MUST_CHECK int checkpoint_load(struct space *s, struct place *ret);

/* The numbers of the data files that a sound checkpoint names and that are not in DATA; how many. RET is the caller's. */
size_t checkpoint_missing(int index, int data, uint32_t **ret);

/* Before one of the files that it may name is removed: what it names and is not there was lost. */
MUST_CHECK int checkpoint_remove(const struct space *s, struct err *e);

struct checkpoint; /* being written */
MUST_CHECK int checkpoint_begin(struct space *s, struct checkpoint **ret, struct err *e);

/* BYTES or a little more. CHECKPOINT_MORE: call it again. 0: it is in the place of the one before, for good. Whatever it returns, C is freed with checkpoint_free(). */
enum { CHECKPOINT_MORE = 1 };
MUST_CHECK int checkpoint_step(struct checkpoint *c, size_t bytes, struct err *e);

/* Before its end: nothing has changed. NULL is fine. */
void checkpoint_free(struct checkpoint *c);

/* The record R at AT, of a key of TAG, leaves the table now. */
void checkpoint_leaves(struct checkpoint *c, uint32_t tag, struct place at, const struct record *r);
