/* Where all keys of a namespace stand, as one file, so that a start reads that instead of all records (doc/disk-zdb.md, Checkpoint). */
#pragma once
#include "zdb/space.h"

#define CHECKPOINT_NAME "checkpoint"

/* Fills S's table and says where its files end. RET: from where on records are newer. -EBADMSG or -errno: there is none that fits, and S's
 * table is not to be used as it is. */
MUST_CHECK int checkpoint_load(struct space *s, struct place *ret);

/* The numbers of the data files that a sound checkpoint names and that are not in DATA; how many. RET is the caller's. */
size_t checkpoint_missing(int index, int data, uint32_t **ret);

/* Before one of the files that it may name is removed: what it names and is not there was lost. */
MUST_CHECK int checkpoint_remove(const struct space *s, struct err *e);

/* All of S is on the disk. */
MUST_CHECK int checkpoint_save(const struct space *s, struct err *e);
