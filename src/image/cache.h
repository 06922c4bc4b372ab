/* The cache of images: EROFS files of layers and a record for each image. doc/image-cache.md has the format.
 *
 * One process, imaged, owns the directory and is the only one that writes it. A pull writes into its slot; what it leaves there is moved
 * into the cache once it has ended, under the scope that it was started for. A file is there whole or not at all. */
#pragma once
#include "base/buf.h"
#include "image/manifest.h"

enum { CACHE_SLOTS = 16, CACHE_REFERENCE_MAX = 640, CACHE_PATH_MAX = 256, CACHE_DIR_MAX = 100, CACHE_SCOPE_LEN = 16 };

struct cache {
	char dir[CACHE_DIR_MAX + 1];
};

struct cache_record {
	sd_json_variant *data;   /* owned: what the rest points into */
	const char *reference;   /* borrowed: as it was pulled or pushed, for people */
	const char *owner;       /* borrowed: whose alone it is; "" = everybody's */
	sd_json_variant *config; /* borrowed */
	sd_json_variant *layers; /* borrowed: 64 hex digits each, lowest first */
};
void cache_record_deinit(struct cache_record *r);

/* Makes what is missing. */
MUST_CHECK int cache_open(struct cache *ret, const char *dir, struct err *e);

/* Who may meet whom in the cache: pulls of one scope share layers and records, others never see them. OWNER "" = what everybody may
 * pull. */
void cache_scope(const char *host, const char *owner, char ret[static CACHE_SCOPE_LEN + 1]);

/* A slot is made empty for a pull, with the FIFO called "fifo" in it. */
MUST_CHECK int cache_slot_make(const struct cache *c, unsigned slot, struct err *e);
void cache_slot_path(const struct cache *c, unsigned slot, char ret[static CACHE_PATH_MAX]);
/* Takes over what a pull has left, once nothing of it runs any more: finished layers and, with a DIGEST, that image's record. What the
 * cache has already stays as it is. Then the slot is removed. */
MUST_CHECK int cache_slot_take(const struct cache *c, unsigned slot, const char *scope, const char *digest, struct err *e);

/* For the pull itself: a finished layer, and the record, put into the slot under the names that cache_slot_take() looks for. */
MUST_CHECK int cache_slot_add(const char *slot_dir, const char *from, const char *hex, struct err *e);
MUST_CHECK int cache_slot_record(const char *slot_dir, const struct cache_record *record, struct err *e);

void cache_layer_path(const struct cache *c, const char *scope, const char *hex, char ret[static CACHE_PATH_MAX]);
bool cache_layer_is_there(const struct cache *c, const char *scope, const char *hex);
bool cache_layer_use(const struct cache *c, const char *scope, const char *hex); /* false = not there; marks it as used now */

/* The record of an image that is whole, all of it marked as used now. -ENOENT when anything is missing. Returns owned. */
MUST_CHECK int cache_record_use(const struct cache *c, const char *scope, const char *digest, struct cache_record *ret, struct err *e);

/* The same, without a mark. */
MUST_CHECK int cache_record_find(const struct cache *c, const char *scope, const char *digest, struct cache_record *ret, struct err *e);

/* Notes that HOLDER, a name of the engine's, needs the image; one image each, the last one counts. Outlives the daemon. */
MUST_CHECK int cache_hold(const struct cache *c, const char *holder, const char *scope, const char *digest, struct err *e);
void cache_release(const struct cache *c, const char *holder);
MUST_CHECK int cache_holders(const struct cache *c, sd_json_variant **ret, struct err *e); /* an array of their names. Returns owned */

/* Which image a holder needs. */
struct cache_need {
	const char *holder, *name; /* borrowed; NAME: what its record is called */
	char scope[CACHE_SCOPE_LEN + 1], digest[DIGEST_LEN + 1];
};
/* Calls EACH for what every holder needs, until it returns something else than 0. */
MUST_CHECK int cache_needs(const struct cache *c, int (*each)(void *ctx, const struct cache_need *n), void *ctx, struct err *e);

/* What is there: [{reference, digest, owner, size, used (Unix time), holders: [name]}]; shared layers count for each. Returns owned. */
MUST_CHECK int cache_list(const struct cache *c, sd_json_variant **ret, struct err *e);

/* Removes the images that nobody holds, OWNER's alone unless it is NULL, and their layers; what was used since SINCE_S stays. Returns how
 * many images went, or -errno. */
int cache_prune(const struct cache *c, const char *owner, int64_t since_s, uint64_t *ret_bytes, struct err *e);

/* Removes least recently used layers until they take at most LIMIT_BYTES, and the records that lack one then. What a holder needs
 * stays, and so does what was used since SINCE_S (Unix time). Returns how many files went, or -errno. */
int cache_evict(const struct cache *c, uint64_t limit_bytes, int64_t since_s, struct err *e);
