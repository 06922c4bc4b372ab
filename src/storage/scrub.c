/* The kernel scrubs what it is told to of a device (BTRFS_IOC_SCRUB), in whole extents of it, and cannot be interrupted by a signal: so it is told
 * a few GiB at a time, and who wants the disk for something else waits that long at most, or cancels. */
#include "storage/scrub.h"

#include "base/file.h"
#include "base/log.h"
#include "storage/books.h"
#include "storage/mapping.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/ioprio.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>

enum { IS_SCRUBBED = 1 };
enum { DEVID = 1 }; /* a disk is a file system of its own */
#define SLICE_BYTES (4ull << 30)
#define RECORD "scrub"

static int counts_get(int fd, uint64_t flags, struct care *ret, struct err *e)
{
	struct btrfs_ioctl_get_dev_stats s = { .devid = DEVID, .nr_items = BTRFS_DEV_STAT_VALUES_MAX, .flags = flags };

	if (ioctl(fd, BTRFS_IOC_GET_DEV_STATS, &s))
		return err_set(e, -errno, "ask for its errors: %m");
	ret->io_errors = s.values[BTRFS_DEV_STAT_WRITE_ERRS] + s.values[BTRFS_DEV_STAT_READ_ERRS] + s.values[BTRFS_DEV_STAT_FLUSH_ERRS];
	ret->bad_blocks = s.values[BTRFS_DEV_STAT_CORRUPTION_ERRS] + s.values[BTRFS_DEV_STAT_GENERATION_ERRS];
	return 0;
}

/* A record that is missing or cannot be read is that of a disk that was never scrubbed: it is read all the sooner. */
static struct care_scrub record_get(int fd)
{
	AUTO_BUF struct buf text = { 0 };
	struct care_scrub s = { 0 };
	struct err e = { 0 };
	int r = file_read(fd, RECORD, CARE_RECORD_MAX, &text, &e);

	if (r == -ENOENT)
		return s;
	if (r || (r = care_scrub_decode(buf_str(&text), &s, &e)))
		log_warn("%s", e.msg);
	return s;
}

static int record_put(int fd, const struct care_scrub *s, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };

	if (care_scrub_encode(s, &text))
		return err_set(e, -ENOMEM, "write the record of scrubs: out of memory");
	return file_save(fd, RECORD, buf_str(&text), 0600, e);
}

static int look(int fd, struct care *ret, struct err *e)
{
	struct statvfs st;
	struct care c = { 0 };
	int r = counts_get(fd, 0, &c, e);

	if (r)
		return r;
	if (fstatvfs(fd, &st))
		return err_set(e, -errno, "look at its file system: %m");
	if ((r = books_look(fd, &c.is_scarce, e)))
		return r;
	c.is_read_only = st.f_flag & ST_RDONLY;
	c.scrub = record_get(fd);
	*ret = c;
	return 0;
}

int scrub_look(const char *uuid, struct care *ret, struct err *e)
{
	AUTO_FD int fd = mapping_open(uuid, e);

	return fd < 0 ? fd : look(fd, ret, e);
}

/* IS_SCRUBBED: by one that was killed. Whole extents are read, the last of which may reach beyond the slice. */
static int slice_read(int fd, uint64_t from, struct care_slice *ret, struct err *e)
{
	struct btrfs_ioctl_scrub_args a = { .devid = DEVID, .start = from, .end = from + SLICE_BYTES };
	const struct btrfs_scrub_progress *p = &a.progress;
	struct btrfs_ioctl_dev_info_args d = { .devid = DEVID };

	if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0)))
		return err_set(e, -errno, "read it when nobody else does: %m");
	if (ioctl(fd, BTRFS_IOC_DEV_INFO, &d) || ioctl(fd, BTRFS_IOC_SCRUB, &a))
		return errno == EINPROGRESS ? IS_SCRUBBED : err_set(e, -errno, "scrub it: %m");
	*ret = (struct care_slice){
		.end_bytes = p->last_physical > a.end ? p->last_physical : a.end,
		.size_bytes = d.total_bytes,
		.errors = p->read_errors + p->csum_errors + p->verify_errors + (from ? 0 : p->super_errors), /* superblocks are read with each */
		.broken = p->uncorrectable_errors,
	};
	return 0;
}

int scrub_slice(const char *uuid, struct care *ret, struct err *e)
{
	AUTO_FD int fd = mapping_open(uuid, e);
	struct care_slice slice = { 0 };
	struct care c;
	int r;

	if (fd < 0)
		return fd;
	if ((r = look(fd, &c, e)) || (r = slice_read(fd, c.scrub.at_bytes, &slice, e)) < 0)
		return r;
	if (r == IS_SCRUBBED) {
		*ret = c;
		return 0;
	}
	if (care_scrub_step(&c, &slice, (uint64_t)time(NULL)) && (r = counts_get(fd, BTRFS_DEV_STATS_RESET, &c, e)))
		return r;
	if ((r = record_put(fd, &c.scrub, e)))
		return r;
	return look(fd, ret, e);
}

void scrub_cancel(const char *uuid)
{
	AUTO_FD int fd = mapping_open(uuid, NULL);

	if (fd >= 0)
		(void)ioctl(fd, BTRFS_IOC_SCRUB_CANCEL); /* there is none: what is wanted */
}

int scrub_make(const char *uuid, struct err *e)
{
	const struct care_scrub s = { .ended_s = (uint64_t)time(NULL) };
	AUTO_FD int fd = mapping_open(uuid, e);

	return fd < 0 ? fd : record_put(fd, &s, e);
}
