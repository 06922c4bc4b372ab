/* The limit of a volume on btrfs: a quota group of level 1 that its data and all of its snapshots are in, so that what they keep counts once
 * and to nobody else (btrfs-quota(5), simple quotas). */
#pragma once
#include "base/err.h"

#include <stdint.h>

/* The group of the volume NAME, the same at each call. */
uint64_t quota_group(const char *name);

/* Makes the group, FS being any descriptor on the file system; it may be there. */
MUST_CHECK int quota_make(int fs, uint64_t group, struct err *e);
/* Its size, which is its limit, too, until somebody puts that below. */
MUST_CHECK int quota_limit(int fs, uint64_t group, uint64_t bytes, struct err *e);
MUST_CHECK int quota_limit_below(int fs, uint64_t group, uint64_t size_bytes, uint64_t limit_bytes, struct err *e);

struct quota_limits {
	uint64_t size_bytes, limit_bytes; /* 0 = it has none */
};
/* -ENOENT: there is no such group. */
MUST_CHECK int quota_limits_get(int fs, uint64_t group, struct quota_limits *ret, struct err *e);
/* Removes an empty group; one that still has members, whose extents are being freed, stays until it is removed again. */
MUST_CHECK int quota_remove(int fs, uint64_t group, struct err *e);

/* The file in sysfs that says how many bytes are in the group. */
MUST_CHECK int quota_usage_path(int fs, uint64_t group, char ret[static 128], struct err *e);
