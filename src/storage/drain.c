#include "storage/drain.h"

#include "storage/fill.h"

#include <dirent.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>

enum { PIECE = 64 << 10 };

struct linked {
	dev_t dev;
	ino_t ino;
	char name[]; /* under which it came */
};

static int linked_order(const void *a, const void *b)
{
	const struct linked *x = a, *y = b;

	return x->dev != y->dev ? (x->dev < y->dev ? -1 : 1) : x->ino != y->ino ? (x->ino < y->ino ? -1 : 1) : 0;
}

static int failed(const struct drain *d, struct err *e)
{
	return err_set(e, -errno, "read '%.*s' in the volume: %m", ARCHIVE_SHOWN(buf_str(&d->name)));
}

static int head_put(struct drain *d, const struct archive_entry *en, struct err *e)
{
	d->head.len = 0;
	archive_put_head(&d->head, en);
	return buf_check(&d->head) ? err_set(e, -ENOMEM, "write the archive: out of memory") : d->put(d->ctx, buf_str(&d->head), e);
}

/* One attribute into the values; the entry is told where it lies when all are there, as they move. */
static int xattr_take(struct drain *d, int fd, const char *name, struct archive_entry *en, struct err *e)
{
	ssize_t n;

	if (!fill_takes_xattr(str_c(name)) || en->n_xattrs == ARCHIVE_XATTRS_MAX || d->values.len > ARCHIVE_EXTENDED_MAX - 2 * DRAIN_XATTR_MAX) {
		d->left_out++;
		return 0;
	}
	buf_reserve(&d->values, DRAIN_XATTR_MAX);
	if (buf_check(&d->values))
		return err_set(e, -ENOMEM, "read attributes: out of memory");
	if ((n = fgetxattr(fd, name, d->values.p + d->values.len, DRAIN_XATTR_MAX)) < 0)
		return errno == ENODATA ? 0 : failed(d, e);
	en->xattrs[en->n_xattrs++] = (struct archive_xattr){ str_c(name), { NULL, (size_t)n } };
	d->values.len += (size_t)n;
	return 0;
}

/* They stay in D until the next ones are read. */
static int xattrs_read(struct drain *d, int fd, struct archive_entry *en, struct err *e)
{
	ssize_t n = flistxattr(fd, d->names.p, DRAIN_XATTR_MAX);
	size_t at = 0;
	int r = 0;

	if (n < 0)
		return errno == EOPNOTSUPP ? 0 : failed(d, e);
	d->values.len = 0;
	for (const char *name = d->names.p; name < d->names.p + n && !r; name += strlen(name) + 1)
		r = xattr_take(d, fd, name, en, e);
	for (size_t i = 0; i < en->n_xattrs && !r; i++) {
		en->xattrs[i].value.p = d->values.p + at;
		at += en->xattrs[i].value.n;
	}
	return r;
}

static struct archive_entry entry_of(const struct drain *d, const struct stat *st, enum archive_kind kind)
{
	return (struct archive_entry){ .name = buf_str(&d->name),
				       .kind = kind,
				       .mode = st->st_mode & 07777,
				       .uid = st->st_uid,
				       .gid = st->st_gid,
				       .mtime_s = st->st_mtim.tv_sec,
				       .mtime_ns = (uint32_t)st->st_mtim.tv_nsec };
}

/* A file that came under another name is that name's. Outcome 1: it did. */
static int linked_find(struct drain *d, const struct stat *st, struct err *e)
{
	struct archive_entry en = entry_of(d, st, ARCHIVE_HARDLINK);
	struct linked **found;
	int r;

	if (st->st_nlink < 2)
		return 0;
	AUTO_FREE struct linked *l = malloc(sizeof(*l) + d->name.len + 1);
	if (d->n_linked == DRAIN_LINKED_MAX)
		return err_set(e, -E2BIG, "the volume has more than %d files with several names, and no more can be kept apart", DRAIN_LINKED_MAX);
	if (l) {
		*l = (struct linked){ st->st_dev, st->st_ino };
		memcpy(l->name, d->name.p, d->name.len + 1);
	}
	if (!l || !(found = tsearch(l, &d->linked, linked_order)))
		return err_set(e, -ENOMEM, "remember a file with several names: out of memory");
	if (*found == l) {
		d->n_linked++;
		take_ptr(l);
		return 0;
	}
	en.link = str_c((*found)->name);
	return (r = head_put(d, &en, e)) ? r : 1;
}

static int content_put(struct drain *d, int fd, uint64_t size, struct err *e)
{
	static char bytes[PIECE];
	AUTO_BUF struct buf fill = { 0 };
	int r = 0;

	d->unread += d->is_dry ? size : 0;
	for (uint64_t at = 0; at < size && !r && !d->is_dry;) {
		ssize_t n = read(fd, bytes, size - at < PIECE ? (size_t)(size - at) : PIECE);

		if (!n)
			errno = EIO; /* it is shorter than it said */
		if (n <= 0)
			return failed(d, e);
		at += (uint64_t)n;
		r = d->put(d->ctx, (struct str){ bytes, (size_t)n }, e);
	}
	archive_put_fill(&fill, size);
	return r ?: d->put(d->ctx, buf_str(&fill), e);
}

