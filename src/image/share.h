/* What machines on a node need of one image cache, put into another: any disk that survives then has the images of what ran, whether a registry is there or not
 * (decision 114). Layers before records, records before holders: what a power cut leaves is whole, or counts as absent. */
#pragma once
#include "image/cache.h"

#define SHARE_MARK "copy" /* a file in a cache that is a copy of another, and nothing else */

struct share_end {
	size_t n_given; /* images that were not there before */
	size_t n_left_out; /* those for which there is no room */
};

/* Gives TO what holders in FROM need, with its holders: one that TO knows needs what it needs in FROM if IS_NEWER, else what it needs in TO. Layers in TO take at most LIMIT_BYTES by that, and
 * leave a sixteenth of the file system free. TO's folders are there. */
MUST_CHECK int share_give(const struct cache *from, const struct cache *to, bool is_newer, uint64_t limit_bytes, struct share_end *ret,
			  struct err *e);

/* Makes what is missing of the cache TO; one that is new is marked as a copy. Its folders are OWNER's. */
MUST_CHECK int share_open(const struct cache *to, unsigned owner, struct err *e);

/* If TO is marked as a copy, it loses what no holder in FROM needs. */
MUST_CHECK int share_trim(const struct cache *from, const struct cache *to, struct err *e);
