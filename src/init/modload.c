/* modload [first|disks|only NAME] -- loads the drivers of what is in the machine, then of what is plugged in; or a module that somebody came to need.
 *
 * In three runs, each shared by a few threads, because some drivers measure something for most of a second while they
 * load. `first`: network cards and disks, for which two short lists in /sys are enough, and what is marked in the list
 * /usr/lib/zos/modules. `disks`: what a disk of ours needs, where there is a disk by then; noded waits for it. Then, beside the services that wait for the
 * network, and behind them: everything that a walk over /sys finds, and the rest of the list. Afterwards one thread follows the kernel's uevents, and loads what a
 * disk of ours needs with the first one that comes late. It also hands the device nodes that machines need to their group. */
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "init/tell.h"
#include "sys/uevent.h"

#include <dirent.h>
#include <fcntl.h>
#include <libkmod.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
	WORKERS = 4,
	NAMES_MAX = 4096,
	NAME_MAX_BYTES = 512,
	SYS_DEPTH_MAX = 24,
	LIST_MAX_BYTES = 65536,
	LIST_SOON = '+', /* marks in the list, one before each name: for the first round, */
	LIST_LATER = '-', /* ... for the second, */
	LIST_FOR_DISKS = '=', /* ... once there is a disk */
};
#define LIST_PATH "/usr/lib/zos/modules"

struct loader {
	char *names[NAMES_MAX]; /* owned */
	size_t n, next; /* how many; which one is to be loaded next */
	pthread_mutex_t lock; /* for NEXT */
	bool serves_disks;
};

/* Device nodes that workloads' processes open without being root. Everything else stays with root. */
static const struct {
	const char *path;
	gid_t gid;
	mode_t mode;
} nodes[] = {
	{ "/dev/kvm", 910, 0660 },     { "/dev/vhost-net", 910, 0660 }, { "/dev/vhost-vsock", 910, 0660 },
	{ "/dev/net/tun", 910, 0660 }, { "/dev/fuse", 910, 0660 },
};

static void nodes_open(void)
{
	for (size_t i = 0; i < ARRAY_LEN(nodes); i++)
		if ((chown(nodes[i].path, 0, nodes[i].gid) || chmod(nodes[i].path, nodes[i].mode)) && errno != ENOENT)
			log_warn("cannot open %s to machines: %m", nodes[i].path);
}

/* Network and mass storage, by bus: PCI classes 01 and 02, virtio devices 1, 2 and 8. */
static bool is_urgent(const char *alias)
{
	static const char *const heads[] = { "virtio:d00000001v", "virtio:d00000002v", "virtio:d00000008v", "vmbus:", "xen:" };
	const char *class = strstr(alias, "bc0");

	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		if (!strncmp(alias, heads[i], strlen(heads[i])))
			return true;
	return !strncmp(alias, "pci:", 4) && class && (class[3] == '1' || class[3] == '2');
}

static void name_add(struct loader *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->names[i], name))
			return;
	if (l->n == NAMES_MAX)
		return;
	l->names[l->n] = strdup(name);
	BUG_ON(!l->names[l->n]);
	l->n++;
}

static void alias_read(struct loader *l, int dir_fd, const char *path, bool only_urgent)
{
	char name[NAME_MAX_BYTES];
	AUTO_FD int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);

	while (n > 0 && name[n - 1] == '\n')
		n--;
	if (n <= 0)
		return;
	name[n] = '\0';
	if (!only_urgent || is_urgent(name))
		name_add(l, name);
}

static void urgent_read(struct loader *l)
{
	static const char *const buses[] = { "virtio", "pci", "vmbus", "xen" };

	for (size_t i = 0; i < ARRAY_LEN(buses); i++) {
		char path[NAME_MAX_BYTES];
		struct dirent *d;

		snprintf(path, sizeof(path), "/sys/bus/%s/devices", buses[i]);
		AUTO_DIR DIR *dir = opendir(path);
		while (dir && (d = readdir(dir))) {
			snprintf(path, sizeof(path), "%s/modalias", d->d_name);
			alias_read(l, dirfd(dir), path, true);
		}
	}
}

static void devices_read(struct loader *l, int parent_fd, const char *name, unsigned depth)
{
	AUTO_FD int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;

	if (!dir)
		return;
	take_fd(fd);
	while ((d = readdir(dir))) {
		if (!strcmp(d->d_name, "modalias"))
			alias_read(l, dirfd(dir), "modalias", false);
		else if (d->d_type == DT_DIR && d->d_name[0] != '.' && depth < SYS_DEPTH_MAX)
			devices_read(l, dirfd(dir), d->d_name, depth + 1);
	}
}

/* The list of os/modules: the names with this mark. */
static void list_read(struct loader *l, char mark)
{
	AUTO_BUF struct buf b = { 0 };
	struct str rest, line;
	struct err e;

	if (file_read(AT_FDCWD, LIST_PATH, LIST_MAX_BYTES, &b, &e)) {
		log_warn("%s", e.msg);
		return;
	}
	rest = buf_str(&b);
	while (str_next(&rest, '\n', &line)) {
		char name[NAME_MAX_BYTES];

		if (line.n < 2 || line.n >= sizeof(name) || line.p[0] != mark)
			continue;
		snprintf(name, sizeof(name), STR_FMT, (int)line.n - 1, line.p + 1);
		name_add(l, name);
	}
}

static void kmod_unrefp(struct kmod_ctx **k)
{
	kmod_unref(*k);
}

