/* What stands in a data file: its head, and records one behind the other (doc/disk-zdb.md). Pure.
 *
 * Two formats are read, the original's (version 3) and ours (4); ours alone is written. */
#pragma once
#include "base/cleanup.h"
#include "base/str.h"

#include <stdint.h>

enum {
	RECORD_ID_MAX = 255,
	RECORD_PAYLOAD_MAX = 8 << 20,
	RECORD_HEAD_MAX = 32, /* without the id */
	DATA_HEAD_MAX = 32,
	DATA_VERSION_ORIGINAL = 3,
	DATA_VERSION = 4,
};

struct data_head {
	uint32_t version, file;
	uint32_t generation; /* how often the file was compacted */
	uint32_t first;      /* files below this one are void: the namespace was flushed */
	uint64_t salt;       /* random, known to no client: no payload looks like a record */
	uint32_t n_bytes;    /* where the first record begins */
};

static inline bool data_head_eq(const struct data_head *a, const struct data_head *b)
{
	return a->version == b->version && a->file == b->file && a->generation == b->generation && a->first == b->first && a->salt == b->salt &&
	       a->n_bytes == b->n_bytes;
}

enum record_flags { RECORD_DELETED = 1, RECORD_TRUNCATED = 2 };

struct place { /* of a record; offset 0 = none */
	uint32_t file, offset;
};

static inline bool place_is_before(struct place a, struct place b)
{
	return a.file < b.file || (a.file == b.file && a.offset < b.offset);
}

struct record {
	uint32_t length, time_s, crc; /* of the payload; CRC-32C without inversions, as CHECK compares */
	uint32_t previous;            /* offset of the record before it in this file; 0 = none */
	struct place parent;          /* the same key's record before; ours only */
	uint8_t flags;
	struct str id;
};

void data_head_encode(const struct data_head *h, uint8_t ret[static DATA_HEAD_MAX]);

/* From the first N bytes of a file, DATA_HEAD_MAX or all it has. -EBADMSG: no data file, or a damaged one; -EPROTONOSUPPORT: of a version
 * that is not known. */
MUST_CHECK int data_head_decode(const void *p, size_t n, struct data_head *ret);

/* Head and id of a record that is to stand at OFFSET; returns their size. */
size_t record_encode(const struct data_head *h, uint32_t offset, const struct record *r, uint8_t ret[static RECORD_HEAD_MAX + RECORD_ID_MAX]);

/* The record at OFFSET, from the N bytes that stand there; id is borrowed from them. RECORD_SHORT: it needs more bytes than N. -EBADMSG:
 * none stands there. */
enum { RECORD_SHORT = 1 };
MUST_CHECK int record_decode(const struct data_head *h, uint32_t offset, const void *p, size_t n, struct record *ret);

/* Bytes in front of the payload. */
uint32_t record_head_bytes(const struct data_head *h, const struct record *r);

static inline uint64_t record_bytes(const struct data_head *h, const struct record *r)
{
	return (uint64_t)record_head_bytes(h, r) + r->length;
}

uint32_t record_crc_more(uint32_t crc, struct str part); /* of a payload in parts, from 0 on */

static inline uint32_t record_crc(struct str payload)
{
	return record_crc_more(0, payload);
}

/* Whether what stands at P may begin a record: cheap, and right for each that is one. For who looks for the next whole one behind damage. */
bool record_may_begin(const struct data_head *h, const uint8_t p[static RECORD_HEAD_MAX]);
