#include "guest/root.h"

#include "base/file.h"
#include "base/parse.h"
#include "sys/mnt.h"
#include "sys/netlink.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

enum { LIST_MAX = 4096, FILES_MAX = 65536 };
#define QUIET (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define ROOT "/root"
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t) /* blocks; the kernel has no header for it */

static const struct mnt_spec early[] = {
	{ "proc", "/proc", "proc", NULL, QUIET, .make_dir = true },
	{ "sysfs", "/sys", "sysfs", NULL, QUIET, .make_dir = true },
	{ "devtmpfs", "/dev", "devtmpfs", "mode=0755", MS_NOSUID, .make_dir = true },
};

static const struct mnt_spec inside[] = {
	{ "proc", "/proc", "proc", NULL, QUIET, .make_dir = true },
	{ "sysfs", "/sys", "sysfs", NULL, QUIET, .make_dir = true },
	{ "cgroup2", "/sys/fs/cgroup", "cgroup2", "nsdelegate", QUIET, .optional = true },
	{ "devtmpfs", "/dev", "devtmpfs", "mode=0755", MS_NOSUID, .make_dir = true },
	{ "devpts", "/dev/pts", "devpts", "gid=5,mode=0620,ptmxmode=0666", MS_NOSUID | MS_NOEXEC, .make_dir = true },
	{ "shm", "/dev/shm", "tmpfs", "mode=1777,size=65536k", QUIET, .make_dir = true },
	{ "mqueue", "/dev/mqueue", "mqueue", NULL, QUIET, .make_dir = true, .optional = true },
};

static int module_load(struct str name, struct err *e)
{
	char path[128];

	snprintf(path, sizeof(path), "/modules/" STR_FMT, STR_ARG(name));
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
		return err_set(e, -errno, "load %s: %m", path);
	unlink(path); /* memory that the machine can use */
	return 0;
}

static int modules_load(const char *list_path, struct err *e)
{
	AUTO_BUF struct buf list = { 0 };
	struct str rest, line;
	int r = file_read(AT_FDCWD, list_path, LIST_MAX, &list, e);

	for (rest = buf_str(&list); !r && str_next(&rest, '\n', &line);)
		r = line.n ? module_load(line, e) : 0;
	return r;
}

int root_early(struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(early) && !r; i++)
		r = mnt_make("", &early[i], e);
	if (r || (r = modules_load("/modules/list", e)))
		return r;
	return access("/modules/asked", F_OK) ? 0 : modules_load("/modules/asked", e); /* what its owner wants besides */
}

/* The disk with the serial number KIND and N: names follow the order in which disks are found, serials do not. */
static int disk_find(const char *kind, unsigned n, char ret[static 32], struct err *e)
{
	AUTO_DIR DIR *dir = opendir("/sys/block");
	struct dirent *d;
	char want[16];

	snprintf(want, sizeof(want), "%s%u", kind, n);
	while (dir && (d = readdir(dir))) {
		AUTO_BUF struct buf serial = { 0 };
		char path[300];

		snprintf(path, sizeof(path), "/sys/block/%s/serial", d->d_name);
		if (d->d_name[0] == '.' || strlen(d->d_name) > 16 || file_read(AT_FDCWD, path, 64, &serial, NULL))
			continue;
		if (!str_eq(buf_str(&serial), str_c(want)))
			continue;
		snprintf(ret, 32, "/dev/%.16s", d->d_name);
		return 0;
	}
	return err_set(e, -ENODEV, "there is no disk %s%u", kind, n);
}

static int layers_mount(const struct guest_config *c, struct buf *ret_lower, struct err *e)
{
	for (unsigned i = c->n_layers; i-- > 0;) { /* overlayfs wants the topmost first */
		char disk[32], at[32];
		struct mnt_spec m = { disk, at, "erofs", NULL, MS_RDONLY, .make_dir = true };
		int r = disk_find("layer", i, disk, e);

		snprintf(at, sizeof(at), "/layers/%u", i);
		if (r || (r = mnt_make("", &m, e)))
			return r;
		buf_addf(ret_lower, "%s%s", ret_lower->len ? ":" : "lowerdir=", at);
	}
	return 0;
}

