/* volume COMMAND ROOT NAME ... -- does one thing with one volume or raw disk below ROOT, where a disk of the node is mounted, and ends. A
 * program of its own because a disk may hang: noded waits for no system call on one. The last line of its output says what went wrong.
 *
 *   make-volume ROOT NAME SIZE new|there          prints where it is, and the file that says how much is in it
 *   make-disk   ROOT NAME SIZE FORMAT new|there   prints where it is
 *   restore     ROOT NAME SIZE SNAPSHOT           what is in the volume becomes what was in the snapshot, or (/imported) came with import; prints
 *                                                 as make-volume
 *   export      ROOT NAME SNAPSHOT                what was in it, of "" what is in it now, as an archive into its standard input, a socket
 *   import      ROOT NAME                         an archive out of that, to be restored; prints how much of it a volume does not take
 *   snapshot    ROOT NAME SNAPSHOT KEEP           of a volume; of those that are made by themselves the newest KEEP stay
 *   snapshots   ROOT NAME                         prints their names and times, a line each
 *   forget      ROOT NAME SNAPSHOT                removes one
 *   remove      ROOT NAME                         whichever of the two it is
 *   list        ROOT                              prints the names of all, a line each; also of what is half made or half removed
 *
 * What is made has its final name only when it is whole; of `there`, nothing is made that is not there. ROOT/volumes/NAME holds the subvolume
 * `data` and, in `snapshots`, one subvolume for each; ROOT/disks/NAME is a file without copy on write. */
#include "base/file.h"
#include "base/parse.h"
#include "storage/quota.h"
#include "storage/stream.h"

#include <btrfsutil.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { NAME_MAX_BYTES = 64, PATH_BYTES = 256, SIZE_STEP = 1 << 20 };
#define NEW ".new"   /* is being made */
#define GONE ".gone" /* is being removed */
#define RESTORED "restored" /* beside `data`: what takes its place, or has left it */
#define IMPORTED "imported" /* what came out of an archive */
#define EXPORTED "exported" /* what becomes one */
#define AUTO "auto-" /* begins the name of a snapshot that was made by itself; the time follows, Unix seconds */
#define VOLUMES "volumes"
#define DISKS "disks"

struct job {
	int root;         /* directory */
	const char *path; /* of it */
	const char *name;
	char **more;
};

static bool name_is_safe(const char *name)
{
	size_t n = strlen(name);

	return n && n < NAME_MAX_BYTES && name[0] != '.' && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n;
}

static void path_of(const struct job *j, const char *folder, const char *suffix, char ret[static PATH_BYTES])
{
	snprintf(ret, PATH_BYTES, "%s/%s/%s%s", j->path, folder, j->name, suffix);
}

static bool is_there(const char *path)
{
	return !faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW);
}

static int tool_failed(enum btrfs_util_error code, const char *doing, struct err *e)
{
	return err_set(e, errno ? -errno : -EIO, "%s: %s: %m", doing, btrfs_util_strerror(code));
}

static int folder_sync(const struct job *j, const char *folder, struct err *e)
{
	AUTO_FD int fd = openat(j->root, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) ? err_set(e, -errno, "keep what was done in %s/%s: %m", j->path, folder) : 0;
}

/* Whole and on the disk, then under its name. */
static int finish(const struct job *j, const char *folder, const char *made, const char *path, struct err *e)
{
	if (syncfs(j->root))
		return err_set(e, -errno, "write %s: %m", path);
	if (renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_NOREPLACE))
		return err_set(e, -errno, "give %s its name: %m", path);
	return folder_sync(j, folder, e);
}

static int subvolume_remove(const char *path, struct err *e)
{
	enum btrfs_util_error r;

	errno = 0;
	r = is_there(path) ? btrfs_util_subvolume_delete(path, BTRFS_UTIL_DELETE_SUBVOLUME_RECURSIVE) : BTRFS_UTIL_OK;
	return r ? tool_failed(r, "remove the subvolume", e) : 0;
}

