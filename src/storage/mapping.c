#include "storage/mapping.h"

#include "base/file.h"
#include "sys/mnt.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define MOUNT_FLAGS (MS_NOATIME | MS_NOSUID | MS_NODEV | MS_NOEXEC)

void mapping_name(char ret[static MAPPING_NAME_MAX], const char *uuid)
{
	snprintf(ret, MAPPING_NAME_MAX, "zos-%s", uuid);
}

/* The kernel's number of the disk below a mapping; 0 when that is not there any more. */
static uint64_t seq_below(dev_t mapping)
{
	char path[64], name[320];
	struct dirent *d;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/slaves", major(mapping), minor(mapping));
	AUTO_DIR DIR *dir = opendir(path);
	while (dir && (d = readdir(dir)))
		if (d->d_name[0] != '.') {
			snprintf(name, sizeof(name), "%s/%s/diskseq", path, d->d_name);
			return file_count(name, NULL);
		}
	return 0;
}

enum mapping_below mapping_below(const char *uuid, const struct disk_args *a)
{
	char mapping[MAPPING_NAME_MAX], node[MAPPING_NAME_MAX + 16];
	struct stat st;
	uint64_t seq;

	mapping_name(mapping, uuid);
	snprintf(node, sizeof(node), "/dev/mapper/%s", mapping);
	if (stat(node, &st))
		return MAPPING_CLOSED;
	seq = seq_below(st.st_rdev);
	return !seq ? MAPPING_DEAD : seq == a->seq ? MAPPING_OURS : MAPPING_OTHER;
}

/* By the kernel's own interface (linux/dm-ioctl.h): libcryptsetup 2.7 dies of a mapping whose disk is not there any more. */
int mapping_shut(const char *uuid, bool later, struct err *e)
{
	struct dm_ioctl remove = { .version = { DM_VERSION_MAJOR, 0, 0 }, .data_size = sizeof(remove), .flags = later ? DM_DEFERRED_REMOVE : 0 };
	char node[MAPPING_NAME_MAX + 16];

	mapping_name(remove.name, uuid);
	snprintf(node, sizeof(node), "/dev/mapper/%s", remove.name);
	AUTO_FD int fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENODEV))
		return 0; /* without its driver nothing is open */
	if (fd < 0 || (ioctl(fd, DM_DEV_REMOVE, &remove) && errno != ENXIO))
		return err_set(e, -errno, "close %s: %m", node);
	if (unlink(node) && errno != ENOENT)
		return err_set(e, -errno, "remove %s: %m", node);
	return 0;
}

void mapping_path(char ret[static STORAGE_PATH_MAX], const char *uuid)
{
	snprintf(ret, STORAGE_PATH_MAX, STORAGE_ROOT "/%s", uuid);
}

int mapping_open(const char *uuid, struct err *e)
{
	char path[STORAGE_PATH_MAX];
	int fd;

	mapping_path(path, uuid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_set(e, -errno, "open %s: %m", path) : fd;
}

int mapping_mount(const char *uuid, bool is_rotational, struct err *e)
{
	char path[STORAGE_PATH_MAX], mapping[MAPPING_NAME_MAX], what[MAPPING_NAME_MAX + 16];

	mapping_path(path, uuid);
	mapping_name(mapping, uuid);
	snprintf(what, sizeof(what), "/dev/mapper/%s", mapping);
	/* small files among the data: in the books they would take twice what their volume's limit counts */
	return mnt_make("",
			&(struct mnt_spec){ what, path, "btrfs", is_rotational ? "max_inline=0" : "max_inline=0,discard=async", MOUNT_FLAGS,
					    .make_dir = true },
			e);
}

/* Leaves alone what is open of another disk with the same UUID. */
int mapping_let_go(const struct disk_args *a, const char *uuid, int how, struct err *e)
{
	char path[STORAGE_PATH_MAX];

	if (mapping_below(uuid, a) == MAPPING_OTHER)
		return 0;
	mapping_path(path, uuid);
	if (umount2(path, how) && errno != EINVAL && errno != ENOENT)
		return err_set(e, -errno, "unmount %s: %m", path);
	(void)rmdir(path);
	return mapping_shut(uuid, how == MNT_DETACH, e);
}
