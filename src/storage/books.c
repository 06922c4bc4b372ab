/* btrfs takes its disk in pieces, each for books or for data. An owner who fills a volume, takes most of it away and makes many small files leaves
 * pieces for data that are nearly empty and no room for books: nobody can make a file then, and the node keeps no order. */
#include "storage/books.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DEVID = 1, SPACES_MAX = 16 };
#define BOOKS_ROOM (64ull << 20) /* the state of a full node several times over (doc/disk.md) */
#define BOOKS_LEAST (16ull << 20) /* ... once */
#define PIECE_MAX (1ull << 30)
#define PIECE_USED_MAX 95 /* per cent: of fuller ones nothing comes back */

/* Bytes. */
struct room {
	uint64_t books, data; /* free in the pieces for each, but for what the kernel keeps for itself */
	uint64_t apart;       /* in no piece yet */
	uint64_t piece;       /* as large as one is at most */
};

static uint64_t left(uint64_t total, uint64_t used)
{
	return total > used ? total - used : 0;
}

static int room_look(int fd, struct room *ret, struct err *e)
{
	AUTO_FREE struct btrfs_ioctl_space_args *a = calloc(1, sizeof(*a) + SPACES_MAX * sizeof(a->spaces[0]));
	struct btrfs_ioctl_dev_info_args dev = { .devid = DEVID };
	uint64_t kept = 0;

	BUG_ON(!a);
	a->space_slots = SPACES_MAX;
	if (ioctl(fd, BTRFS_IOC_SPACE_INFO, a) || ioctl(fd, BTRFS_IOC_DEV_INFO, &dev))
		return err_set(e, -errno, "ask for its room: %m");
	*ret = (struct room){ .apart = left(dev.total_bytes, dev.bytes_used),
			      .piece = dev.total_bytes / 10 < PIECE_MAX ? dev.total_bytes / 10 : PIECE_MAX };
	for (uint64_t i = 0; i < a->total_spaces && i < SPACES_MAX; i++) {
		const struct btrfs_ioctl_space_info *s = &a->spaces[i];

		if (s->flags & BTRFS_SPACE_INFO_GLOBAL_RSV)
			kept += s->total_bytes;
		else if (s->flags & BTRFS_BLOCK_GROUP_METADATA)
			ret->books += left(s->total_bytes, s->used_bytes);
		else if (s->flags & BTRFS_BLOCK_GROUP_DATA)
			ret->data += left(s->total_bytes, s->used_bytes);
	}
	ret->books = left(ret->books, kept);
	return 0;
}

/* Whether something is to be done, and can be: what is free in the pieces for data is a whole one together. Books have a copy. */
static bool is_narrow(const struct room *r)
{
	return r->books < BOOKS_ROOM && r->apart < 2 * BOOKS_ROOM && r->data >= r->piece;
}

/* One that is used less than USED_MAX per cent, if there is any. */
static int piece_move(int fd, uint64_t used_max, struct err *e)
{
	struct btrfs_ioctl_balance_args a = {
		.flags = BTRFS_BALANCE_DATA,
		.data = { .flags = BTRFS_BALANCE_ARGS_USAGE | BTRFS_BALANCE_ARGS_LIMIT, .usage = used_max, .limit = 1 },
	};

	if (ioctl(fd, BTRFS_IOC_BALANCE_V2, &a))
		return errno == ENOSPC || errno == EINPROGRESS ? 0 : err_set(e, -errno, "gather what lies on it: %m");
	return 0;
}

/* What was given back is taken for books before somebody's next small file has it for data: the kernel takes a piece for them when something needs more room
 * there than is left, and nothing needs as much as a file that takes the place of another. */
static int piece_claim(int fd, struct err *e)
{
	static const char *const names[] = { ".books", ".books.new" };
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_LEN(names); i++) {
		AUTO_FD int file = openat(fd, names[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		r = file < 0 ? -errno : 0;
	}
	if (!r && renameat(fd, names[1], fd, names[0]))
		r = -errno;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)unlinkat(fd, names[i], 0);
	return r && r != -ENOSPC ? err_set(e, r, "take room for its books: %s", strerror(-r)) : 0;
}

int books_widen(int fd, struct err *e)
{
	/* the emptiest first: it costs least to move, and gives most */
	static const uint64_t used_max[] = { 1, 50, 75, PIECE_USED_MAX };
	struct room room;
	int r;

	for (size_t i = 0; i < ARRAY_LEN(used_max); i++) {
		if ((r = room_look(fd, &room, e)) || !is_narrow(&room))
			return r;
		if ((r = piece_move(fd, used_max[i], e)) || (r = piece_claim(fd, e)))
			return r;
	}
	return 0;
}

int books_look(int fd, bool *ret_scarce, struct err *e)
{
	struct room room;
	int r = room_look(fd, &room, e);

	if (!r)
		*ret_scarce = room.books < BOOKS_LEAST && room.apart < 2 * BOOKS_LEAST;
	return r;
}