static int snapshots_remove(const char *at, struct err *e)
{
	char folder[PATH_BYTES + 16], path[2 * PATH_BYTES];
	const struct dirent *entry;
	int r = 0;

	snprintf(folder, sizeof(folder), "%s/snapshots", at);
	AUTO_DIR DIR *d = opendir(folder);
	if (!d)
		return errno == ENOENT ? 0 : err_set(e, -errno, "list %s: %m", folder);
	while (!r && (entry = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%.200s", folder, entry->d_name);
		if (entry->d_name[0] != '.')
			r = subvolume_remove(path, e);
	}
	return r;
}

/* A volume under its own or a passing name. */
static int volume_drop(const char *at, struct err *e)
{
	static const char *const parts[] = { "data", RESTORED, IMPORTED, EXPORTED };
	char path[PATH_BYTES + 16];
	int r = snapshots_remove(at, e);

	for (size_t i = 0; i < ARRAY_LEN(parts) && !r; i++) {
		snprintf(path, sizeof(path), "%s/%s", at, parts[i]);
		r = subvolume_remove(path, e);
	}
	return r ? r : tree_remove(AT_FDCWD, at, e);
}

static void inherit_freep(struct btrfs_util_qgroup_inherit **p)
{
	if (*p)
		btrfs_util_qgroup_inherit_destroy(*p);
}

static int subvolume_make(const char *path, uint64_t group, struct err *e)
{
	CLEANUP(inherit_freep) struct btrfs_util_qgroup_inherit *inherit = NULL;
	enum btrfs_util_error r;

	errno = 0;
	if ((r = btrfs_util_qgroup_inherit_create(0, &inherit)) || (r = btrfs_util_qgroup_inherit_add_group(&inherit, group)) ||
	    (r = btrfs_util_subvolume_create(path, 0, NULL, inherit)))
		return tool_failed(r, "make the subvolume", e);
	if (chmod(path, 0755)) /* its owner's users go in and out, whatever our umask is */
		return err_set(e, -errno, "open the subvolume: %m");
	return 0;
}

static int data_make(const char *at, uint64_t group, struct err *e)
{
	char path[PATH_BYTES + 16];
	int r;

	snprintf(path, sizeof(path), "%s/data", at);
	if ((r = subvolume_make(path, group, e)))
		return r;
	snprintf(path, sizeof(path), "%s/snapshots", at);
	return dir_make(path, 0700, e);
}

static int volume_new(const struct job *j, uint64_t group, uint64_t size, const char *path, struct err *e)
{
	char made[PATH_BYTES];
	int r;

	path_of(j, VOLUMES, NEW, made);
	if ((r = volume_drop(made, e)) /* what a crash left half made */ || (r = quota_make(j->root, group, e)) ||
	    (r = quota_limit(j->root, group, size, e)) || (r = dir_make(made, 0711, e)) || (r = data_make(made, group, e)))
		return r;
	return finish(j, VOLUMES, made, path, e);
}

/* What is missing is never made again: it would be an empty one in the place of what was there. */
static int missing(const struct job *j, const char *path, struct err *e)
{
	return err_set(e, -ENOENT,
		       "its data is not on the disk any more (%s): nothing is made in its place; restore it, or delete it and deploy it anew",
		       path + strlen(j->path) + 1);
}

static int wants_new(const char *word, bool *ret, struct err *e)
{
	*ret = !strcmp(word, "new");
	return *ret || !strcmp(word, "there") ? 0 : err_set(e, -EINVAL, "'%s' is neither 'new' nor 'there'", word);
}

static int size_parse(const char *word, uint64_t *ret, struct err *e)
{
	return parse_u64(str_c(word), UINT64_MAX / 2, ret) ? err_set(e, -EINVAL, "'%s' is no size", word) : 0;
}

static void snapshot_path(const struct job *j, const char *snapshot, char ret[static PATH_BYTES])
{
	snprintf(ret, PATH_BYTES, "%s/" VOLUMES "/%s/snapshots/%s", j->path, j->name, snapshot);
}

static int snapshot_name_check(const char *name, struct err *e)
{
	return name_is_safe(name) ? 0 : err_set(e, -EINVAL, "'%s' is no name of a snapshot: a-z, 0-9, '.' and '-'", name);
}

/* Calls EACH for every snapshot. */
static int snapshots_each(const struct job *j, int (*each)(void *ctx, const char *name, const char *path, struct err *e), void *ctx, struct err *e)
{
	char folder[PATH_BYTES], path[PATH_BYTES];
	const struct dirent *entry;
	int r = 0;

	snapshot_path(j, "", folder);
	AUTO_DIR DIR *d = opendir(folder);
	if (!d)
		return err_set(e, -errno, "list the snapshots: %m");
	while (!r && (entry = readdir(d))) {
		if (!name_is_safe(entry->d_name))
			continue;
		snapshot_path(j, entry->d_name, path);
		r = each(ctx, entry->d_name, path, e);
	}
	return r;
}

/* Those made by themselves: how many, the oldest, and when the newest was made. */
struct autos {
	uint64_t n, newest_s, oldest_s;
	char oldest[NAME_MAX_BYTES];
};

static int autos_look(void *ctx, const char *name, const char *path, struct err *e)
{
	struct autos *a = ctx;
	uint64_t at_s;

	(void)path;
	(void)e;
	if (strncmp(name, AUTO, strlen(AUTO)) || parse_u64(str_c(name + strlen(AUTO)), UINT64_MAX, &at_s))
		return 0;
	a->n++;
	if (at_s > a->newest_s)
		a->newest_s = at_s;
	if (!a->oldest[0] || at_s < a->oldest_s) {
		a->oldest_s = at_s;
		snprintf(a->oldest, sizeof(a->oldest), "%s", name);
	}
	return 0;
}

static int volume_print(const struct job *j, uint64_t group, const char *path, struct err *e)
{
	struct autos autos = { 0 };
	char usage[128];
	int r;

	if ((r = quota_usage_path(j->root, group, usage, e)) || (r = snapshots_each(j, autos_look, &autos, e)))
		return r;
	printf("%s/data %s %" PRIu64 "\n", path, usage, autos.newest_s);
	return 0;
}

static int make_volume(const struct job *j, struct err *e)
{
	uint64_t group = quota_group(j->name), size;
	char path[PATH_BYTES];
	bool is_new;
	int r;

	path_of(j, VOLUMES, "", path);
	if ((r = size_parse(j->more[0], &size, e)) || (r = wants_new(j->more[1], &is_new, e)))
		return r;
	if (!is_there(path) && (r = is_new ? volume_new(j, group, size, path, e) : missing(j, path, e)))
		return r;
	return (r = quota_limit(j->root, group, size, e)) ? r : volume_print(j, group, path, e);
}

static int copy_make(const char *from, const char *to, int flags, uint64_t group, struct err *e)
{
	CLEANUP(inherit_freep) struct btrfs_util_qgroup_inherit *inherit = NULL;
	enum btrfs_util_error r;

	errno = 0;
	if ((r = btrfs_util_qgroup_inherit_create(0, &inherit)) || (r = btrfs_util_qgroup_inherit_add_group(&inherit, group)) ||
	    (r = btrfs_util_subvolume_snapshot(from, to, flags, NULL, inherit)))
		return tool_failed(r, "copy the subvolume", e);
	return 0;
}

static int autos_prune(const struct job *j, uint64_t keep, struct err *e)
{
	for (;;) {
		struct autos a = { 0 };
		char path[PATH_BYTES];
		int r = snapshots_each(j, autos_look, &a, e);

		if (r || a.n <= keep)
			return r;
		snapshot_path(j, a.oldest, path);
		if ((r = subvolume_remove(path, e)))
			return r;
	}
}

static int snapshot(const struct job *j, struct err *e)
{
	char data[PATH_BYTES], path[PATH_BYTES];
	uint64_t keep;
	int r = snapshot_name_check(j->more[0], e);

	if (r)
		return r;
	if (parse_u64(str_c(j->more[1]), UINT64_MAX, &keep))
		return err_set(e, -EINVAL, "'%s' is no number", j->more[1]);
	path_of(j, VOLUMES, "/data", data);
	snapshot_path(j, j->more[0], path);
	if (is_there(path))
		return err_set(e, -EEXIST, "there is a snapshot '%s' already: take another name, or remove that one", j->more[0]);
	if ((r = copy_make(data, path, BTRFS_UTIL_CREATE_SNAPSHOT_READ_ONLY, quota_group(j->name), e)))
		return r;
	if (syncfs(j->root))
		return err_set(e, -errno, "keep the snapshot: %m");
	return autos_prune(j, keep, e);
}

static int snapshot_print(void *ctx, const char *name, const char *path, struct err *e)
{
	struct btrfs_util_subvolume_info info;
	enum btrfs_util_error r;

	(void)ctx;
	errno = 0;
	if ((r = btrfs_util_subvolume_get_info(path, 0, &info)))
		return tool_failed(r, "look at the snapshot", e);
	printf("%s %lld\n", name, (long long)info.otime.tv_sec);
	return 0;
}

static int snapshots(const struct job *j, struct err *e)
{
	return snapshots_each(j, snapshot_print, NULL, e);
}

static int no_snapshot(const char *name, struct err *e)
{
	return err_set(e, -ENOENT, "there is no snapshot '%s': 'zos volume snapshots' lists them", name);
}

static int forget(const struct job *j, struct err *e)
{
	char path[PATH_BYTES];
	int r = snapshot_name_check(j->more[0], e);

	if (r)
		return r;
	snapshot_path(j, j->more[0], path);
	return is_there(path) ? subvolume_remove(path, e) : no_snapshot(j->more[0], e);
}

/* The copy takes the place of what was there in one step; what that was goes after it. */
static int restore(const struct job *j, struct err *e)
{
	uint64_t group = quota_group(j->name), size;
	char path[PATH_BYTES], data[PATH_BYTES], other[PATH_BYTES], from[PATH_BYTES];
	bool is_import = !strcmp(j->more[1], "/" IMPORTED); /* STORAGE_IMPORTED in svc/provider.h */
	int r;

	path_of(j, VOLUMES, "", path);
	path_of(j, VOLUMES, "/data", data);
	path_of(j, VOLUMES, "/" RESTORED, other);
	if ((r = size_parse(j->more[0], &size, e)) || (!is_import && (r = snapshot_name_check(j->more[1], e))))
		return r;
	if (is_import)
		path_of(j, VOLUMES, j->more[1], from);
	else
		snapshot_path(j, j->more[1], from);
	if (!is_there(from)) /* what was imported goes with its restore: that was done, and is asked for once more */
		return is_import ? volume_print(j, group, path, e) : no_snapshot(j->more[1], e);
	if ((r = subvolume_remove(other, e)) || (r = copy_make(from, other, 0, group, e)))
		return r;
	if (syncfs(j->root) || renameat2(AT_FDCWD, other, AT_FDCWD, data, RENAME_EXCHANGE) || syncfs(j->root))
		return err_set(e, -errno, "put the snapshot in the place of what is there: %m");
	if ((r = subvolume_remove(other, e)) || (is_import && (r = subvolume_remove(from, e))) || (r = quota_limit(j->root, group, size, e)))
		return r;
	return volume_print(j, group, path, e);
}

/* Of one moment: a copy, which goes afterwards. */
static int export_now(const struct job *j, uint64_t *ret_left_out, struct err *e)
{
	char data[PATH_BYTES], copy[PATH_BYTES];
	struct err later = { 0 };
	int r;

	path_of(j, VOLUMES, "/data", data);
	path_of(j, VOLUMES, "/" EXPORTED, copy);
	if ((r = subvolume_remove(copy, e)) || (r = copy_make(data, copy, BTRFS_UTIL_CREATE_SNAPSHOT_READ_ONLY, quota_group(j->name), e)))
		return r;
	r = stream_out(copy, STDIN_FILENO, ret_left_out, e);
	return subvolume_remove(copy, r ? &later : e) ?: r;
}

static int export_snapshot(const struct job *j, uint64_t *ret_left_out, struct err *e)
{
	char from[PATH_BYTES];
	int r = snapshot_name_check(j->more[0], e);

	if (r)
		return r;
	snapshot_path(j, j->more[0], from);
	return is_there(from) ? stream_out(from, STDIN_FILENO, ret_left_out, e) : no_snapshot(j->more[0], e);
}

static int export(const struct job *j, struct err *e)
{
	uint64_t left_out = 0;
	int r = j->more[0][0] ? export_snapshot(j, &left_out, e) : export_now(j, &left_out, e);

	stream_out_end(STDIN_FILENO, left_out, r, e);
	return r;
}

/* Beside what is there: until all of it came nothing is changed. */
static int import(const struct job *j, struct err *e)
{
	char path[PATH_BYTES];
	struct err later = { 0 };
	uint64_t left_out = 0;
	int r;

	path_of(j, VOLUMES, "/" IMPORTED, path);
	if ((r = subvolume_remove(path, e)) || (r = subvolume_make(path, quota_group(j->name), e)))
		return r;
	r = stream_in(path, STDIN_FILENO, &left_out, e);
	if (!r && syncfs(j->root))
		r = err_set(e, -errno, "keep what was imported: %m");
	if (r) /* the next one takes away what stays */
		(void)!subvolume_remove(path, &later);
	else
		printf("%" PRIu64 "\n", left_out);
	return r;
}

/* Blocks that a guest writes again and again stay where they are; what they hold is the guest's to check. */
static int file_make(const char *path, uint64_t size, struct err *e)
{
	AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int flags = FS_NOCOW_FL;

	if (fd < 0)
		return err_set(e, -errno, "make %s: %m", path);
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags))
		return err_set(e, -errno, "make %s a file without copy on write: %m", path);
	return fallocate(fd, 0, 0, (off_t)size) ? err_set(e, -errno, "make room for %s: %m", path) : 0;
}