static int overlay_mount(const struct guest_config *c, struct err *e)
{
	AUTO_BUF struct buf options = { 0 };
	char size[64];
	struct mnt_spec writable = { "root", "/rw", "tmpfs", size, MS_NODEV, .make_dir = true };
	struct mnt_spec overlay = { "root", ROOT, "overlay", NULL, MS_NODEV, .make_dir = true };
	int r;

	snprintf(size, sizeof(size), "mode=0755,size=%" PRIu64, c->rootfs_bytes);
	if ((r = layers_mount(c, &options, e)) || (r = mnt_make("", &writable, e)))
		return r;
	if (mkdir("/rw/upper", 0755) || mkdir("/rw/work", 0755))
		return err_set(e, -errno, "make the writable layer: %m");
	buf_addf(&options, ",upperdir=/rw/upper,workdir=/rw/work");
	if (buf_check(&options))
		return err_set(e, -ENOMEM, "mount the machine's root: out of memory");
	overlay.options = options.p;
	return mnt_make("", &overlay, e);
}

int root_enter(const struct guest_config *c, struct err *e)
{
	int r = overlay_mount(c, e);

	for (size_t i = 0; i < ARRAY_LEN(inside) && !r; i++)
		r = mnt_make(ROOT, &inside[i], e);
	if (r)
		return r;
	unlink("/init");
	if (chdir(ROOT) || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		return err_set(e, -errno, "enter the machine's root: %m");
	return 0;
}

/* A disk may have grown since it was formatted: the file system on it takes all there is. The kernel does both while it is mounted. */
static int ext4_grow(int at, const char *disk)
{
	AUTO_FD int fd = open(disk, O_RDONLY | O_CLOEXEC);
	struct statfs fs;
	uint64_t bytes, blocks;

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes) || fstatfs(at, &fs))
		return -errno;
	blocks = bytes / (uint64_t)fs.f_bsize;
	return ioctl(at, EXT4_IOC_RESIZE_FS, &blocks) ? -errno : 0;
}

static int btrfs_grow(int at, const char *disk)
{
	struct btrfs_ioctl_vol_args all = { .name = "max" };

	(void)disk;
	return ioctl(at, BTRFS_IOC_RESIZE, &all) ? -errno : 0;
}

static const struct {
	const char *format;
	int (*grow)(int at, const char *disk);
} growers[] = { { "ext4", ext4_grow }, { "btrfs", btrfs_grow } };

static int disk_grow(const struct guest_mount *m, const char *disk, struct err *e)
{
	AUTO_FD int at = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = at < 0 ? -errno : 0;

	for (size_t i = 0; i < ARRAY_LEN(growers) && !r && !m->read_only; i++)
		if (!strcmp(growers[i].format, m->format))
			r = growers[i].grow(at, disk);
	return r ? err_set(e, r, "grow the file system on %s: %s", m->path, strerror(-r)) : 0;
}

/* What the N-th mount is found by: a disk by its device, a volume of the node's by its tag. */
static int mount_find(const struct guest_mount *m, unsigned n, char ret[static 32], struct err *e)
{
	if (strcmp(m->format, GUEST_SHARED))
		return disk_find("mount", n, ret, e);
	snprintf(ret, 32, "mount%u", n);
	return 0;
}

/* Inside: a link of the image's in the path leads nowhere else. */
int root_mount(const struct guest_config *c, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; i < c->n_mounts && !r; i++) {
		const struct guest_mount *m = &c->mounts[i];
		char what[32];
		struct mnt_spec spec = { what, m->path, m->format, NULL, MS_NODEV | MS_NOSUID | (m->read_only ? MS_RDONLY : 0) };

		if ((r = mount_find(m, i, what, e)) || (r = dir_make(m->path, 0755, e)) || (r = mnt_make("", &spec, e)))
			return err_wrap(e, r, "mount what belongs on %s", m->path);
		r = disk_grow(m, what, e);
	}
	return r;
}

static int etc_write(const struct guest_config *c, struct err *e)
{
	AUTO_BUF struct buf resolv = { 0 }, hosts = { 0 }, hostname = { 0 };
	const struct {
		const char *path;
		const struct buf *content;
	} files[] = { { "/etc/resolv.conf", &resolv }, { "/etc/hosts", &hosts }, { "/etc/hostname", &hostname } };
	struct in_addr own = { htonl(c->address) };
	char address[INET_ADDRSTRLEN];
	int r = dir_make("/etc", 0755, e);

	inet_ntop(AF_INET, &own, address, sizeof(address));
	for (size_t i = 0; c->search[i]; i++)
		buf_addf(&resolv, "%s%s", i ? " " : "search ", c->search[i]);
	buf_addf(&resolv, "%s", resolv.len ? "\n" : "");
	for (size_t i = 0; c->resolvers[i]; i++)
		buf_addf(&resolv, "nameserver %s\n", c->resolvers[i]);
	buf_addf(&hosts, "127.0.0.1 localhost\n::1 localhost\n%s %s\n", address, c->hostname);
	buf_addf(&hostname, "%s\n", c->hostname);
	for (size_t i = 0; i < ARRAY_LEN(files) && !r; i++) /* a link of the image's is replaced, not followed */
		r = file_save(AT_FDCWD, files[i].path, buf_str(files[i].content), 0644, e);
	return r;
}

