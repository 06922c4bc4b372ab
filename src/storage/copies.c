#include "storage/copies.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/parse.h"
#include "storage/quota.h"

#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

enum { ANSWER_MAX = 1024 };
#define STEP_BYTES (1ull << 20) /* a change of less is not worth a write */

/* The number of the subvolume at FD. */
static int tree_of(int fd, uint64_t *ret)
{
	struct btrfs_ioctl_ino_lookup_args a = { .objectid = BTRFS_FIRST_FREE_OBJECTID };

	if (ioctl(fd, BTRFS_IOC_INO_LOOKUP, &a))
		return -errno;
	*ret = a.treeid;
	return 0;
}

/* What the nodes of the tree take, in one copy, as its root item said at the last commit. */
static int books_of(int fd, uint64_t tree, uint64_t *ret)
{
	union {
		struct btrfs_ioctl_search_args_v2 args;
		char room[sizeof(struct btrfs_ioctl_search_args_v2) + ANSWER_MAX];
	} u = { .args = { .key = { .tree_id = BTRFS_ROOT_TREE_OBJECTID,
				   .min_objectid = tree,
				   .max_objectid = tree,
				   .min_type = BTRFS_ROOT_ITEM_KEY,
				   .max_type = BTRFS_ROOT_ITEM_KEY,
				   .max_offset = UINT64_MAX,
				   .max_transid = UINT64_MAX,
				   .nr_items = 1 },
			  .buf_size = ANSWER_MAX } };
	struct btrfs_ioctl_search_header head;
	struct btrfs_root_item item;

	if (ioctl(fd, BTRFS_IOC_TREE_SEARCH_V2, &u.args))
		return -errno;
	memcpy(&head, u.args.buf, sizeof(head));
	if (u.args.key.nr_items != 1 || head.len < offsetof(struct btrfs_root_item, last_snapshot))
		return -ENOENT;
	memcpy(&item, (const char *)u.args.buf + sizeof(head), offsetof(struct btrfs_root_item, last_snapshot));
	*ret = le64toh(item.bytes_used);
	return 0;
}

/* -ENOENT: it has none, as one that is being made or removed, or was made before there were two. */
static int limits_get(int fd, uint64_t group, struct quota_limits *ret, struct err *e)
{
	int r = quota_limits_get(fd, group, ret, e);

	return r ? r : ret->size_bytes ? 0 : -ENOENT;
}

static int volume_count(int fd, const char *name, struct err *e)
{
	char path[300];
	struct quota_limits l;
	uint64_t tree = 0, books = 0, limit;
	int r;

	snprintf(path, sizeof(path), "volumes/%s/data", name);
	AUTO_FD int data = openat(fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (data < 0 || limits_get(fd, quota_group(name), &l, e))
		return 0;
	if ((r = tree_of(data, &tree)) || (r = books_of(data, tree, &books)))
		return err_set(e, r, "ask what the names in %s take: %s", name, strerror(-r));
	limit = l.size_bytes > books ? l.size_bytes - books : 0;
	if (limit / STEP_BYTES == l.limit_bytes / STEP_BYTES)
		return 0;
	return quota_limit_below(fd, quota_group(name), l.size_bytes, limit > STEP_BYTES ? limit : STEP_BYTES, e);
}

int copies_count(int fd, struct err *e)
{
	AUTO_FD int folder = openat(fd, "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_DIR DIR *d = folder < 0 ? NULL : fdopendir(folder);
	const struct dirent *entry;
	int r = 0;

	if (!d)
		return err_set(e, -errno, "list the volumes: %m");
	take_fd(folder);
	while ((entry = readdir(d))) {
		int one = entry->d_name[0] == '.' ? 0 : volume_count(fd, entry->d_name, e);

		r = one ? one : r; /* of the others nevertheless */
	}
	return r;
}