static const struct {
	const char *name;
	const char *argv[8]; /* the file follows */
} formats[] = {
	{ "ext4", { "/usr/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-E", "nodiscard" } },
	{ "btrfs", { "/usr/sbin/mkfs.btrfs", "-q", "-K" } },
	{ "none", { NULL } },
};

static int run(const char *const *argv, struct err *e)
{
	pid_t pid;
	int status, r = posix_spawn(&pid, argv[0], NULL, NULL, (char **)argv, (char *[]){ NULL });

	if (r)
		return err_set(e, -r, "start %s: %s", argv[0], strerror(r));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(e, -errno, "wait for %s: %m", argv[0]);
	return status ? err_set(e, -EIO, "%s ended with %s %d", argv[0], WIFEXITED(status) ? "status" : "signal",
				WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status))
		      : 0;
}

static int format(const char *path, const char *name, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		const char *argv[ARRAY_LEN(formats[i].argv) + 2] = { 0 };
		size_t n = 0;

		if (strcmp(formats[i].name, name))
			continue;
		for (; n < ARRAY_LEN(formats[i].argv) && formats[i].argv[n]; n++)
			argv[n] = formats[i].argv[n];
		argv[n] = path;
		return n ? run(argv, e) : 0;
	}
	return err_set(e, -EINVAL, "'%s' is no format", name);
}

