#include "storage/device.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { CHUNK_BYTES = 1 << 20 };

int device_open(const struct disk_args *a, int flags, int *ret_fd, uint64_t *ret_size_bytes, struct err *e)
{
	uint64_t seq = 0, size = 0;
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "/dev/%s", a->name);
	AUTO_FD int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_set(e, -errno, errno == EBUSY ? "open %s: it is in use" : "open %s: %m", path);
	if (fstat(fd, &st) || !S_ISBLK(st.st_mode) || ioctl(fd, BLKGETDISKSEQ, &seq) || ioctl(fd, BLKGETSIZE64, &size))
		return err_set(e, errno ? -errno : -ENOTBLK, "open %s: it does not behave as a disk: %m", path);
	if (seq != a->seq)
		return err_set(e, -ESTALE, "%s is another disk by now", path);
	*ret_fd = take_fd(fd);
	*ret_size_bytes = size;
	return 0;
}

static bool is_zero(const char *p, size_t n)
{
	return !n || (!p[0] && !memcmp(p, p + 1, n - 1));
}

static int range_is_blank(int fd, uint64_t from, uint64_t to, char *chunk, struct err *e)
{
	while (from < to) {
		size_t want = to - from < CHUNK_BYTES ? (size_t)(to - from) : CHUNK_BYTES;
		ssize_t n = pread(fd, chunk, want, (off_t)from);

		if (n <= 0)
			return err_set(e, n ? -errno : -EIO, "cannot read it at byte %llu: %s", (unsigned long long)from,
				       n ? strerror(errno) : "it ends there");
		if (!is_zero(chunk, (size_t)n))
			return DEVICE_DATA;
		from += (uint64_t)n;
	}
	return 0;
}

/* Where ext4 (the second and fourth group) and btrfs keep copies of what stands at their head. */
static const uint64_t copies[] = { 64ull << 20, 128ull << 20, 384ull << 20, 256ull << 30 };

static int sample_is_blank(int fd, uint64_t at, uint64_t size, char *chunk, struct err *e)
{
	return range_is_blank(fd, at, at + DEVICE_SAMPLE_BYTES < size ? at + DEVICE_SAMPLE_BYTES : size, chunk, e);
}

int device_is_blank(int fd, uint64_t size, bool samples, struct err *e)
{
	uint64_t edge = size < DEVICE_EDGE_BYTES ? size : DEVICE_EDGE_BYTES, step = (size - edge) / (DEVICE_SAMPLES + 1);
	AUTO_FREE char *chunk = malloc(CHUNK_BYTES);
	int r;

	BUG_ON(!chunk);
	if ((r = range_is_blank(fd, 0, edge, chunk, e)) || (r = range_is_blank(fd, size - edge, size, chunk, e)))
		return r;
	for (uint64_t i = 1; samples && i <= DEVICE_SAMPLES && !r; i++)
		r = sample_is_blank(fd, i * step / DEVICE_SAMPLE_BYTES * DEVICE_SAMPLE_BYTES, size, chunk, e);
	for (size_t i = 0; samples && i < ARRAY_LEN(copies) && !r; i++)
		r = sample_is_blank(fd, copies[i], size, chunk, e);
	return r;
}

static int range_erase(int fd, uint64_t from, uint64_t to, const char *zeros, struct err *e)
{
	while (from < to) {
		size_t want = to - from < CHUNK_BYTES ? (size_t)(to - from) : CHUNK_BYTES;
		ssize_t n = pwrite(fd, zeros, want, (off_t)from);

		if (n <= 0)
			return err_set(e, n ? -errno : -EIO, "cannot write to it at byte %llu: %m", (unsigned long long)from);
		from += (uint64_t)n;
	}
	return fsync(fd) ? err_set(e, -errno, "write to it: %m") : 0;
}

int device_erase(int fd, uint64_t size, struct err *e)
{
	uint64_t edge = size < DEVICE_ERASE_BYTES ? size : DEVICE_ERASE_BYTES, all[2] = { 0, size };
	AUTO_FREE char *zeros = calloc(1, CHUNK_BYTES);
	int r;

	BUG_ON(!zeros);
	if ((r = range_erase(fd, 0, edge, zeros, e))) /* where keys are, first */
		return r;
	if ((r = range_erase(fd, size - edge, size, zeros, e)))
		return r;
	if (ioctl(fd, BLKDISCARD, all) && errno != EOPNOTSUPP && errno != ENOTTY && errno != EREMOTEIO)
		return err_set(e, -errno, "give its blocks back: %m");
	(void)ioctl(fd, BLKRRPART); /* the kernel forgets partitions that were on it; there may be none */
	return 0;
}
