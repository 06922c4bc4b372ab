/* Where the newest record of each key stands: a hash table that holds no keys (12 bytes an entry, some 18 a key). Pure.
 *
 * Extendible hashing: segments of one size, of which one is split when it is full, so that growing never stops the loop for long. An entry
 * is found by 32 bits of the key's hash; who looks reads the record that it names, and goes on when that is another key's. */
#pragma once
#include "zdb/record.h"

enum { KEYDIR_HASH_KEY_BYTES = 16, KEYDIR_SLOTS = 512, KEYDIR_DEPTH_MAX = 26 };

struct keydir_slot {
	uint32_t tag, file, offset; /* offset 0: free */
};

struct keydir_segment {
	uint32_t depth, n; /* bits of the hash that all in it share; entries */
	struct keydir_slot slots[KEYDIR_SLOTS];
};

struct keydir {
	struct keydir_segment **dir; /* 1 << depth, a segment under each tag that begins so */
	uint32_t depth;
	uint64_t n;
	uint8_t hash_key[KEYDIR_HASH_KEY_BYTES]; /* secret: nobody chooses keys that meet */
};
#define KEYDIR_NONE { 0 }

/* An empty one. */
void keydir_init(struct keydir *ret, const uint8_t hash_key[static KEYDIR_HASH_KEY_BYTES]);
void keydir_deinit(struct keydir *k);

uint32_t keydir_tag(const struct keydir *k, struct str id);

/* TAG will be looked for soon: its place in memory is fetched meanwhile, which takes longer than all else that is done with it. */
void keydir_ahead(const struct keydir *k, uint32_t tag);

struct keydir_seek { /* valid until the next add or remove */
	struct keydir_segment *segment;
	uint32_t slot, tag;
};

/* The records that may be TAG's, one after the other; false when there is no further one. */
bool keydir_first(const struct keydir *k, uint32_t tag, struct keydir_seek *s, struct place *ret);
bool keydir_next(struct keydir_seek *s, struct place *ret);

/* -ENOSPC: no room for more keys of that kind (thousands of millions). */
MUST_CHECK int keydir_add(struct keydir *k, uint32_t tag, struct place at);
void keydir_set(struct keydir_seek *s, struct place at); /* what S found last, elsewhere */
void keydir_remove(struct keydir *k, struct keydir_seek *s);

/* Whether TAG has an entry for just that place. */
bool keydir_find(const struct keydir *k, uint32_t tag, struct place at, struct keydir_seek *ret);

/* The segments one after the other, from *AT = 0 or keydir_at() on: NULL at the end. For checkpoints. */
const struct keydir_segment *keydir_each(const struct keydir *k, uint64_t *at);

/* Where keydir_each() comes to the segment with TAG, which is the first in it, or 1 << 32 for the end. */
static inline uint64_t keydir_at(const struct keydir *k, uint64_t tag)
{
	return tag >> (32 - k->depth);
}

/* What of S stands before END. */
void keydir_before(const struct keydir_segment *s, struct place end, struct keydir_segment *ret);

/* The next segment of one that is being read back, in the order of keydir_each(); K is empty before the first. -EBADMSG: it does not fit. */
MUST_CHECK int keydir_load(struct keydir *k, const struct keydir_segment *s, uint64_t *at, uint32_t depth);
uint64_t keydir_bytes(const struct keydir *k); /* of memory */
