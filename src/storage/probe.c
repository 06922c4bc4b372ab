#include "storage/probe.h"

#include "storage/device.h"

#include <blkid/blkid.h>
#include <stdio.h>

/* What people call the things that libblkid names; of the others its name is told. */
static const struct {
	const char *name, *words;
} things[] = {
	{ "ext2", "an ext2 file system" },
	{ "ext3", "an ext3 file system" },
	{ "ext4", "an ext4 file system" },
	{ "vfat", "a FAT file system" },
	{ "exfat", "an exFAT file system" },
	{ "ntfs", "an NTFS file system" },
	{ "xfs", "an XFS file system" },
	{ "btrfs", "a btrfs file system" },
	{ "swap", "swap space" },
	{ "crypto_LUKS", "an encrypted disk (LUKS) that is not ours" },
	{ "LVM2_member", "a part of an LVM group" },
	{ "linux_raid_member", "a part of a RAID (md)" },
	{ "bcache", "a part of a bcache" },
	{ "zfs_member", "a part of a ZFS pool" },
	{ "BitLocker", "an encrypted disk (BitLocker)" },
	{ "dos", "a partition table (MBR)" },
	{ "gpt", "a partition table (GPT)" },
	{ "iso9660", "a CD's file system" },
};

static void probe_freep(blkid_probe *p)
{
	if (*p)
		blkid_free_probe(*p);
}

static const char *value(blkid_probe p, const char *name)
{
	const char *v;

	return blkid_probe_lookup_value(p, name, &v, NULL) ? "" : v;
}

static void foreign(struct answer *ret, const char *name)
{
	*ret = (struct answer){ .outcome = ANSWER_FOREIGN };
	snprintf(ret->text, sizeof(ret->text), "'%s' is on it", name);
	for (size_t i = 0; i < ARRAY_LEN(things); i++)
		if (!strcmp(things[i].name, name))
			snprintf(ret->text, sizeof(ret->text), "%s is on it", things[i].words);
}

/* A header of ours in whatever state: only one that says so itself may be made anew. */
static bool is_ours(blkid_probe p, struct answer *ret)
{
	const char *uuid = value(p, "UUID"), *mark = value(p, "SUBSYSTEM");
	bool is_complete = !strcmp(mark, PROBE_COMPLETE);

	if (strcmp(value(p, "TYPE"), "crypto_LUKS") || strcmp(value(p, "VERSION"), "2") || strcmp(value(p, "LABEL"), PROBE_LABEL) ||
	    (!is_complete && strcmp(mark, PROBE_UNFINISHED)) || !answer_uuid_ok(str_c(uuid)))
		return false;
	*ret = (struct answer){ .outcome = is_complete ? ANSWER_OURS : ANSWER_UNFINISHED };
	snprintf(ret->uuid, sizeof(ret->uuid), "%s", uuid);
	return true;
}

static void no_signature(bool has_data, uint64_t size, struct answer *ret)
{
	*ret = (struct answer){ .outcome = ANSWER_FOREIGN };
	if (has_data)
		snprintf(ret->text, sizeof(ret->text), "data of an unknown kind is on it");
	else if (size < DEVICE_MIN_BYTES)
		snprintf(ret->text, sizeof(ret->text), "it is blank and too small: a disk of less than 1 GiB is not taken");
	else
		ret->outcome = ANSWER_BLANK;
}

int probe_fd(int fd, uint64_t size, struct answer *ret, struct err *e)
{
	CLEANUP(probe_freep) blkid_probe p = NULL;
	int has_data = device_is_blank(fd, size, true, e), r;

	if (has_data < 0)
		return has_data;
	p = blkid_new_probe();
	if (!p || blkid_probe_set_device(p, fd, 0, 0) || blkid_probe_enable_superblocks(p, 1) ||
	    blkid_probe_set_superblocks_flags(p, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID | BLKID_SUBLKS_VERSION) ||
	    blkid_probe_enable_partitions(p, 1))
		return err_set(e, -EIO, "look for signatures on it: libblkid cannot");
	r = blkid_do_safeprobe(p);
	if (r == -2) {
		*ret = (struct answer){ .outcome = ANSWER_FOREIGN, .text = "several things at once are on it" };
	} else if (r < 0) {
		return err_set(e, -EIO, "look for signatures on it: it cannot be read");
	} else if (r > 0) {
		no_signature(has_data, size, ret);
	} else if (!is_ours(p, ret)) {
		foreign(ret, *value(p, "PTTYPE") ? value(p, "PTTYPE") : value(p, "TYPE"));
	}
	return 0;
}
