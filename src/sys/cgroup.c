#include "sys/cgroup.h"

#include "base/file.h"
#include "base/parse.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { CGROUP_DEPTH_MAX = 16 };

int cgroup_make(const char *path, struct err *e)
{
	return dir_make(path, 0755, e);
}

int cgroup_set(const char *path, const char *file, struct str value, struct err *e)
{
	char full[CGROUP_PATH_MAX + 64];
	int r;

	snprintf(full, sizeof(full), "%s/%s", path, file);
	r = file_poke(AT_FDCWD, full, value, e);
	return r == -ENOENT ? CGROUP_NO_FILE : r;
}

int cgroup_kill(const char *path, struct err *e)
{
	int r = cgroup_set(path, "cgroup.kill", S("1"), e);

	return r == CGROUP_NO_FILE ? 0 : r;
}

/* A small file into the caller's room, NUL-terminated. */
static int small_read(const char *path, char *ret, size_t size)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	if (n < 0)
		return -errno;
	ret[n] = '\0';
	return 0;
}

int cgroup_is_populated(const char *path, struct err *e)
{
	char full[CGROUP_PATH_MAX + 64], text[256];
	int r;

	snprintf(full, sizeof(full), "%s/cgroup.events", path);
	r = small_read(full, text, sizeof(text));
	if (r == -ENOENT)
		return 0;
	return r ? err_set(e, r, "read %s: %s", full, strerror(-r)) : !!strstr(text, "populated 1");
}

uint64_t cgroup_oom_kills(const char *path)
{
	char full[CGROUP_PATH_MAX + 64], text[512];
	struct str rest, line, name;
	uint64_t n;

	snprintf(full, sizeof(full), "%s/memory.events", path);
	if (small_read(full, text, sizeof(text)))
		return 0;
	for (rest = str_c(text); str_next(&rest, '\n', &line);)
		if (str_next(&line, ' ', &name) && str_eq(name, S("oom_kill")))
			return parse_u64(line, UINT64_MAX, &n) ? 0 : n;
	return 0;
}

struct dirent_raw { /* getdents64(2) */
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

static int group_remove(int parent_fd, const char *name, unsigned depth);

/* The directories in FD, without opendir(3): PID 1 calls this and allocates nothing. */
static int children_remove(int fd, unsigned depth)
{
	alignas(struct dirent_raw) char room[1024];
	long n;

	while ((n = syscall(SYS_getdents64, fd, room, sizeof(room))) > 0)
		for (long at = 0; at < n;) {
			struct dirent_raw *d = (struct dirent_raw *)(room + at);
			int r = 0;

			if (d->type == DT_DIR && strcmp(d->name, ".") && strcmp(d->name, ".."))
				r = group_remove(fd, d->name, depth + 1);
			if (r)
				return r;
			at += d->len;
		}
	return n < 0 ? -errno : 0;
}

static int group_remove(int parent_fd, const char *name, unsigned depth)
{
	int r;

	if (!unlinkat(parent_fd, name, AT_REMOVEDIR) || errno == ENOENT)
		return 0;
	if (errno != EBUSY || depth == CGROUP_DEPTH_MAX)
		return -errno;
	AUTO_FD int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = children_remove(fd, depth);
	if (!r && unlinkat(parent_fd, name, AT_REMOVEDIR))
		r = -errno;
	return r;
}

int cgroup_remove(const char *path, struct err *e)
{
	int r = group_remove(AT_FDCWD, path, 0);

	return r ? err_set(e, r, "remove the group %s: %s", path, strerror(-r)) : 0;
}

bool cgroup_has(const char *group, pid_t pid)
{
	char path[64], text[1024];
	const char *at;
	size_t n = strlen(group);

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	if (small_read(path, text, sizeof(text)))
		return false;
	at = strstr(text, "0::");
	if (!at || (at != text && at[-1] != '\n'))
		return false;
	at += 3;
	return !strncmp(at, group, n) && (at[n] == '/' || at[n] == '\n');
}
