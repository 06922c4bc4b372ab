#include "zdb/keydir.h"

#include "base/err.h"

#include <sodium.h>

_Static_assert(KEYDIR_HASH_KEY_BYTES == crypto_shorthash_KEYBYTES, "the hash's key");

enum { MASK = KEYDIR_SLOTS - 1, FULL = KEYDIR_SLOTS * 7 / 8 };

static struct keydir_segment *segment_new(uint32_t depth)
{
	struct keydir_segment *s = calloc(1, sizeof(*s));

	BUG_ON(!s);
	s->depth = depth;
	return s;
}

/* Which place of the directory a tag belongs to: by its upper bits; the slot goes by the lower ones. */
static uint64_t at_of(const struct keydir *k, uint32_t tag)
{
	return k->depth ? tag >> (32 - k->depth) : 0;
}

static uint64_t span(const struct keydir *k, const struct keydir_segment *s)
{
	return 1ull << (k->depth - s->depth);
}

static void dir_new(struct keydir *k, uint32_t depth)
{
	k->depth = depth;
	k->dir = calloc(1ull << depth, sizeof(*k->dir));
	BUG_ON(!k->dir);
}

void keydir_init(struct keydir *ret, const uint8_t hash_key[static KEYDIR_HASH_KEY_BYTES])
{
	*ret = (struct keydir)KEYDIR_NONE;
	memcpy(ret->hash_key, hash_key, sizeof(ret->hash_key));
	dir_new(ret, 0);
	ret->dir[0] = segment_new(0);
}

void keydir_deinit(struct keydir *k)
{
	for (uint64_t at = 0, next; k->dir && at < 1ull << k->depth; at = next) {
		next = at + (k->dir[at] ? span(k, k->dir[at]) : 1);
		free(k->dir[at]);
	}
	free(k->dir);
	*k = (struct keydir)KEYDIR_NONE;
}

uint32_t keydir_tag(const struct keydir *k, struct str id)
{
	uint8_t hash[crypto_shorthash_BYTES];
	uint32_t tag;

	crypto_shorthash(hash, (const uint8_t *)id.p, id.n, k->hash_key);
	memcpy(&tag, hash, sizeof(tag));
	return tag;
}

void keydir_ahead(const struct keydir *k, uint32_t tag)
{
	const struct keydir_segment *s = k->dir[at_of(k, tag)];

	__builtin_prefetch(s);
	__builtin_prefetch(&s->slots[tag & MASK]);
}

static bool seek_on(struct keydir_seek *s, struct place *ret)
{
	for (const struct keydir_slot *e; (e = &s->segment->slots[s->slot])->offset; s->slot = (s->slot + 1) & MASK)
		if (e->tag == s->tag) {
			*ret = (struct place){ e->file, e->offset };
			return true;
		}
	return false;
}

bool keydir_first(const struct keydir *k, uint32_t tag, struct keydir_seek *s, struct place *ret)
{
	*s = (struct keydir_seek){ .segment = k->dir[at_of(k, tag)], .slot = tag & MASK, .tag = tag };
	return seek_on(s, ret);
}

bool keydir_next(struct keydir_seek *s, struct place *ret)
{
	s->slot = (s->slot + 1) & MASK;
	return seek_on(s, ret);
}

static void segment_put(struct keydir_segment *s, uint32_t tag, struct place at)
{
	uint32_t slot = tag & MASK;

	while (s->slots[slot].offset)
		slot = (slot + 1) & MASK;
	s->slots[slot] = (struct keydir_slot){ tag, at.file, at.offset };
	s->n++;
}

static void dir_double(struct keydir *k)
{
	struct keydir_segment **old = k->dir;
	uint32_t depth = k->depth;

	dir_new(k, depth + 1);
	for (uint64_t i = 0; i < 1ull << depth; i++)
		k->dir[2 * i] = k->dir[2 * i + 1] = old[i];
	free(old);
}

/* Two of one: by the next bit of the tags in it. */
static int split(struct keydir *k, uint32_t tag)
{
	struct keydir_segment *s = k->dir[at_of(k, tag)], *half[2];
	uint64_t first;

	if (s->depth == KEYDIR_DEPTH_MAX)
		return s->n == KEYDIR_SLOTS - 1 ? -ENOSPC : 0; /* one slot stays free: a search ends there */
	if (s->depth == k->depth)
		dir_double(k);
	first = at_of(k, tag) & ~(span(k, s) - 1);
	half[0] = segment_new(s->depth + 1);
	half[1] = segment_new(s->depth + 1);
	for (uint32_t i = 0; i < KEYDIR_SLOTS; i++)
		if (s->slots[i].offset)
			segment_put(half[s->slots[i].tag >> (31 - s->depth) & 1], s->slots[i].tag,
				    (struct place){ s->slots[i].file, s->slots[i].offset });
	for (uint64_t i = 0; i < span(k, s); i++)
		k->dir[first + i] = half[i >= span(k, s) / 2];
	free(s);
	return 0;
}

