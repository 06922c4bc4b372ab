#include "base/file.h"

#include "base/parse.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { COUNTS_MAX = 65536 };

int file_read(int dir_fd, const char *path, size_t limit_bytes, struct buf *ret, struct err *e)
{
	AUTO_FD int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t start = ret->len;

	if (fd < 0)
		return err_set(e, -errno, "open %s: %m", path);
	for (;;) {
		ssize_t n;

		buf_reserve(ret, 4096);
		if (buf_check(ret))
			return err_set(e, -ENOBUFS, "read %s: no room for its content", path);
		n = read(fd, ret->p + ret->len, ret->cap - ret->len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, -errno, "read %s: %m", path);
		ret->len += (size_t)n;
		ret->p[ret->len] = '\0';
		if (ret->len - start > limit_bytes)
			return err_set(e, -EFBIG, "read %s: larger than %zu bytes", path, limit_bytes);
		if (!n)
			return 0;
	}
}

uint64_t file_count(const char *path, const char *key)
{
	AUTO_BUF struct buf text = { 0 };
	struct str rest, line, name;
	uint64_t n;

	if (file_read(AT_FDCWD, path, COUNTS_MAX, &text, NULL))
		return 0;
	for (rest = buf_str(&text); str_next(&rest, '\n', &line);) {
		if (key && (!str_next(&line, ' ', &name) || !str_eq(name, str_c(key))))
			continue;
		if (str_eq(line, S("max")))
			return UINT64_MAX;
		return parse_u64(line, UINT64_MAX, &n) ? 0 : n;
	}
	return 0;
}

static int write_all(int fd, struct str s)
{
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		s.p += n;
		s.n -= (size_t)n;
	}
	return 0;
}

static int dir_sync_of(int dir_fd, const char *path)
{
	char dir[4096];
	const char *slash = strrchr(path, '/');

	if (!slash)
		snprintf(dir, sizeof(dir), ".");
	else
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path + 1), path);
	AUTO_FD int fd = openat(dir_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) ? -errno : 0;
}

int file_save(int dir_fd, const char *path, struct str content, mode_t mode, struct err *e)
{
	char tmp[4096];
	int r;

	if (snprintf(tmp, sizeof(tmp), "%s.%016llx", path, (unsigned long long)random_u64()) >= (int)sizeof(tmp))
		return err_set(e, -ENAMETOOLONG, "write %.40s...: the name is too long", path);
	AUTO_FD int fd = openat(dir_fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_set(e, -errno, "create %s: %m", tmp);
	r = write_all(fd, content);
	if (!r && (fchmod(fd, mode) || fsync(fd) || renameat(dir_fd, tmp, dir_fd, path)))
		r = -errno;
	if (!r)
		r = dir_sync_of(dir_fd, path);
	if (r) {
		unlinkat(dir_fd, tmp, 0);
		return err_set(e, r, "write %s: %s", path, strerror(-r));
	}
	return 0;
}

int file_keep(int dir_fd, const char *path, struct str content, mode_t mode, struct err *e)
{
	AUTO_BUF struct buf b = { 0 };

	if (!file_read(dir_fd, path, content.n, &b, NULL) && str_eq(buf_str(&b), content))
		return 0;
	return file_save(dir_fd, path, content, mode, e);
}

int file_poke(int dir_fd, const char *path, struct str content, struct err *e)
{
	AUTO_FD int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return err_set(e, -errno, "open %s: %m", path);
	if (write(fd, content.p, content.n) != (ssize_t)content.n)
		return err_set(e, -errno, "write '%.*s' to %s: %m", (int)(content.n < 60 ? content.n : 60), content.p, path);
	return 0;
}

int dir_make(const char *path, mode_t mode, struct err *e)
{
	char part[4096];
	size_t n = strlen(path);

	if (!n || n >= sizeof(part))
		return err_set(e, -ENAMETOOLONG, "make directory %.40s...: bad name", path);
	for (size_t i = 1; i <= n; i++) {
		if (path[i] != '/' && path[i])
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, mode) && errno != EEXIST)
			return err_set(e, -errno, "make directory %s: %m", part);
	}
	return 0;
}

static int tree_remove_in(int dir_fd, const char *name, dev_t dev)
{
	struct stat st;
	struct dirent *entry;

	if (!unlinkat(dir_fd, name, 0) || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	AUTO_FD int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (st.st_dev != dev)
		return -EXDEV; /* something is still mounted there: what it holds is not ours to delete */
	AUTO_DIR DIR *dir = fdopendir(fd);
	if (!dir)
		return -errno;
	take_fd(fd);
	while ((entry = readdir(dir))) {
		int r;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		r = tree_remove_in(dirfd(dir), entry->d_name, dev);
		if (r)
			return r;
	}
	return unlinkat(dir_fd, name, AT_REMOVEDIR) ? -errno : 0;
}

int tree_remove(int dir_fd, const char *path, struct err *e)
{
	struct stat st;
	int r;

	if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : err_set(e, -errno, "look at %s: %m", path);
	r = tree_remove_in(dir_fd, path, st.st_dev);
	return r ? err_set(e, r, "remove %s: %s", path, strerror(-r)) : 0;
}

void random_bytes(void *ret, size_t n)
{
	BUG_ON(n > 256 || getrandom(ret, n, 0) != (ssize_t)n); /* up to 256 bytes are never short */
}

uint64_t random_u64(void)
{
	uint64_t v;

	random_bytes(&v, sizeof(v));
	return v;
}
