/* One namespace: keys and their values, in data files, with the table that says where each stands (doc/disk-zdb.md).
 *
 * What was set is seen at once, and safe after space_sync(); who answers for it waits that long. */
#pragma once
#include "zdb/datalog.h"
#include "zdb/keydir.h"

enum space_mode { SPACE_USER, SPACE_SEQ }; /* keys are chosen, or counted */

enum {
	SPACE_SEQ_ID_BYTES = 8,
	/* A start is to read no more than so many records, or a fifth as many as there are keys, */
	SPACE_SAVE_RECORDS = 1 << 20,
	SPACE_SAVE_KEYS_PART = 5,
	/* and no more of data files than that, or four times of what a checkpoint has for each key. */
	SPACE_SAVE_BYTES = 1 << 30,
	SPACE_SAVE_KEY_BYTES = 100,
};

enum space_outcome {
	SPACE_SAME = 1, /* set: the value was that already */
	SPACE_ABSENT, /* no such key */
	SPACE_FULL, /* set: more than the namespace may hold */
	SPACE_CROWDED, /* set: more keys than it may have */
};

struct space {
	enum space_mode mode;
	struct keydir keys;
	struct datalog log;
	int index; /* the folder of the checkpoint */
	uint64_t max_bytes; /* of values; 0 = no limit */
	uint64_t max_keys; /* 0 = no limit */
	uint64_t data_bytes, next_id;
	uint64_t replayed; /* records that were read when it was opened */
	uint64_t n_records; /* those, and what was appended since */
	uint64_t saved_records, saved_bytes; /* of N_RECORDS and of the data files, what the checkpoint on the disk spares a start to read */
	struct checkpoint *saving; /* the next one, being written; NULL: none is */
	struct parents *parents; /* of the original's records, while all are read; else NULL */
};
#define SPACE_NONE { .log = DATALOG_NONE, .index = -1 }

uint64_t space_seq_of(struct str id); /* the number that ID is */

/* Takes DATA and INDEX, folders of its own. */
MUST_CHECK int space_open(struct space *ret, enum space_mode mode, int data, int index, uint32_t file_max_bytes, struct err *e);
void space_close(struct space *s);

/* Writes where all stands, so that the next start need not read all records. Nothing is lost without. */
MUST_CHECK int space_save(struct space *s, struct err *e);

/* The same in small steps, while it changes: SPACE_MORE until it is done. What is appended meanwhile a start reads in addition. */
enum { SPACE_MORE = 1 };
MUST_CHECK int space_save_step(struct space *s, struct err *e);
bool space_is_due(
	const struct space *s); /* so much was appended since the last one, or there is none of it any more, that the next one is worth it */

/* Its files are about to be replaced or removed, or just were: no checkpoint is of them any more. */
void space_outdate(struct space *s);
MUST_CHECK int space_sync(struct space *s, struct err *e);

/* An empty ID is the next one of a SPACE_SEQ. RET_ID is what was set, in ROOM where it was counted. 0, SPACE_SAME, SPACE_FULL, SPACE_CROWDED, SPACE_ABSENT (a
 * SPACE_SEQ has no such key, and makes none of that name), -ENOSPC (the disk), -errno. */
MUST_CHECK int space_set(struct space *s, struct str id, struct str payload, uint32_t time_s, char room[static SPACE_SEQ_ID_BYTES],
			 struct str *ret_id, struct err *e);
/* The same for a number of a SPACE_SEQ that comes from another store: one that is not there is made, and numbers go on behind it. */
MUST_CHECK int space_set_number(struct space *s, struct str id, struct str payload, uint32_t time_s, struct err *e);
MUST_CHECK int space_get(struct space *s, struct str id, struct place *ret_at, struct reading *ret, struct err *e); /* 0, SPACE_ABSENT, -errno */
MUST_CHECK int space_delete(struct space *s, struct str id, uint32_t time_s, struct err *e); /* the same */
MUST_CHECK int space_clear(struct space *s, struct err *e);

/* The next key behind AT ({0, 0}: the first) or before it, oldest first, as it is now. 0, DATALOG_END, -errno: from AT on there may be keys that cannot be read. */
MUST_CHECK int space_next(struct space *s, struct place at, struct reading *ret, struct place *ret_at, struct err *e);
MUST_CHECK int space_next_in(struct space *s, struct place at, struct reading *ret, struct place *ret_at, struct err *e); /* of AT's file */
MUST_CHECK int space_previous(struct space *s, struct place at, struct reading *ret, struct place *ret_at, struct err *e);

/* Where R's key had its record before that at AT; offset 0 when it is not known. -errno: what may know it cannot be read. */
MUST_CHECK int space_parent(const struct space *s, struct place at, const struct record *r, struct place *ret, struct err *e);

/* ID's record at AT, which a client may have named: SPACE_ABSENT when it is none of ID's, or was compacted away. -EBADMSG: no record stands there, and none can have been
 * compacted away. */
MUST_CHECK int space_version(struct space *s, struct str id, struct place at, struct reading *ret, struct err *e);
