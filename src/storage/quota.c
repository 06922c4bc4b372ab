#include "storage/quota.h"

#include "base/file.h"
#include "base/parse.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/btrfs.h>
#include <stdio.h>
#include <sys/ioctl.h>

enum { LEVEL_SHIFT = 48, NUMBER_TEXT_MAX = 32 };
#define NUMBER_MASK (((uint64_t)1 << LEVEL_SHIFT) - 1)

/* FNV-1a, folded into the 48 bits below the level: names hold an identifier that is random already. */
uint64_t quota_group(const char *name)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0x100000001b3;
	return 1ull << LEVEL_SHIFT | ((h ^ h >> LEVEL_SHIFT) & NUMBER_MASK);
}

int quota_make(int fs, uint64_t group, struct err *e)
{
	struct btrfs_ioctl_qgroup_create_args a = { .create = 1, .qgroupid = group };

	if (ioctl(fs, BTRFS_IOC_QGROUP_CREATE, &a) && errno != EEXIST)
		return err_set(e, -errno, "make a quota group: %m");
	return 0;
}

/* With simple quotas both of a group's counts are the same, so both limits hold: what it has at most, and where its size is remembered. */
int quota_limit_below(int fs, uint64_t group, uint64_t size_bytes, uint64_t limit_bytes, struct err *e)
{
	struct btrfs_ioctl_qgroup_limit_args a = {
		.qgroupid = group,
		.lim = { .flags = BTRFS_QGROUP_LIMIT_MAX_RFER | BTRFS_QGROUP_LIMIT_MAX_EXCL, .max_rfer = limit_bytes, .max_excl = size_bytes }
	};

	return ioctl(fs, BTRFS_IOC_QGROUP_LIMIT, &a) ? err_set(e, -errno, "limit it to %" PRIu64 " bytes: %m", limit_bytes) : 0;
}

int quota_limit(int fs, uint64_t group, uint64_t bytes, struct err *e)
{
	return quota_limit_below(fs, group, bytes, bytes, e);
}

int quota_remove(int fs, uint64_t group, struct err *e)
{
	struct btrfs_ioctl_qgroup_create_args a = { .qgroupid = group };

	if (ioctl(fs, BTRFS_IOC_QGROUP_CREATE, &a) && errno != ENOENT && errno != EBUSY)
		return err_set(e, -errno, "remove its quota group: %m");
	return 0;
}

static int group_path(int fs, uint64_t group, const char *what, char ret[static 128], struct err *e)
{
	struct btrfs_ioctl_fs_info_args a = { 0 };
	const uint8_t *u = a.fsid;

	if (ioctl(fs, BTRFS_IOC_FS_INFO, &a))
		return err_set(e, -errno, "ask for the file system's UUID: %m");
	snprintf(ret, 128, "/sys/fs/btrfs/%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x/qgroups/%" PRIu64 "_%" PRIu64 "/%s",
		 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15], group >> LEVEL_SHIFT,
		 group & NUMBER_MASK, what);
	return 0;
}

int quota_usage_path(int fs, uint64_t group, char ret[static 128], struct err *e)
{
	return group_path(fs, group, "referenced", ret, e);
}

static int number_get(int fs, uint64_t group, const char *what, uint64_t *ret, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	char path[128];
	int r;

	if ((r = group_path(fs, group, what, path, e)) || (r = file_read(AT_FDCWD, path, NUMBER_TEXT_MAX, &text, e)))
		return r;
	while (text.len && text.p[text.len - 1] == '\n')
		text.len--;
	return parse_u64(buf_str(&text), UINT64_MAX, ret) ? err_set(e, -EBADMSG, "%s has no number", path) : 0;
}

int quota_limits_get(int fs, uint64_t group, struct quota_limits *ret, struct err *e)
{
	int r = number_get(fs, group, "max_exclusive", &ret->size_bytes, e);

	return r ? r : number_get(fs, group, "max_referenced", &ret->limit_bytes, e);
}
