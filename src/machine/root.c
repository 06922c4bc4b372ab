#include "machine/root.h"

#include "base/file.h"
#include "machine/layers.h"
#include "sys/idmap.h"
#include "sys/mnt.h"
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

#define DISKS_DIR "/zos/disks"            /* where the node's disks are mounted */
#define CACHE_DIR "/run/zos/imaged/cache" /* the image cache, which may lie on one of them */

uint32_t root_uid_base(const struct machine_spec *s)
{
	return MACHINE_UID_BASE + (uint32_t)s->index * MACHINE_UID_COUNT;
}

/* Puts the copy of a layer's mount at AT, with its owners shifted. */
static int layer_attach(const char *file, int mnt, const char *at, int userns, struct err *e)
{
	struct mount_attr shift = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns };

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

/* What is taken where all mounts of the node are, before this process has a namespace of its own. */
struct taken {
	int layers[WORK_LAYERS_MAX], volumes[ZMACHINE_MOUNTS_MAX]; /* copies of mounts that nobody sees */
};
#define TAKEN_NONE { .layers = { [0 ... WORK_LAYERS_MAX - 1] = -1 }, .volumes = { [0 ... ZMACHINE_MOUNTS_MAX - 1] = -1 } }

static void taken_close(struct taken *t)
{
	for (size_t i = 0; i < ARRAY_LEN(t->layers); i++)
		fd_close(&t->layers[i]);
	for (size_t i = 0; i < ARRAY_LEN(t->volumes); i++)
		fd_close(&t->volumes[i]);
}

static const char *layer_file(const struct machine_spec *s, size_t i)
{
	return sd_json_variant_string(sd_json_variant_by_index(s->layers, i));
}

/* What other machines have stays out of the new namespace: it would keep it all for as long as this machine lives. */
static int take_all(const struct machine_spec *s, size_t n_layers, struct taken *ret, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < n_layers && !r; i++)
		r = layer_open(layer_file(s, i), s->id, &ret->layers[i], e);
	for (size_t i = 0; i < s->n_mounts && !r; i++)
		if ((ret->volumes[i] = open_tree(AT_FDCWD, s->mounts[i].source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW)) < 0)
			r = err_set(e, -errno, "open the volume '%s': %m", s->mounts[i].name);
	if (r)
		return r;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return err_set(e, -errno, "make a mount namespace: %m");
	return (r = mnt_drop(DISKS_DIR, e)) || (r = mnt_drop(CACHE_DIR, e)) ? r : layers_leave(e);
}

/* Its owners are those of the machine, whichever range of uids it has; what is on it can be run there, and nothing gains by it. */
static int volume_attach(const struct machine_mount *m, int mnt, const char *at, int userns, struct err *e)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (m->read_only ? MOUNT_ATTR_RDONLY : 0),
				   .attr_clr = MOUNT_ATTR_NOEXEC,
				   .userns_fd = (uint64_t)userns };

	if (mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		return err_set(e, -errno, "shift the volume '%s': %m", m->name);
	if (mkdir(at, 0711) && errno != EEXIST)
		return err_set(e, -errno, "make %s: %m", at);
	if (move_mount(mnt, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH))
		return err_set(e, -errno, "mount the volume '%s': %m", m->name);
	return 0;
}

static int attach_all(const struct machine_spec *s, const char *dir, const struct taken *t, size_t n_layers, struct err *e)
{
	static const char *const folders[] = { "layers", ROOT_VOLUMES };
	AUTO_FD int userns = -1;
	char path[160];
	int r = idmap_open(root_uid_base(s), MACHINE_UID_COUNT, &userns, e);

	for (size_t i = 0; i < ARRAY_LEN(folders) && !r; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, folders[i]);
		r = dir_make(path, 0711, e);
	}
	for (size_t i = 0; i < n_layers && !r; i++) {
		snprintf(path, sizeof(path), "%s/layers/%zu", dir, i);
		r = layer_attach(layer_file(s, i), t->layers[i], path, userns, e);
	}
	for (size_t i = 0; i < s->n_mounts && !r; i++) {
		snprintf(path, sizeof(path), "%s/" ROOT_VOLUMES "/%zu", dir, i);
		r = volume_attach(&s->mounts[i], t->volumes[i], path, userns, e);
	}
	return r;
}

int root_make(const struct machine_spec *s, const char *dir, struct root *ret, struct err *e)
{
	CLEANUP(taken_close) struct taken taken = TAKEN_NONE;
	size_t n = sd_json_variant_elements(s->layers);
	char path[160];
	int r;

	if (!n || n > WORK_LAYERS_MAX)
		return err_set(e, -EBADMSG, "the image has %zu layers, and 1 to %d can be mounted", n, WORK_LAYERS_MAX);
	if ((r = take_all(s, n, &taken, e)) || (r = attach_all(s, dir, &taken, n, e)))
		return r;
	snprintf(path, sizeof(path), "%s/sys", dir);
	if ((r = netns_run(s->netns, sysfs_mount, path, e)))
		return r;
	snprintf(path, sizeof(path), "%s/rw", dir);
	if ((r = writable_make(path, s->rootfs_bytes, root_uid_base(s), e)))
		return r;
	snprintf(ret->path, sizeof(ret->path), "%s/root", dir);
	return overlay_mount(s, dir, ret->path, e);
}