static int disk_new(const struct job *j, uint64_t size, const char *path, struct err *e)
{
	char made[PATH_BYTES];
	int r;

	path_of(j, DISKS, NEW, made);
	if ((r = tree_remove(AT_FDCWD, made, e)) || (r = file_make(made, size, e)) || (r = format(made, j->more[1], e)))
		return r;
	return finish(j, DISKS, made, path, e);
}

/* Grows a file that is there; one that is larger already stays as it is. */
static int disk_grow(const char *path, uint64_t size, struct err *e)
{
	AUTO_FD int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return err_set(e, -errno, "look at %s: %m", path);
	if ((uint64_t)st.st_size >= size)
		return 0;
	return fallocate(fd, 0, st.st_size, (off_t)size - st.st_size) || fsync(fd) ? err_set(e, -errno, "make room for %s: %m", path) : 0;
}

static int make_disk(const struct job *j, struct err *e)
{
	char path[PATH_BYTES];
	uint64_t size;
	bool is_new;
	int r;

	path_of(j, DISKS, "", path);
	if ((r = size_parse(j->more[0], &size, e)) || (r = wants_new(j->more[2], &is_new, e)))
		return r;
	size = (size + SIZE_STEP - 1) / SIZE_STEP * SIZE_STEP;
	if (is_there(path))
		r = disk_grow(path, size, e);
	else
		r = is_new ? disk_new(j, size, path, e) : missing(j, path, e);
	if (!r)
		printf("%s\n", path);
	return r;
}

