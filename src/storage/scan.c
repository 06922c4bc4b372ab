#include "storage/scan.h"

#include "base/file.h"
#include "base/parse.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

enum { ATTRIBUTE_MAX = 512, SECTOR_BYTES = 512, VPD_HEADER = 4 };

const char *const storage_transport_names[STORAGE_TRANSPORTS + 1] = { "other", "virtio", "nvme", "sata", "scsi", "usb", NULL };

/* Which names a driver gives to whole disks, and how what it serves is plugged in; sd serves several, and the path of the device says more. */
static const struct {
	const char *head;
	enum storage_transport transport;
} drivers[] = { { "vd", STORAGE_VIRTIO }, { "nvme", STORAGE_NVME }, { "sd", STORAGE_SCSI }, { "xvd", STORAGE_OTHER } };
static const struct {
	const char *part;
	enum storage_transport transport;
} paths[] = { { "/usb", STORAGE_USB }, { "/ata", STORAGE_SATA } };
/* Who translates for a SATA disk, on a card for SAS, says this of its maker (SAT, INQUIRY). */
#define VENDOR_OF_SATA "ATA"

static bool transport_of(int dir, const char *name, enum storage_transport *ret)
{
	char path[4096];
	ssize_t n;

	for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
		if (strncmp(name, drivers[i].head, strlen(drivers[i].head)))
			continue;
		*ret = drivers[i].transport;
		if (*ret != STORAGE_SCSI || (n = readlinkat(dir, name, path, sizeof(path) - 1)) < 0)
			return true;
		path[n] = '\0';
		for (size_t k = 0; k < ARRAY_LEN(paths); k++)
			if (strstr(path, paths[k].part))
				*ret = paths[k].transport;
		return true;
	}
	return false;
}

/* The bytes of an attribute; 0 where there is none. */
static size_t attribute_bytes(int dir, const char *name, char *ret, size_t size)
{
	AUTO_FD int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size);

	return n < 0 ? 0 : (size_t)n;
}

static uint64_t attribute_u64(int dir, const char *name)
{
	char text[32];
	size_t n = attribute_bytes(dir, name, text, sizeof(text));
	uint64_t v = 0;

	while (n && text[n - 1] == '\n')
		n--;
	return parse_u64((struct str){ text, n }, UINT64_MAX, &v) ? 0 : v;
}

/* Text that a disk brought along: its printable part, without blanks around it. */
static void text_take(struct str s, char *ret, size_t size)
{
	size_t n = 0;

	while (s.n && (s.p[0] == ' ' || s.p[0] == '\0')) {
		s.p++;
		s.n--;
	}
	for (size_t i = 0; i < s.n && s.p[i] && s.p[i] != '\n' && n < size - 1; i++)
		ret[n++] = s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?';
	while (n && ret[n - 1] == ' ')
		n--;
	ret[n] = '\0';
}

static void attribute_text(int dir, const char *name, char *ret, size_t size)
{
	char bytes[ATTRIBUTE_MAX];

	text_take((struct str){ bytes, attribute_bytes(dir, name, bytes, sizeof(bytes)) }, ret, size);
}

/* Where drivers put the serial number: virtio, NVMe; SCSI and SATA as page 0x80 of the SCSI standard has it, behind a header; USB, four steps up, as
 * its sticks are not asked for that page; and what else is unique to it. */
static void serial_read(int dir, char ret[static STORAGE_SERIAL_MAX])
{
	static const char *const names[] = { "serial", "device/serial", "device/vpd_pg80", "device/../../../../serial", "device/wwid", "wwid" };

	ret[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(names) && !ret[0]; i++) {
		char bytes[ATTRIBUTE_MAX];
		size_t n = attribute_bytes(dir, names[i], bytes, sizeof(bytes));
		size_t from = strstr(names[i], "vpd") ? VPD_HEADER : 0;

		if (n > from)
			text_take((struct str){ bytes + from, n - from }, ret, STORAGE_SERIAL_MAX);
	}
}

static bool name_is_plain(const char *name)
{
	return strlen(name) < STORAGE_NAME_MAX && !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789")];
}

/* False for what is no disk to keep data on: no hardware behind it, hidden behind another (NVMe multipath), empty. */
static bool disk_read(int block, const char *name, struct storage_found *ret)
{
	struct storage_found f = { 0 };
	char vendor[16];
	AUTO_FD int dir = openat(block, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0 || !name_is_plain(name) || !transport_of(block, name, &f.transport) || faccessat(dir, "device", F_OK, 0) ||
	    attribute_u64(dir, "hidden") || !(f.diskseq = attribute_u64(dir, "diskseq")) ||
	    __builtin_mul_overflow(attribute_u64(dir, "size"), (uint64_t)SECTOR_BYTES, &f.size_bytes) || !f.size_bytes)
		return false;
	snprintf(f.name, sizeof(f.name), "%s", name);
	f.is_rotational = attribute_u64(dir, "queue/rotational");
	f.is_read_only = attribute_u64(dir, "ro");
	attribute_text(dir, "device/vendor", vendor, sizeof(vendor));
	if (f.transport == STORAGE_SCSI && !strcmp(vendor, VENDOR_OF_SATA))
		f.transport = STORAGE_SATA;
	serial_read(dir, f.serial);
	attribute_text(dir, "device/model", f.model, sizeof(f.model));
	*ret = f;
	return true;
}

static int by_name(const void *a, const void *b)
{
	const struct storage_found *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int scan_disks(const char *sys, struct storage_found *ret, size_t max, struct err *e)
{
	char path[STORAGE_PATH_MAX];
	struct dirent *d;
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/block", sys);
	AUTO_DIR DIR *dir = opendir(path);
	if (!dir)
		return err_set(e, -errno, "look for disks in %s: %m", path);
	while (n < max && (d = readdir(dir)))
		n += disk_read(dirfd(dir), d->d_name, &ret[n]);
	qsort(ret, n, sizeof(*ret), by_name);
	return (int)n;
}

/* A module that is loading has its folder already, and does not work yet. */
bool scan_has_drivers(const char *sys, enum storage_drivers needs)
{
	static const struct {
		enum storage_drivers is;
		const char *module;
	} loaded[] = { { STORAGE_UNLOCKS, "dm_crypt" }, { STORAGE_MOUNTS, "btrfs" } };

	for (size_t i = 0; i < ARRAY_LEN(loaded); i++) {
		char path[STORAGE_PATH_MAX], state[8];
		size_t n;

		if (!(needs & loaded[i].is))
			continue;
		snprintf(path, sizeof(path), "%s/module/%s/initstate", sys, loaded[i].module);
		n = attribute_bytes(AT_FDCWD, path, state, sizeof(state));
		if (n < 4 || memcmp(state, "live", 4))
			return false;
	}
	return true;
}