/* A name may stand for several drivers. One that finds no hardware for itself says ENODEV: no news. OPTIONS: the module's, or NULL. */
static void driver_load(struct kmod_ctx *k, const char *name, const char *options)
{
	struct kmod_list *list = NULL, *item;

	if (kmod_module_new_from_lookup(k, name, &list) < 0)
		return;
	kmod_list_foreach(item, list)
	{
		struct kmod_module *m = kmod_module_get_module(item);
		int r = kmod_module_probe_insert_module(m, KMOD_PROBE_APPLY_BLACKLIST, options, NULL, NULL, NULL);

		if (r < 0 && r != -ENODEV && r != -EEXIST && r != -ENOENT && r != -EOPNOTSUPP)
			log_warn("cannot load %s: %s", kmod_module_get_name(m), strerror(-r));
		kmod_module_unref(m);
	}
	kmod_module_unref_list(list);
}

static const char *name_next(struct loader *l)
{
	const char *name;

	pthread_mutex_lock(&l->lock);
	name = l->next < l->n ? l->names[l->next++] : NULL;
	pthread_mutex_unlock(&l->lock);
	return name;
}

static void *work(void *arg)
{
	struct loader *l = arg;
	CLEANUP(kmod_unrefp) struct kmod_ctx *k = kmod_new(NULL, NULL);
	const char *name;

	if (k)
		kmod_load_resources(k);
	while (k && (name = name_next(l)))
		driver_load(k, name, NULL);
	return NULL;
}

/* Loads all names and forgets them. */
static void load_all(struct loader *l)
{
	pthread_t threads[WORKERS];
	size_t n = 0;

	while (n + 1 < WORKERS && n + 1 < l->n && !pthread_create(&threads[n], NULL, work, l))
		n++;
	work(l);
	while (n)
		pthread_join(threads[--n], NULL);
	while (l->n)
		free(l->names[--l->n]);
	l->next = 0;
}

/* The first disk brings what unlocks and mounts it. */
static bool is_disk(const char *name)
{
	static const char *const heads[] = { "sd", "nvme", "vd", "xvd" };

	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		if (!strncmp(name, heads[i], strlen(heads[i])))
			return true;
	return false;
}

static bool has_disk(void)
{
	AUTO_DIR DIR *dir = opendir("/sys/block");
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (is_disk(d->d_name))
			return true;
	return false;
}

static void disks_serve(struct loader *l)
{
	list_read(l, LIST_FOR_DISKS);
	load_all(l);
	l->serves_disks = true;
}

static void uevent_take(struct loader *l, struct kmod_ctx *k, const struct uevent *u)
{
	const char *alias = uevent_get(u, "MODALIAS"), *system = uevent_get(u, "SUBSYSTEM"), *name = uevent_get(u, "DEVNAME");

	if (strncmp(u->text, "add@", 4))
		return;
	if (alias)
		driver_load(k, alias, NULL);
	if (!l->serves_disks && system && name && !strcmp(system, "block") && is_disk(name))
		disks_serve(l);
	nodes_open();
}

/* A device that appears after the socket is open and before the walk is found twice, which does no harm. */
static int follow(struct loader *l)
{
	static struct uevent u;
	CLEANUP(kmod_unrefp) struct kmod_ctx *k = NULL;
	AUTO_FD int fd = -1;
	struct err e = { 0 };
	int r = uevent_open(0, &fd, &e);

	devices_read(l, AT_FDCWD, "/sys/devices", 0);
	list_read(l, LIST_LATER);
	load_all(l);
	if (!l->serves_disks && has_disk())
		disks_serve(l);
	nodes_open();
	init_tell("READY=1\nSTATUS=all drivers are loaded");
	k = kmod_new(NULL, NULL);
	while (k && r >= 0)
		if (!(r = uevent_read(fd, &u)))
			uevent_take(l, k, &u);
	log_err("cannot follow new devices: %s", r < 0 && e.msg[0] ? e.msg : "the kernel tells no more");
	return EXIT_FAILURE;
}

/* What few nodes need, and those not from the start: of one name all. The options are for none to be made that nobody asked for. */
static const struct {
	const char *name, *module, *options;
} on_demand[] = {
	{ "wireguard", "wireguard", NULL },      { "ipvlan", "ipvlan", NULL },       { "8021q", "8021q", NULL },
	{ "bonding", "bonding", "max_bonds=0" }, { "shaping", "ifb", "numifbs=0" }, /* src/network/shape.c */
	{ "shaping", "sch_tbf", NULL },          { "shaping", "sch_ingress", NULL }, { "shaping", "cls_u32", NULL },
	{ "shaping", "act_mirred", NULL },
};

static int load_only(const char *name)
{
	CLEANUP(kmod_unrefp) struct kmod_ctx *k = kmod_new(NULL, NULL);
	bool is_known = false;

	for (size_t i = 0; k && i < ARRAY_LEN(on_demand); i++)
		if (!strcmp(on_demand[i].name, name)) {
			driver_load(k, on_demand[i].module, on_demand[i].options);
			is_known = true;
		}
	if (is_known)
		return EXIT_SUCCESS;
	log_err("%s is no module that is loaded on demand", name);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static struct loader l = { .lock = PTHREAD_MUTEX_INITIALIZER };
	const char *which = argc == 2 ? argv[1] : "";
	bool is_first = !strcmp(which, "first"), is_disks = !strcmp(which, "disks");

	log_init(is_first ? "modules" : is_disks ? "disks" : argc > 2 ? "module" : "drivers", getenv("ZOS_DEBUG") != NULL);
	if (argc == 3 && !strcmp(argv[1], "only"))
		return load_only(argv[2]);
	if (!is_first && !is_disks)
		return follow(&l);
	if (is_first) {
		urgent_read(&l);
		list_read(&l, LIST_SOON);
		load_all(&l);
	} else if (has_disk()) {
		disks_serve(&l);
	}
	return EXIT_SUCCESS;
}