/* Out of sight first: what a crash leaves of it has a passing name, and the next try goes on. */
static int take_away(const struct job *j, const char *folder, int (*drop)(const char *at, struct err *e), struct err *e)
{
	char path[PATH_BYTES], going[PATH_BYTES], half[PATH_BYTES];
	int r;

	path_of(j, folder, "", path);
	path_of(j, folder, GONE, going);
	path_of(j, folder, NEW, half);
	if (!is_there(going) && rename(path, going) && errno != ENOENT)
		return err_set(e, -errno, "take %s away: %m", path);
	if ((r = folder_sync(j, folder, e)) || (r = drop(going, e)) || (r = drop(half, e)))
		return r;
	return folder_sync(j, folder, e);
}

static int file_drop(const char *at, struct err *e)
{
	return tree_remove(AT_FDCWD, at, e);
}

static int remove_either(const struct job *j, struct err *e)
{
	int r;

	if ((r = take_away(j, VOLUMES, volume_drop, e)) || (r = take_away(j, DISKS, file_drop, e)))
		return r;
	return quota_remove(j->root, quota_group(j->name), e);
}

/* The end of a passing name; "" = NAME is none. */
static const char *passing_suffix(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (!strcmp(dot, NEW) || !strcmp(dot, GONE)) ? dot : "";
}