static int file_put(struct drain *d, int folder, const char *last, const struct stat *st, struct err *e)
{
	AUTO_FD int fd = openat(folder, last, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct archive_entry en = entry_of(d, st, ARCHIVE_FILE);
	int r = fd < 0 ? failed(d, e) : linked_find(d, st, e);

	if (r)
		return r < 0 ? r : 0;
	en.size = (uint64_t)st->st_size;
	if ((r = xattrs_read(d, fd, &en, e)) || (r = head_put(d, &en, e)))
		return r;
	return content_put(d, fd, en.size, e);
}

static int symlink_put(struct drain *d, int folder, const char *last, const struct stat *st, struct err *e)
{
	struct archive_entry en = entry_of(d, st, ARCHIVE_SYMLINK);
	char target[ARCHIVE_NAME_MAX + 1];
	ssize_t n = readlinkat(folder, last, target, sizeof(target));
	int r;

	if (n < 0)
		return failed(d, e);
	if ((r = linked_find(d, st, e)))
		return r < 0 ? r : 0;
	en.link = (struct str){ target, (size_t)n };
	return head_put(d, &en, e);
}

static int fifo_put(struct drain *d, int folder, const char *last, const struct stat *st, struct err *e)
{
	struct archive_entry en = entry_of(d, st, ARCHIVE_FIFO);
	int r = linked_find(d, st, e);

	(void)folder;
	(void)last;
	if (r)
		return r < 0 ? r : 0;
	return head_put(d, &en, e);
}

static int entry_put(struct drain *d, int folder, const char *last, struct err *e);

/* What is in it, in whatever order the file system has. */
static int children_put(struct drain *d, int fd, struct err *e)
{
	AUTO_DIR DIR *dir = fdopendir(fd);
	size_t len = d->name.len;
	const struct dirent *entry;
	int r = 0;

	if (!dir) {
		close(fd);
		return failed(d, e);
	}
	while (!r && (errno = 0, entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		buf_add(&d->name, len ? S("/") : S(""));
		buf_add(&d->name, str_c(entry->d_name));
		if (buf_check(&d->name) || d->name.len > ARCHIVE_NAME_MAX)
			return err_set(e, -ENAMETOOLONG, "a name in the volume has more than %d bytes", ARCHIVE_NAME_MAX);
		r = entry_put(d, dirfd(dir), entry->d_name, e);
		d->name.len = len;
		d->name.p[len] = '\0';
	}
	return r ? r : errno ? failed(d, e) : 0;
}

static int dir_put(struct drain *d, int folder, const char *last, const struct stat *st, struct err *e)
{
	AUTO_FD int fd = openat(folder, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct archive_entry en = entry_of(d, st, ARCHIVE_DIR);
	int r;

	if (fd < 0)
		return failed(d, e);
	if (d->depth == DRAIN_DEPTH_MAX)
		return err_set(e, -ELOOP, "the volume has more than %d directories in one another", DRAIN_DEPTH_MAX);
	if ((r = xattrs_read(d, fd, &en, e)) || (r = head_put(d, &en, e)))
		return r;
	d->depth++;
	r = children_put(d, take_fd(fd), e);
	d->depth--;
	return r;
}

static const struct {
	mode_t type;
	int (*put)(struct drain *d, int folder, const char *last, const struct stat *st, struct err *e);
} putters[] = { { S_IFREG, file_put }, { S_IFDIR, dir_put }, { S_IFLNK, symlink_put }, { S_IFIFO, fifo_put } };

static int entry_put(struct drain *d, int folder, const char *last, struct err *e)
{
	struct stat st;

	if (fstatat(folder, last, &st, AT_SYMLINK_NOFOLLOW))
		return failed(d, e);
	for (size_t i = 0; i < ARRAY_LEN(putters); i++)
		if ((st.st_mode & S_IFMT) == putters[i].type)
			return putters[i].put(d, folder, last, &st, e);
	d->left_out++;
	return 0;
}

int drain_all(struct drain *d, int root, struct err *e)
{
	int r;

	buf_reserve(&d->name, ARCHIVE_NAME_MAX);
	buf_reserve(&d->names, DRAIN_XATTR_MAX);
	if (buf_check(&d->name) || buf_check(&d->names))
		return err_set(e, -ENOMEM, "write the archive: out of memory");
	d->name.p[0] = '\0';
	if ((r = entry_put(d, root, ".", e)))
		return r;
	d->head.len = 0;
	archive_put_end(&d->head);
	return d->put(d->ctx, buf_str(&d->head), e);
}

void drain_deinit(struct drain *d)
{
	tdestroy(d->linked, free);
	buf_deinit(&d->name);
	buf_deinit(&d->head);
	buf_deinit(&d->names);
	buf_deinit(&d->values);
}