int keydir_add(struct keydir *k, uint32_t tag, struct place at)
{
	int r = 0;

	while (!r && k->dir[at_of(k, tag)]->n >= FULL) {
		uint32_t depth = k->dir[at_of(k, tag)]->depth;

		r = split(k, tag);
		if (depth == KEYDIR_DEPTH_MAX)
			break;
	}
	if (r)
		return r;
	segment_put(k->dir[at_of(k, tag)], tag, at);
	k->n++;
	return 0;
}

void keydir_set(struct keydir_seek *s, struct place at)
{
	s->segment->slots[s->slot].file = at.file;
	s->segment->slots[s->slot].offset = at.offset;
}

/* Those behind a freed slot move up, as far as a search for them would otherwise end at it. */
void keydir_remove(struct keydir *k, struct keydir_seek *s)
{
	struct keydir_slot *slots = s->segment->slots;
	uint32_t hole = s->slot;

	for (uint32_t i = (hole + 1) & MASK; slots[i].offset; i = (i + 1) & MASK) {
		uint32_t home = slots[i].tag & MASK;

		if (((i - home) & MASK) < ((i - hole) & MASK))
			continue;
		slots[hole] = slots[i];
		hole = i;
	}
	slots[hole] = (struct keydir_slot){ 0 };
	s->segment->n--;
	k->n--;
}

bool keydir_find(const struct keydir *k, uint32_t tag, struct place at, struct keydir_seek *ret)
{
	struct place found;

	for (bool is = keydir_first(k, tag, ret, &found); is; is = keydir_next(ret, &found))
		if (found.file == at.file && found.offset == at.offset)
			return true;
	return false;
}

const struct keydir_segment *keydir_each(const struct keydir *k, uint64_t *at)
{
	const struct keydir_segment *s;

	if (*at >= 1ull << k->depth)
		return NULL;
	s = k->dir[*at];
	*at += span(k, s);
	return s;
}

void keydir_before(const struct keydir_segment *s, struct place end, struct keydir_segment *ret)
{
	*ret = (struct keydir_segment){ .depth = s->depth };
	for (uint32_t i = 0; i < KEYDIR_SLOTS; i++) {
		struct place at = { s->slots[i].file, s->slots[i].offset };

		if (at.offset && place_is_before(at, end))
			segment_put(ret, s->slots[i].tag, at);
	}
}

static bool is_sound(const struct keydir_segment *s, uint32_t depth, uint64_t at)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < KEYDIR_SLOTS; i++) {
		if (!s->slots[i].offset)
			continue;
		n++;
		if (s->depth && s->slots[i].tag >> (32 - s->depth) != at >> (depth - s->depth))
			return false;
	}
	return n == s->n && n < KEYDIR_SLOTS;
}

int keydir_load(struct keydir *k, const struct keydir_segment *s, uint64_t *at, uint32_t depth)
{
	struct keydir_segment *copy;

	if (depth > KEYDIR_DEPTH_MAX || s->depth > depth || *at >= 1ull << depth || *at & ((1ull << (depth - s->depth)) - 1) ||
	    !is_sound(s, depth, *at))
		return -EBADMSG;
	if (!*at) {
		uint8_t hash_key[KEYDIR_HASH_KEY_BYTES];

		memcpy(hash_key, k->hash_key, sizeof(hash_key));
		keydir_deinit(k);
		memcpy(k->hash_key, hash_key, sizeof(hash_key));
		dir_new(k, depth);
	}
	copy = segment_new(s->depth);
	*copy = *s;
	for (uint64_t i = 0; i < span(k, s); i++)
		k->dir[*at + i] = copy;
	*at += span(k, s);
	k->n += s->n;
	return 0;
}

uint64_t keydir_bytes(const struct keydir *k)
{
	uint64_t bytes = sizeof(*k->dir) << k->depth;

	for (uint64_t at = 0; keydir_each(k, &at);)
		bytes += sizeof(struct keydir_segment);
	return bytes;
}