static int list(const struct job *j, struct err *e)
{
	static const char *const folders[] = { VOLUMES, DISKS };

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		AUTO_FD int fd = openat(j->root, folders[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
		const struct dirent *entry;

		if (!d)
			return err_set(e, -errno, "list %s/%s: %m", j->path, folders[i]);
		take_fd(fd);
		while ((entry = readdir(d))) {
			const char *name = entry->d_name;

			if (name_is_safe(name))
				printf("%.*s\n", (int)(strlen(name) - strlen(passing_suffix(name))), name);
		}
	}
	return 0;
}

static const struct {
	const char *name;
	int n_more; /* words after ROOT and NAME; -1 = ROOT alone */
	int (*run)(const struct job *j, struct err *e);
} commands[] = {
	{ "make-volume", 2, make_volume }, { "make-disk", 3, make_disk }, { "restore", 2, restore },     { "snapshot", 2, snapshot },
	{ "export", 1, export },           { "import", 0, import },       { "snapshots", 0, snapshots }, { "forget", 1, forget },
	{ "remove", 0, remove_either },    { "list", -1, list },
};

static int command_run(int argc, char **argv, struct err *e)
{
	struct job j = { .root = -1 };

	for (size_t i = 0; argc > 2 && i < ARRAY_LEN(commands); i++) {
		if (strcmp(argv[1], commands[i].name) || argc != 4 + commands[i].n_more)
			continue;
		j.path = argv[2];
		j.name = commands[i].n_more < 0 ? "" : argv[3];
		j.more = argv + 4;
		if (commands[i].n_more >= 0 && !name_is_safe(j.name))
			return err_set(e, -EINVAL, "'%s' is no name of a volume", j.name);
		AUTO_FD int root = open(j.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
			return err_set(e, -errno, "open %s: %m", j.path);
		j.root = root;
		return commands[i].run(&j, e);
	}
	return err_set(e, -EINVAL, "volume: is called by noded; its source says how");
}

int main(int argc, char **argv)
{
	struct err e = { 0 };

	umask(077);
	if (!command_run(argc, argv, &e))
		return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
	printf("%s\n", e.msg);
	return EXIT_FAILURE;
}
