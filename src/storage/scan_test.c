/* Disks of a sysfs made here: which of its entries are disks to keep data on, and what is known of them. */
#include "storage/scan.h"

#include "base/file.h"
#include "test/t.h"

#include <fcntl.h>
#include <sys/stat.h>

static char sys[] = "/tmp/scan-XXXXXX";

static void put(const char *path, const char *bytes, size_t n)
{
	char full[300], dir[300];
	struct err e = { 0 };

	snprintf(full, sizeof(full), "%s/%s", sys, path);
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(full, '/') - full), full);
	T_NEED(!dir_make(dir, 0755, &e), "%s", e.msg);
	AUTO_FD int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	T_NEED(fd >= 0 && write(fd, bytes, n) == (ssize_t)n, "%s: %m", full);
}

static void text(const char *path, const char *value)
{
	put(path, value, strlen(value));
}

/* A disk whose device lies at WHERE, as /sys/block has it: a link into /sys/devices. */
static void disk(const char *name, const char *where, const char *diskseq, const char *size)
{
	char at[200], link_from[200], target[200];

	snprintf(at, sizeof(at), "devices/%s/block/%s/size", where, name);
	text(at, size);
	snprintf(at, sizeof(at), "devices/%s/block/%s/diskseq", where, name);
	text(at, diskseq);
	snprintf(at, sizeof(at), "devices/%s/block/%s/device/model", where, name);
	text(at, "A  Disk   \n");
	snprintf(link_from, sizeof(link_from), "%s/block/%s", sys, name);
	snprintf(target, sizeof(target), "../devices/%s/block/%s", where, name);
	T_NEED(!symlink(target, link_from), "%s: %m", link_from);
}

static void disks_are_found(void)
{
	static const struct {
		const char *name, *serial;
		enum storage_transport transport;
		uint64_t seq, bytes;
		bool rotational;
	} rows[] = {
		{ "nvme0n1", "NV-1", STORAGE_NVME, 5, 4096000, false }, { "sda", "SATA 1", STORAGE_SATA, 6, 4096000, true },
		{ "sdb", "STICK", STORAGE_USB, 7, 4096000, false },     { "sdc", "naa.5000", STORAGE_SCSI, 8, 4096000, false },
		{ "sdd", "SATA 2", STORAGE_SATA, 14, 4096000, false },  { "vda", "disk0", STORAGE_VIRTIO, 9, 4096000, false },
	};
	struct storage_found found[8];
	struct err e = { 0 };
	int n;

	text("block/ram0/size", "8192\n");
	disk("nvme0n1", "pci0/nvme/nvme0", "5\n", "8000\n");
	text("devices/pci0/nvme/nvme0/block/nvme0n1/device/serial", "NV-1                \n");
	disk("nvme0c0n1", "pci0/nvme/nvme0c", "11\n", "8000\n"); /* a path of a disk that is there under its own name */
	text("devices/pci0/nvme/nvme0c/block/nvme0c0n1/hidden", "1\n");
	disk("sda", "pci0/ata1/host0", "6\n", "8000\n");
	put("devices/pci0/ata1/host0/block/sda/device/vpd_pg80", "\0\x80\0\x0a  SATA 1  ", 14);
	text("devices/pci0/ata1/host0/block/sda/queue/rotational", "1\n");
	disk("sdb", "pci0/usb1/host1", "7\n", "8000\n");
	text("devices/pci0/usb1/serial", "STICK\n");
	disk("sdc", "pci0/host2", "8\n", "8000\n");
	text("devices/pci0/host2/block/sdc/device/wwid", "naa.5000\n");
	text("devices/pci0/host2/block/sdc/device/vendor", "SEAGATE \n");
	disk("sdd", "pci0/host3", "14\n", "8000\n"); /* on a card for SAS */
	text("devices/pci0/host3/block/sdd/device/wwid", "SATA 2\n");
	text("devices/pci0/host3/block/sdd/device/vendor", "ATA     \n");
	disk("vda", "pci0/virtio0", "9\n", "8000\n");
	text("devices/pci0/virtio0/block/vda/serial", "disk0");
	disk("vdb", "pci0/virtio1", "10\n", "0\n"); /* no medium */
	disk("loop0", "virtual", "12\n", "8000\n");
	disk("sr0", "pci0/ata2", "13\n", "8000\n");
	n = scan_disks(sys, found, ARRAY_LEN(found), &e);
	T_NEED(n == (int)ARRAY_LEN(rows), "%d disks: %s", n, e.msg);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		T_CHECK(!strcmp(found[i].name, rows[i].name) && !strcmp(found[i].serial, rows[i].serial), "%s '%s'", found[i].name, found[i].serial);
		T_CHECK(found[i].transport == rows[i].transport && found[i].diskseq == rows[i].seq && found[i].size_bytes == rows[i].bytes, "%s: %s",
			rows[i].name, storage_transport_names[found[i].transport]);
		T_CHECK(found[i].is_rotational == rows[i].rotational && !strcmp(found[i].model, "A  Disk"), "%s: '%s'", rows[i].name, found[i].model);
	}
	T_CHECK(scan_disks(sys, found, 2, &e) == 2, "more than there is room for");
	T_CHECK(scan_disks("/nowhere", found, 2, &e) == -ENOENT && e.msg[0], "no sysfs");
}

static void drivers_count_once_they_work(void)
{
	const enum storage_drivers both = STORAGE_UNLOCKS | STORAGE_MOUNTS;

	T_CHECK(!scan_has_drivers(sys, both) && !scan_has_drivers(sys, STORAGE_UNLOCKS) && !scan_has_drivers(sys, STORAGE_MOUNTS), "none is there");
	text("module/dm_crypt/initstate", "live\n");
	text("module/btrfs/initstate", "coming\n");
	T_CHECK(scan_has_drivers(sys, STORAGE_UNLOCKS), "one is there");
	T_CHECK(!scan_has_drivers(sys, both) && !scan_has_drivers(sys, STORAGE_MOUNTS), "one is on its way");
	text("module/btrfs/initstate", "live\n");
	T_CHECK(scan_has_drivers(sys, both) && scan_has_drivers(sys, STORAGE_MOUNTS), "both are there");
}

int main(void)
{
	struct err e = { 0 };

	T_NEED(mkdtemp(sys), "%m");
	T_RUN(disks_are_found);
	T_RUN(drivers_count_once_they_work);
	T_CHECK(!tree_remove(AT_FDCWD, sys, &e), "%s", e.msg);
	return T_END();
}
