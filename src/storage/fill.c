#include "storage/fill.h"

#include "base/rd.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static const struct str xattrs[] = { S("user."), S("security.capability"), S("system.posix_acl_access"), S("system.posix_acl_default") };

bool fill_takes_xattr(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(xattrs); i++)
		if (str_eq(name, xattrs[i]) || (xattrs[i].p[xattrs[i].n - 1] == '.' && str_starts(name, xattrs[i])))
			return name.n <= XATTR_NAME_MAX && !memchr(name.p, '=', name.n);
	return false;
}

/* The sentence for what the kernel says while WHAT is made. */
static int failed(struct str what, struct err *e)
{
	int code = errno;

	if (code == EDQUOT || code == ENOSPC)
		return err_set(
			e, -EDQUOT,
			"the volume has no room for '%.*s' beside what is in it and its snapshots: make it larger with 'zos volume resize', or "
			"remove something",
			ARCHIVE_SHOWN(what));
	if (code == ELOOP || code == ENOTDIR)
		return err_set(e, -EBADMSG, "'%.*s' in the archive lies behind a link or a file, not in a directory", ARCHIVE_SHOWN(what));
	return err_set(e, -code, "make '%.*s': %s", ARCHIVE_SHOWN(what), strerror(code));
}

/* The directory PATH below the root, part by part, through no link; what the archive has left out is made. A descriptor; -1 with errno. */
static int folder_walk(const struct fill *f, struct str path)
{
	char part[NAME_MAX + 1];
	int fd = openat(f->root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct str next;

	while (fd >= 0 && path.n && str_next(&path, '/', &next)) {
		AUTO_FD int above = fd;

		if (next.n > NAME_MAX) {
			errno = ENAMETOOLONG;
			return -1;
		}
		snprintf(part, sizeof(part), STR_FMT, STR_ARG(next));
		fd = mkdirat(above, part, 0755) && errno != EEXIST ? -1 : openat(above, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	return fd;
}

/* The directory that NAME is in; *RET_LAST is its name there, in ROOM. */
static int folder_open(const struct fill *f, struct str name, char room[static ARCHIVE_NAME_MAX + 1], const char **ret_last, struct err *e)
{
	char *slash;
	int fd;

	snprintf(room, ARCHIVE_NAME_MAX + 1, STR_FMT, STR_ARG(name));
	slash = strrchr(room, '/');
	*ret_last = slash ? slash + 1 : room;
	fd = folder_walk(f, (struct str){ room, slash ? (size_t)(slash - room) : 0 });
	return fd < 0 ? failed(name, e) : fd;
}

/* Attributes by descriptor; some file systems of the archive's origin have more than this one. */
static int xattrs_set(struct fill *f, int fd, const struct archive_entry *en, struct err *e)
{
	char name[XATTR_NAME_MAX + 1];

	for (size_t i = 0; i < en->n_xattrs; i++) {
		const struct archive_xattr *x = &en->xattrs[i];

		if (!fill_takes_xattr(x->name)) {
			f->left_out++;
			continue;
		}
		snprintf(name, sizeof(name), STR_FMT, STR_ARG(x->name));
		if (!fsetxattr(fd, name, x->value.p, x->value.n, 0))
			continue;
		if (errno == EDQUOT || errno == ENOSPC)
			return failed(en->name, e);
		f->left_out++;
	}
	return 0;
}

static void times_make(const struct archive_entry *en, struct timespec ret[static 2])
{
	ret[0] = ret[1] = (struct timespec){ .tv_sec = en->mtime_s, .tv_nsec = en->mtime_ns };
}

/* Owner first, as a change of it takes set-uid bits and capabilities away. */
static int attributes_set(struct fill *f, int fd, const struct archive_entry *en, struct err *e)
{
	struct timespec times[2];

	times_make(en, times);
	if (fchown(fd, en->uid, en->gid) || fchmod(fd, en->mode))
		return failed(en->name, e);
	return xattrs_set(f, fd, en, e) ?: futimens(fd, times) ? failed(en->name, e) : 0;
}

/* Of what is no file and no directory, by name; a link has no mode. */
static int attributes_set_at(int folder, const char *last, const struct archive_entry *en, struct err *e)
{
	struct timespec times[2];

	times_make(en, times);
	if (fchownat(folder, last, en->uid, en->gid, AT_SYMLINK_NOFOLLOW) || (en->kind != ARCHIVE_SYMLINK && fchmodat(folder, last, en->mode, 0)) ||
	    utimensat(folder, last, times, AT_SYMLINK_NOFOLLOW))
		return failed(en->name, e);
	return 0;
}

static int dir_begin(struct fill *f, int folder, const char *last, const struct archive_entry *en, struct err *e)
{
	bool made = !mkdirat(folder, last, 0700);

	if (!made && errno != EEXIST)
		return failed(en->name, e);
	AUTO_FD int fd = openat(folder, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return failed(en->name, e);
	if (f->n_dirs < FILL_DIRS_MAX) {
		f->n_dirs++;
		buf_add_le(&f->dirs, (uint64_t)en->mtime_s, 8);
		buf_add_le(&f->dirs, en->mtime_ns, 4);
		buf_add(&f->dirs, en->name);
		buf_add_bytes(&f->dirs, "", 1);
		if (buf_check(&f->dirs))
			return err_set(e, -ENOMEM, "remember the times of directories: out of memory");
	}
	return attributes_set(f, fd, en, e);
}

static int file_begin(struct fill *f, int folder, const char *last, const struct archive_entry *en, struct err *e)
{
	f->at = 0;
	f->fd = openat(folder, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return f->fd < 0 ? failed(en->name, e) : 0;
}

static int hardlink_begin(struct fill *f, int folder, const char *last, const struct archive_entry *en, struct err *e)
{
	static char room[ARCHIVE_NAME_MAX + 1];
	const char *from_last;
	AUTO_FD int from = folder_open(f, en->link, room, &from_last, e);

	if (from < 0)
		return from;
	if (!linkat(from, from_last, folder, last, 0))
		return 0;
	return errno == ENOENT
		       ? err_set(e, -EBADMSG, "'%.*s' in the archive is another name of a file that did not come before it", ARCHIVE_SHOWN(en->name))
		       : failed(en->name, e);
}

static int symlink_begin(struct fill *f, int folder, const char *last, const struct archive_entry *en, struct err *e)
{
	char target[ARCHIVE_NAME_MAX + 1];

	(void)f;
	snprintf(target, sizeof(target), STR_FMT, STR_ARG(en->link));
	return symlinkat(target, folder, last) ? failed(en->name, e) : attributes_set_at(folder, last, en, e);
}

static int fifo_begin(struct fill *f, int folder, const char *last, const struct archive_entry *en, struct err *e)
{
	(void)f;
	return mkfifoat(folder, last, 0600) ? failed(en->name, e) : attributes_set_at(folder, last, en, e);
}

static int device_begin(struct fill *f, int folder, const char *last, const struct archive_entry *en, struct err *e)
{
	(void)folder;
	(void)last;
	(void)en;
	(void)e;
	f->left_out++;
	return 0;
}

static const struct {
	enum archive_kind kind;
	bool replaces; /* what has the name already */
	int (*begin)(struct fill *f, int folder, const char *last, const struct archive_entry *en, struct err *e);
} makers[] = {
	{ ARCHIVE_FILE, true, file_begin },    { ARCHIVE_HARDLINK, true, hardlink_begin }, { ARCHIVE_SYMLINK, true, symlink_begin },
	{ ARCHIVE_CHAR, false, device_begin }, { ARCHIVE_BLOCK, false, device_begin },     { ARCHIVE_DIR, false, dir_begin },
	{ ARCHIVE_FIFO, true, fifo_begin },
};

static int on_begin(void *ctx, const struct archive_entry *en, struct err *e)
{
	static char room[ARCHIVE_NAME_MAX + 1];
	struct fill *f = ctx;
	const char *last;

	if (!en->name.n)
		return dir_begin(f, f->root, ".", en, e);
	AUTO_FD int folder = folder_open(f, en->name, room, &last, e);
	if (folder < 0)
		return folder;
	for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
		if (makers[i].kind != en->kind)
			continue;
		if (makers[i].replaces && unlinkat(folder, last, 0) && errno != ENOENT)
			return failed(en->name, e);
		return makers[i].begin(f, folder, last, en, e);
	}
	bug(__FILE__, __LINE__, "a kind that the archive does not have");
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return !p[0] && !memcmp(p, p + 1, n - 1);
}

/* A piece of zeros becomes a hole, so that a file with holes is as small again. */
static int on_content(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	struct fill *f = ctx;

	for (size_t done = 0; !is_zero(p, n) && done < n;) {
		ssize_t w = pwrite(f->fd, p + done, n - done, (off_t)(f->at + done));

		if (w < 0 && errno != EINTR)
			return failed(f->archive.entry.name, e);
		done += w > 0 ? (size_t)w : 0;
	}
	f->at += n;
	return 0;
}

static int on_end(void *ctx, const struct archive_entry *en, struct err *e)
{
	struct fill *f = ctx;
	int r;

	if (f->fd < 0)
		return 0;
	r = ftruncate(f->fd, (off_t)f->at) ? failed(en->name, e) : attributes_set(f, f->fd, en, e);
	fd_close(&f->fd);
	return r;
}

static const struct archive_ops ops = { on_begin, on_content, on_end };

void fill_init(struct fill *f, int root)
{
	*f = (struct fill){ .root = root, .fd = -1 };
	archive_init(&f->archive, &ops, f);
}

void fill_deinit(struct fill *f)
{
	fd_close(&f->fd);
	buf_deinit(&f->dirs);
	archive_deinit(&f->archive);
}

int fill_feed(struct fill *f, const uint8_t *p, size_t n, struct err *e)
{
	return archive_feed(&f->archive, p, n, e);
}

/* What came into a directory has changed its time. */
static int times_restore(const struct fill *f, struct err *e)
{
	struct rd r = rd_over(f->dirs.p, f->dirs.len);

	while (rd_left(&r)) {
		struct timespec times[2];
		const char *name;

		times[0].tv_sec = (int64_t)rd_le(&r, 8);
		times[0].tv_nsec = (long)rd_le(&r, 4);
		times[1] = times[0];
		name = (const char *)rd_take(&r, strnlen((const char *)r.p, rd_left(&r)) + 1);
		AUTO_FD int fd = folder_walk(f, str_c(name));
		if (fd < 0 || utimensat(fd, ".", times, 0))
			return failed(str_c(name), e);
	}
	return 0;
}

int fill_finish(struct fill *f, struct err *e)
{
	return archive_finish(&f->archive, e) ?: times_restore(f, e);
}
