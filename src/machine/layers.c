#include "machine/layers.h"

#include "base/file.h"
#include "sys/loop.h"
#include "sys/mnt.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { LAYER_PATH_MAX = 192 };

/* The lock goes with the descriptor. */
static int layers_lock(int *ret, struct err *e)
{
	AUTO_FD int fd = open(LAYERS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (fd >= 0)
		while ((r = flock(fd, LOCK_EX)) && errno == EINTR)
			;
	if (fd < 0 || r)
		return err_set(e, -errno, "lock " LAYERS_DIR ": %m");
	*ret = take_fd(fd);
	return 0;
}

/* A mount of the EROFS in SOURCE (a file or a block device) that nobody sees yet. Returns its descriptor, or a negative errno. */
static int erofs_open(const char *source)
{
	AUTO_FD int fs = fsopen("erofs", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0) || fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
	return fd < 0 ? -errno : fd;
}

/* From the file where its file system can do that (btrfs), over a loop device where not (tmpfs). */
static int layer_mount(const char *file, const char *at, struct err *e)
{
	char device[LOOP_PATH_MAX];
	AUTO_FD int loop = -1;
	AUTO_FD int fd = erofs_open(file);
	int r;

	if (fd == -ENOTBLK) {
		if ((r = loop_open(file, &loop, device, e)))
			return r;
		fd = erofs_open(device);
	}
	if (fd < 0)
		return err_set(e, fd, "mount the layer %s: %s", file, strerror(-fd));
	if (move_mount(fd, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH))
		return err_set(e, -errno, "mount the layer %s: %m", file);
	return 0;
}

static bool is_mounted(const char *at)
{
	struct stat here, above;
	char parent[LAYER_PATH_MAX + 4];

	snprintf(parent, sizeof(parent), "%s/..", at);
	return !stat(at, &here) && !stat(parent, &above) && here.st_dev != above.st_dev;
}

static int user_add(const char *layer, const char *id, struct err *e)
{
	char path[LAYER_PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/users", layer);
	if ((r = dir_make(path, 0700, e)))
		return r;
	snprintf(path, sizeof(path), "%s/users/%s", layer, id);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? err_set(e, -errno, "make %s: %m", path) : 0;
}

int layer_open(const char *file, const char *id, int *ret, struct err *e)
{
	char layer[LAYER_PATH_MAX / 2], at[LAYER_PATH_MAX];
	AUTO_FD int lock = -1;
	struct stat st;
	int r;

	if (stat(file, &st))
		return err_set(e, -errno, "look at the layer %s: %m", file);
	snprintf(layer, sizeof(layer), LAYERS_DIR "/%u.%u-%llu", major(st.st_dev), minor(st.st_dev), (unsigned long long)st.st_ino);
	snprintf(at, sizeof(at), "%s/mount", layer);
	if ((r = layers_lock(&lock, e)) || (r = dir_make(at, 0700, e)) || (r = user_add(layer, id, e)) ||
	    (!is_mounted(at) && (r = layer_mount(file, at, e))))
		return r;
	*ret = open_tree(AT_FDCWD, at, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return *ret < 0 ? err_set(e, -errno, "copy the mount of the layer %s: %m", file) : 0;
}

int layers_leave(struct err *e)
{
	return mnt_drop(LAYERS_DIR, e);
}

static int layer_release(const char *name, const char *id, struct err *e)
{
	char path[LAYER_PATH_MAX];
	int r;

	snprintf(path, sizeof(path), LAYERS_DIR "/%.80s/users/%s", name, id);
	if (unlink(path) && errno != ENOENT)
		return err_set(e, -errno, "remove %s: %m", path);
	*strrchr(path, '/') = '\0';
	if (rmdir(path) && errno != ENOENT)
		return errno == ENOTEMPTY || errno == EEXIST ? 0 : err_set(e, -errno, "remove %s: %m", path);
	snprintf(path, sizeof(path), LAYERS_DIR "/%.80s/mount", name);
	if ((r = mnt_drop(path, e)))
		return r;
	*strrchr(path, '/') = '\0';
	return tree_remove(AT_FDCWD, path, e);
}

int layers_release(const char *id, struct err *e)
{
	AUTO_DIR DIR *d = opendir(LAYERS_DIR);
	const struct dirent *entry;
	AUTO_FD int lock = -1;
	int r;

	if (!d)
		return errno == ENOENT ? 0 : err_set(e, -errno, "open " LAYERS_DIR ": %m");
	if ((r = layers_lock(&lock, e)))
		return r;
	while (!r && (entry = readdir(d)))
		if (entry->d_name[0] != '.')
			r = layer_release(entry->d_name, id, e);
	return r;
}
