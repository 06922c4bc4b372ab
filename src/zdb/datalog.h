/* The data files of one namespace: records are appended to the newest, and read from any (doc/disk-zdb.md).
 *
 * One thread. What is appended gathers in memory until datalog_flush(), and is safe once datalog_sync() or an fdatasync of the same file
 * descriptor has returned; both can be read at once. After a failed write or sync nothing is appended any more. */
#pragma once
#include "zdb/map.h"
#include "zdb/record.h"

#include "base/err.h"

enum {
	DATALOG_GATHER_BYTES = 1 << 20,
	DATALOG_AHEAD_BYTES = 16 << 20, /* of disk that is asked for at once */
	DATALOG_FILES_MAX = 1 << 16,
	DATALOG_GAPS_MAX = 64,
	DATALOG_GONE_MAX = 1 << 16,
	DATALOG_AT_ONCE_BYTES = 512, /* of a record that are read in one go: head, key and a small value */
};

struct data_file {
	struct data_head head;
	int fd;
	struct map map; /* of as much as it may become */
	uint32_t end;  /* of the last record */
	uint32_t last; /* its offset; 0 = none */
	uint32_t dead_bytes; /* of records that are no key's newest, and no deletion; as the space counts */
	bool is_changed; /* since it was opened or unmarked: for who keeps a copy */
	bool is_hurt; /* something in it cannot be read: it is not compacted, as it might be another time */
};

struct data_gap { /* bytes that are no record any more */
	uint32_t file, from, to;
};

struct datalog {
	int dir;
	uint32_t file_max_bytes;
	struct data_file *files; /* by rising number; the last is the one that is written */
	size_t n_files;
	uint8_t *gathered; /* what stands behind WRITTEN in the last file */
	uint32_t n_gathered, written, reserved;
	struct data_gap gaps[DATALOG_GAPS_MAX];
	size_t n_gaps;
	uint32_t *gone; /* numbers of files that were dropped since then; DATALOG_GONE_MAX: and perhaps more */
	size_t n_gone;
	int failed; /* negative errno of the write or sync that went wrong */
	uint64_t syncs, syncs_us; /* how often and how long it was made safe */
};
#define DATALOG_NONE { .dir = -1 }

/* Takes DIR, whose data files it opens; where each one ends is not known before datalog_scan() or datalog_resume(). Files that a flush made
 * void are removed. */
MUST_CHECK int datalog_open(struct datalog *ret, int dir, uint32_t file_max_bytes, struct err *e);
void datalog_close(struct datalog *l);

/* Record by record from FROM on. SEEN is told of each one, DAMAGED: its payload is not what was written. What is behind the last whole
 * record of the last file is cut off. Bytes in between that are no record are stepped over: the gaps. */
typedef int datalog_seen(void *ctx, struct place at, const struct record *r, bool is_damaged, struct err *e);
MUST_CHECK int datalog_scan(struct datalog *l, struct place from, datalog_seen *seen, void *ctx, struct err *e);

/* Takes from a checkpoint where the file at INDEX ends. -EBADMSG: it is not that file, or is shorter. */
MUST_CHECK int datalog_resume(struct datalog *l, size_t index, const struct data_file *as, struct err *e);

/* R's previous and length are set by this, its crc is PAYLOAD's. -ENOSPC: no room on the disk, and nothing has changed. */
MUST_CHECK int datalog_append(struct datalog *l, struct record *r, struct str payload, struct place *ret, struct err *e);
MUST_CHECK int datalog_flush(struct datalog *l, struct err *e);
MUST_CHECK int datalog_sync(struct datalog *l, struct err *e);

/* Begins the next file, so that all before it can be moved or looked at. */
MUST_CHECK int datalog_rotate(struct datalog *l, struct err *e);

/* The same for a copy that is to have files of the same numbers: one without files has two then. */
MUST_CHECK int datalog_jump(struct datalog *l, struct err *e);

/* Makes all records void, for good once it returns. */
MUST_CHECK int datalog_clear(struct datalog *l, struct err *e);

/* Puts F, whose content lies in the folder as NAME and is safe, in the place of the file of its number, which is not the last; F's descriptor is
 * taken. */
MUST_CHECK int datalog_replace(struct datalog *l, const struct data_file *f, const char *name, struct err *e);
MUST_CHECK int datalog_drop(struct datalog *l, uint32_t file, struct err *e); /* nothing in it is needed */

struct reading {
	struct record record; /* its id and PAYLOAD are borrowed until the next append or read */
	struct str payload;   /* as much of it as was at hand */
	int fd;               /* where the payload stands, when it is not all at hand */
	const struct map *map; /* all of the payload is in it; NULL: it is read from FD */
	uint32_t payload_at;
	uint8_t room[DATALOG_AT_ONCE_BYTES];
};
/* -ENOENT: there is no such file; -EBADMSG: no record stands there. */
MUST_CHECK int datalog_read(const struct datalog *l, struct place at, struct reading *ret, struct err *e);

/* All of the payload, N = record.length bytes. -EBADMSG: it is not what was written. */
MUST_CHECK int datalog_payload(const struct reading *r, uint8_t *ret, struct err *e);

/* The same where it lies: that part of the map of its file, until a file is replaced, dropped or closed. The kernel may have to read it from the disk once more, so
 * it is looked at with map_look() or by a system call. LEND_NOT: it is not to be had that way. */
enum { LEND_NOT = 1 };
MUST_CHECK int datalog_lend(const struct reading *r, struct map *ret, struct err *e);

/* Whether the payload is VALUE, of that CRC. What cannot be read is not. */
bool datalog_is(const struct reading *r, struct str value, uint32_t crc);

struct data_file *datalog_file(const struct datalog *l, uint32_t file);
uint64_t datalog_bytes(const struct datalog *l); /* of all files */

void datalog_unmark(struct datalog *l); /* what changes from now on counts */

/* The record behind AT (offset 0: the first of that file), whatever it is: in AT's file alone, or going on in the next one; or the one before it (offset 0: the last).
 * A file that is gone is stepped over, and so is a gap. -errno: what stands there cannot be read, and nobody knows what would come then. */
enum { DATALOG_END = 1 };
MUST_CHECK int datalog_next_in(const struct datalog *l, struct place at, struct reading *r, struct place *ret, struct err *e);
MUST_CHECK int datalog_next(const struct datalog *l, struct place at, struct reading *r, struct place *ret, struct err *e);
MUST_CHECK int datalog_previous(const struct datalog *l, struct place at, struct reading *r, struct place *ret, struct err *e);
