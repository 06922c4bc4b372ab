/* The public IPv4 addresses that a farm gives a node for its machines: which there are, and which is next. Pure; who has one is the caller's to keep. */
#pragma once
#include "base/err.h"
#include "base/parse.h"

enum { POOL_RANGES_MAX = 16, POOL_ADDRESSES_MAX = 256, POOL_ID_LEN = 8 };

struct pool {
	struct range4 ranges[POOL_RANGES_MAX]; /* each address of each; none stands in two */
	size_t n;
};

/* Takes the addresses of RANGE, "198.51.100.16/29" or a single "198.51.100.7/32", all of which machines may have. -EBADMSG: it is no whole range, or private, or
 * holds an address that P has; -ENOSPC: more than POOL_ADDRESSES_MAX addresses, or POOL_RANGES_MAX ranges. P is as it was then. */
MUST_CHECK int pool_add(struct pool *p, struct str range, struct err *e);
size_t pool_size(const struct pool *p);
bool pool_has(const struct pool *p, uint32_t address);
/* Whether an address is in both. */
bool pool_overlaps(const struct pool *a, const struct pool *b);

/* The address for who has ID, at least POOL_ID_LEN hex digits: at the place that ID says, or the next, around, that is not among the N of TAKEN. So who comes
 * back finds what it had, if nobody has it, and one that was returned is not at once another's. POOL_EMPTY: all are taken. */
enum { POOL_EMPTY = 1 };
MUST_CHECK int pool_pick(const struct pool *p, const char *id, const uint32_t *taken, size_t n, uint32_t *ret);
