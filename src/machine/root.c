#include "machine/root.h"

#include "base/file.h"
#include "sys/loop.h"
#include "sys/netns.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

uint32_t root_uid_base(const struct machine_spec *s)
{
	return MACHINE_UID_BASE + (uint32_t)s->index * MACHINE_UID_COUNT;
}

/* Child of userns_open(): holds a new user namespace open until it is killed. */
[[noreturn]] static void userns_hold(int ready)
{
	char c = unshare(CLONE_NEWUSER) ? 'n' : 'y';

	if (write(ready, &c, 1) == 1)
		for (;;)
			pause();
	_exit(1);
}

/* A user namespace that shows BASE..BASE+COUNT-1 as 0..COUNT-1. Returns its descriptor in *RET. */
static int userns_open(uint32_t base, int *ret, struct err *e)
{
	char path[64], map[64], c = 'n';
	int pipe_fd[2], r = 0;
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC))
		return err_set(e, -errno, "make a pipe: %m");
	pid = fork();
	if (!pid)
		userns_hold(pipe_fd[1]);
	close(pipe_fd[1]);
	AUTO_FD int from = pipe_fd[0];
	if (pid < 0 || read(from, &c, 1) != 1 || c != 'y')
		r = err_set(e, -EPERM, "make a user namespace: the kernel refused");
	snprintf(map, sizeof(map), "0 %u %u", base, MACHINE_UID_COUNT);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	if (!r)
		r = file_poke(AT_FDCWD, path, str_c(map), e);
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	if (!r)
		r = file_poke(AT_FDCWD, path, str_c(map), e);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	if (!r && (*ret = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		r = err_set(e, -errno, "open the user namespace: %m");
	if (pid > 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return r;
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
static int layer_open(const char *file, int *ret, struct err *e)
{
	char device[LOOP_PATH_MAX];
	AUTO_FD int loop = -1;
	int r, fd = erofs_open(file);

	if (fd == -ENOTBLK) {
		if ((r = loop_open(file, &loop, device, e)))
			return r;
		fd = erofs_open(device);
	}
	if (fd < 0)
		return err_set(e, fd, "mount the layer %s: %s", file, strerror(-fd));
	*ret = fd;
	return 0;
}

/* Mounts one EROFS file, read-only, with its owners shifted. */
static int layer_mount(const char *file, const char *at, int userns, struct err *e)
{
	struct mount_attr shift = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns };
	AUTO_FD int mnt = -1;
	int r = layer_open(file, &mnt, e);

	if (r)
		return r;
	if (mount_setattr(mnt, "", AT_EMPTY_PATH, &shift, sizeof(shift)))
		return err_set(e, -errno, "shift the layer %s: %m", file);
	if (mkdir(at, 0711) && errno != EEXIST)
		return err_set(e, -errno, "make %s: %m", at);
	if (move_mount(mnt, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH))
		return err_set(e, -errno, "mount the layer %s: %m", file);
	return 0;
}

static int writable_make(const char *dir, uint64_t size_bytes, uint32_t owner, struct err *e)
{
	char options[64], path[160];
	static const char *const parts[] = { "upper", "work" };

	snprintf(options, sizeof(options), "size=%" PRIu64 ",mode=0711", size_bytes);
	if (mkdir(dir, 0711) && errno != EEXIST)
		return err_set(e, -errno, "make %s: %m", dir);
	if (mount("root", dir, "tmpfs", MS_NODEV | MS_NOSUID, options))
		return err_set(e, -errno, "make the machine's writable layer: %m");
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, parts[i]);
		if (mkdir(path, 0755) || chown(path, owner, owner))
			return err_set(e, -errno, "make %s: %m", path);
	}
	return 0;
}

static int overlay_mount(const struct machine_spec *s, const char *dir, const char *at, struct err *e)
{
	char path[160];
	size_t n = sd_json_variant_elements(s->layers);
	AUTO_FD int fs = fsopen("overlay", FSOPEN_CLOEXEC);
	if (fs < 0)
		return err_set(e, -errno, "mount the machine's root: %m");
	for (size_t i = n; i-- > 0;) { /* the kernel wants the topmost first */
		snprintf(path, sizeof(path), "%s/layers/%zu", dir, i);
		if (fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", path, 0))
			return err_set(e, -errno, "put layer %zu into the machine's root: %m", i);
	}
	snprintf(path, sizeof(path), "%s/rw/upper", dir);
	if (fsconfig(fs, FSCONFIG_SET_STRING, "upperdir", path, 0))
		return err_set(e, -errno, "put the writable layer into the machine's root: %m");
	snprintf(path, sizeof(path), "%s/rw/work", dir);
	if (fsconfig(fs, FSCONFIG_SET_STRING, "workdir", path, 0) || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return err_set(e, -errno, "mount the machine's root: %m");
	AUTO_FD int mnt = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);
	if (mkdir(at, 0755) && errno != EEXIST)
		return err_set(e, -errno, "make %s: %m", at);
	if (mnt < 0 || move_mount(mnt, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH))
		return err_set(e, -errno, "mount the machine's root: %m");
	return 0;
}

static int sysfs_mount(void *ctx, struct err *e)
{
	const char *at = ctx;

	if (mkdir(at, 0755) && errno != EEXIST)
		return err_set(e, -errno, "make %s: %m", at);
	if (mount("sysfs", at, "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		return err_set(e, -errno, "mount the machine's /sys: %m");
	return 0;
}

int root_make(const struct machine_spec *s, const char *dir, struct root *ret, struct err *e)
{
	char path[160];
	uint32_t base = root_uid_base(s);
	size_t n = sd_json_variant_elements(s->layers);
	int r;

	AUTO_FD int userns = -1;
	if (!n)
		return err_set(e, -EBADMSG, "the image has no layers");
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return err_set(e, -errno, "make a mount namespace: %m");
	if ((r = userns_open(base, &userns, e)))
		return r;
	snprintf(path, sizeof(path), "%s/layers", dir);
	if (mkdir(path, 0711) && errno != EEXIST)
		return err_set(e, -errno, "make %s: %m", path);
	for (size_t i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/layers/%zu", dir, i);
		if ((r = layer_mount(sd_json_variant_string(sd_json_variant_by_index(s->layers, i)), path, userns, e)))
			return r;
	}
	snprintf(path, sizeof(path), "%s/sys", dir);
	if ((r = netns_run(s->netns, sysfs_mount, path, e)))
		return r;
	snprintf(path, sizeof(path), "%s/rw", dir);
	if ((r = writable_make(path, s->rootfs_bytes, base, e)))
		return r;
	snprintf(ret->path, sizeof(ret->path), "%s/root", dir);
	return overlay_mount(s, dir, ret->path, e);
}