static bool mac_read(const char *device, uint8_t ret[static 6])
{
	AUTO_BUF struct buf text = { 0 };
	struct str rest, byte;
	char path[64];
	int n = 0;

	snprintf(path, sizeof(path), "/sys/class/net/%.16s/address", device);
	if (file_read(AT_FDCWD, path, 64, &text, NULL))
		return false;
	for (rest = buf_str(&text); n < 6 && str_next(&rest, ':', &byte); n++)
		if (byte.n < 2 || parse_hex((struct str){ byte.p, 2 }, &ret[n], 1))
			return false;
	return n == 6;
}

/* Which of the machine's cards it is: 0 is the way out, which no link names. */
static size_t card_of(const struct guest_config *c, const uint8_t mac[static 6])
{
	for (size_t i = 0; i < c->n_links; i++)
		if (!memcmp(c->links[i].mac, mac, 6))
			return i + 1;
	return 0;
}

/* The kernel names cards as it finds them. By way of names that nobody has, as two may have each other's. */
static int cards_name(const struct guest_config *c, int fd, struct err *e)
{
	char now[8], then[8];
	uint8_t mac[6];
	int r = 0;

	for (size_t i = 0; i <= c->n_links && !r; i++) {
		snprintf(now, sizeof(now), "eth%zu", i);
		if (!mac_read(now, mac))
			return err_set(e, -ENODEV, "there is no network card %s", now);
		snprintf(then, sizeof(then), "card%zu", card_of(c, mac));
		r = netlink_rename(fd, now, then, e);
	}
	for (size_t i = 0; i <= c->n_links && !r; i++) {
		snprintf(now, sizeof(now), "card%zu", i);
		snprintf(then, sizeof(then), "eth%zu", i);
		r = netlink_rename(fd, now, then, e);
	}
	return r;
}

static int links_up(const struct guest_config *c, int fd, struct err *e)
{
	char name[8];
	int r = c->n_links ? cards_name(c, fd, e) : 0;

	for (size_t i = 0; i < c->n_links && !r; i++) {
		snprintf(name, sizeof(name), "eth%zu", i + 1);
		r = card_apply(fd, name, &c->links[i], e);
	}
	return r;
}

static int link_up(const struct guest_config *c, struct err *e)
{
	AUTO_FD int fd = -1;
	int r;

	if ((r = netlink_open(&fd, e)) || (r = netlink_up(fd, "lo", e)) || (r = links_up(c, fd, e)) || (r = netlink_up(fd, "eth0", e)) ||
	    (r = netlink_add_address(fd, "eth0", c->address, 31, e)))
		return r;
	return netlink_add_default(fd, "eth0", c->gateway, e);
}

static const struct {
	const char *at, *to;
} links[] = {
	{ "/dev/fd", "/proc/self/fd" },       { "/dev/stdin", "/proc/self/fd/0" }, { "/dev/stdout", "/proc/self/fd/1" },
	{ "/dev/stderr", "/proc/self/fd/2" }, { "/dev/ptmx", "pts/ptmx" },
};

int root_dress(const struct guest_config *c, struct err *e)
{
	struct rlimit files = { FILES_MAX, FILES_MAX };
	int r;

	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		unlink(links[i].at);
		if (symlink(links[i].to, links[i].at))
			return err_set(e, -errno, "make %s: %m", links[i].at);
	}
	if (sethostname(c->hostname, strlen(c->hostname)) || setrlimit(RLIMIT_NOFILE, &files))
		return err_set(e, -errno, "set the name and limits: %m");
	if ((r = etc_write(c, e)) || (r = link_up(c, e)))
		return r;
	/* as everywhere for containers: who is alone in a network may use all of its ports */
	return file_poke(AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start", S("0"), e);
}
