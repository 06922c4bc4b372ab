#include "machine/diskfile.h"

#include "base/str.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Offsets in the header of qcow2, whose numbers are big-endian. */
enum {
	QCOW2_VERSION = 4,
	QCOW2_BACKING_OFFSET = 8,
	QCOW2_CLUSTER_BITS = 20,
	QCOW2_SIZE = 24,
	QCOW2_CRYPT = 32,
	QCOW2_L1_ENTRIES = 36,
	QCOW2_L1_OFFSET = 40,
	QCOW2_REFCOUNTS_OFFSET = 48,
	QCOW2_REFCOUNTS_CLUSTERS = 56,
	QCOW2_INCOMPATIBLE = 72,
	QCOW2_REFCOUNT_ORDER = 96,
	QCOW2_HEADER_BYTES = 100,
	QCOW2_V2_BYTES = 72,
	QCOW2_V3_BYTES = 104,
};
enum { QCOW2_COMPRESSION_TYPE = 1 << 3, QCOW2_EXTENDED_L2 = 1 << 4 }; /* of the incompatible features those that are taken */
enum { SECTOR = 512, BOOT_SIGNATURE = 510 };

static uint64_t be(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static void put_be(uint8_t *p, uint64_t v, unsigned n)
{
	for (unsigned i = n; i-- > 0; v >>= 8)
		p[i] = (uint8_t)v;
}

static int size_check(uint64_t bytes, struct err *e)
{
	if (bytes && bytes <= DISKFILE_SIZE_MAX && !(bytes % SECTOR))
		return 0;
	return err_set(e, -EBADMSG, "the disk image is a disk of %" PRIu64 " bytes: up to 16 TiB in whole sectors of 512 bytes are taken", bytes);
}

/* The features that are not known here may be ones that name files. */
static int features_check(const uint8_t *head, size_t n, struct err *e)
{
	uint64_t features;

	if (be(head + QCOW2_VERSION, 4) == 2)
		return 0;
	if (n < QCOW2_V3_BYTES)
		return err_set(e, -EBADMSG, "the disk image is a qcow2 that ends within its header");
	features = be(head + QCOW2_INCOMPATIBLE, 8) & ~(uint64_t)(QCOW2_COMPRESSION_TYPE | QCOW2_EXTENDED_L2);
	if (features)
		return err_set(e, -EBADMSG,
			       "the disk image is a qcow2 with features that are not taken here (0x%" PRIx64 "; 1 is unclean, 2 corrupt, 4 has its "
			       "data in another file): write it anew with 'qemu-img convert -O qcow2'",
			       features);
	return 0;
}

static int qcow2_decode(const uint8_t *head, size_t n, struct diskfile *ret, struct err *e)
{
	uint64_t version, size;
	int r;

	if (n < QCOW2_V2_BYTES)
		return err_set(e, -EBADMSG, "the disk image is a qcow2 that ends within its header");
	version = be(head + QCOW2_VERSION, 4);
	if (version != 2 && version != 3)
		return err_set(e, -EBADMSG, "the disk image is a qcow of version %" PRIu64 ": 2 and 3 are taken", version);
	if (be(head + QCOW2_BACKING_OFFSET, 8))
		return err_set(
			e, -EBADMSG,
			"the disk image is a qcow2 that names another file as what it builds on: make it one of its own with 'qemu-img convert "
			"-O qcow2'");
	if (be(head + QCOW2_CRYPT, 4))
		return err_set(e, -EBADMSG, "the disk image is an encrypted qcow2: nobody here has its key");
	size = be(head + QCOW2_SIZE, 8);
	if ((r = features_check(head, n, e)) || (r = size_check(size, e)))
		return r;
	*ret = (struct diskfile){ DISKFILE_QCOW2, size };
	return 0;
}

int diskfile_decode(const uint8_t *head, size_t n, uint64_t file_bytes, struct diskfile *ret, struct err *e)
{
	int r;

	if (n >= 4 && !memcmp(head, "QFI\xfb", 4))
		return qcow2_decode(head, n, ret, e);
	if (n < SECTOR || head[BOOT_SIGNATURE] != 0x55 || head[BOOT_SIGNATURE + 1] != 0xaa)
		return err_set(e, -EBADMSG,
			       "the disk image is neither a qcow2 nor a raw disk with a boot sector: convert it with 'qemu-img convert'");
	if ((r = size_check(file_bytes, e)))
		return r;
	*ret = (struct diskfile){ DISKFILE_RAW, file_bytes };
	return 0;
}

/* The layer's file: header, table of reference counts, the counts of what is there, first-level table; a cluster each, the last as many as
 * it needs. */
enum {
	LAYER_CLUSTER_BITS = 16,
	LAYER_CLUSTER = 1 << LAYER_CLUSTER_BITS,
	LAYER_TABLE = LAYER_CLUSTER,
	LAYER_COUNTS = 2 * LAYER_CLUSTER,
	LAYER_L1 = 3 * LAYER_CLUSTER,
	LAYER_L2_ENTRY = 16,
	LAYER_COUNT_BYTES = 2,
	LAYER_COUNT_ORDER = 4
};
#define LAYER_L1_COVERS ((uint64_t)LAYER_CLUSTER * (LAYER_CLUSTER / LAYER_L2_ENTRY))
enum { LAYER_L1_CLUSTERS_MAX = (DISKFILE_SIZE_MAX / LAYER_L1_COVERS * 8 + LAYER_CLUSTER - 1) / LAYER_CLUSTER };

static int put(int fd, const void *p, size_t n, off_t at, struct err *e)
{
	return pwrite(fd, p, n, at) == (ssize_t)n ? 0 : err_set(e, -EIO, "write the machine's layer over the disk image: %m");
}

int diskfile_layer_write(int fd, uint64_t size_bytes, struct err *e)
{
	uint64_t l1 = (size_bytes + LAYER_L1_COVERS - 1) / LAYER_L1_COVERS, l1_clusters = (l1 * 8 + LAYER_CLUSTER - 1) / LAYER_CLUSTER;
	uint8_t head[QCOW2_V3_BYTES] = "QFI\xfb", counts[(3 + LAYER_L1_CLUSTERS_MAX) * LAYER_COUNT_BYTES] = { 0 }, table[8];
	int r = size_check(size_bytes, e);

	if (r)
		return r;
	put_be(head + QCOW2_VERSION, 3, 4);
	put_be(head + QCOW2_CLUSTER_BITS, LAYER_CLUSTER_BITS, 4);
	put_be(head + QCOW2_SIZE, size_bytes, 8);
	put_be(head + QCOW2_L1_ENTRIES, l1, 4);
	put_be(head + QCOW2_L1_OFFSET, LAYER_L1, 8);
	put_be(head + QCOW2_REFCOUNTS_OFFSET, LAYER_TABLE, 8);
	put_be(head + QCOW2_REFCOUNTS_CLUSTERS, 1, 4);
	put_be(head + QCOW2_INCOMPATIBLE, QCOW2_EXTENDED_L2, 8);
	put_be(head + QCOW2_REFCOUNT_ORDER, LAYER_COUNT_ORDER, 4);
	put_be(head + QCOW2_HEADER_BYTES, QCOW2_V3_BYTES, 4);
	put_be(table, LAYER_COUNTS, 8);
	for (uint64_t i = 0; i < 3 + l1_clusters; i++)
		put_be(counts + i * LAYER_COUNT_BYTES, 1, LAYER_COUNT_BYTES);
	if (ftruncate(fd, (off_t)(LAYER_L1 + l1_clusters * LAYER_CLUSTER)))
		return err_set(e, -errno, "write the machine's layer over the disk image: %m");
	if ((r = put(fd, head, sizeof(head), 0, e)) || (r = put(fd, table, sizeof(table), LAYER_TABLE, e)))
		return r;
	return put(fd, counts, (size_t)(3 + l1_clusters) * LAYER_COUNT_BYTES, LAYER_COUNTS, e);
}
