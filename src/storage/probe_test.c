/* What is on disks that real programs made: none of it is blank, and a header is ours only when it says so in full. */
#include "storage/probe.h"

#include "base/file.h"
#include "storage/device.h"
#include "test/t.h"

#include <fcntl.h>
#include <stdio.h>

#define SIZE (1100ull << 20)
#define LUKS "printf secret | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --uuid 01234567-89ab-cdef-0123-456789abcdef"

static char dir[] = "/tmp/probe-XXXXXX";

/* A file of SIZE zeros, then whatever MAKE, a line for the shell with %s in the file's place, does to it. Returns owned. */
static int disk_make(const char *make)
{
	char path[64], line[512], command[600];
	int fd;

	snprintf(path, sizeof(path), "%s/disk", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	T_NEED(fd >= 0 && !ftruncate(fd, SIZE), "%s: %m", path);
	snprintf(line, sizeof(line), "disk=%s; %s", path, make);
	snprintf(command, sizeof(command), "{ %s; } >/dev/null 2>%s/said", line, dir);
	T_NEED(!system(command), "%s", line);
	return fd;
}

static void everything_is_told_apart(void)
{
	static const struct {
		const char *make;
		enum answer_outcome outcome;
		const char *text;
	} rows[] = {
		{ ":", ANSWER_BLANK, "" },
		{ "mkfs.ext4 -q $disk", ANSWER_FOREIGN, "ext4" },
		{ "mkfs.vfat $disk", ANSWER_FOREIGN, "FAT" },
		{ "mkfs.xfs -q $disk", ANSWER_FOREIGN, "XFS" },
		{ "mkfs.btrfs -q $disk", ANSWER_FOREIGN, "btrfs" },
		{ "mkswap $disk", ANSWER_FOREIGN, "swap" },
		{ "echo label: dos | sfdisk -q $disk", ANSWER_FOREIGN, "MBR" },
		{ "echo label: gpt | sfdisk -q $disk", ANSWER_FOREIGN, "GPT" },
		/* the first 34 sectors gone, as a careless dd leaves it: the copy at the end is there */
		{ "echo label: gpt | sfdisk -q $disk; dd if=/dev/zero of=$disk bs=512 count=34 conv=notrunc", ANSWER_FOREIGN, "" },
		{ LUKS " $disk -", ANSWER_FOREIGN, "LUKS" },
		{ LUKS " --type luks1 $disk -", ANSWER_FOREIGN, "LUKS" },
		{ LUKS " --label zos --subsystem complete $disk -", ANSWER_OURS, "" },
		{ LUKS " --label zos --subsystem unfinished $disk -", ANSWER_UNFINISHED, "" },
		{ LUKS " --label zos --subsystem other $disk -", ANSWER_FOREIGN, "LUKS" },
		{ LUKS " --label other --subsystem unfinished $disk -", ANSWER_FOREIGN, "LUKS" },
		{ LUKS " --label zos --subsystem complete $disk -; dd if=/dev/zero of=$disk bs=4096 count=4 conv=notrunc", ANSWER_OURS, "" },
		{ LUKS " --label zos --subsystem complete $disk -; dd if=/dev/zero of=$disk bs=16384 count=2 conv=notrunc", ANSWER_FOREIGN,
		  "unknown kind" },
		/* a file system inside the ends, whose own head was erased */
		{ "mkfs.ext4 -q $disk; dd if=/dev/zero of=$disk bs=1M count=1 conv=notrunc", ANSWER_FOREIGN, "" },
		{ "printf x | dd of=$disk bs=1 seek=16777215 conv=notrunc", ANSWER_FOREIGN, "unknown kind" },
		{ "printf x | dd of=$disk bs=1 seek=1153433599 conv=notrunc", ANSWER_FOREIGN, "unknown kind" },
		{ "dd if=/dev/urandom of=$disk bs=1M count=16 seek=500 conv=notrunc", ANSWER_FOREIGN, "unknown kind" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FD int fd = disk_make(rows[i].make);
		struct answer a = { 0 };
		struct err e = { 0 };
		int r = probe_fd(fd, SIZE, &a, &e);

		T_CHECK(!r && a.outcome == rows[i].outcome && strstr(a.text, rows[i].text), "%s: %d %s, outcome %d '%s'", rows[i].make, r, e.msg,
			a.outcome, a.text);
		T_CHECK((a.outcome == ANSWER_FOREIGN) == (a.text[0] != '\0'), "%s: '%s'", rows[i].make, a.text);
		T_CHECK(a.outcome != ANSWER_OURS || answer_uuid_ok(str_c(a.uuid)), "%s: '%s'", rows[i].make, a.uuid);
	}
}

static void small_disks_are_left_alone(void)
{
	AUTO_FD int fd = disk_make("truncate -s 512M $disk");
	struct answer a = { 0 };
	struct err e = { 0 };

	T_CHECK(!probe_fd(fd, 512 << 20, &a, &e) && a.outcome == ANSWER_FOREIGN && strstr(a.text, "too small"), "%s %s", a.text, e.msg);
}

/* It says it is larger than it is: what is missing was not read, and so it is not blank. */
static void what_cannot_be_read_is_not_blank(void)
{
	AUTO_FD int fd = disk_make("truncate -s 1050M $disk");
	struct answer a = { .outcome = ANSWER_OUTCOMES };
	struct err e = { 0 };

	T_CHECK(probe_fd(fd, SIZE, &a, &e) == -EIO && strstr(e.msg, "cannot read"), "%s", e.msg);
	T_CHECK(a.outcome == ANSWER_OUTCOMES, "written to");
}

static void an_erased_disk_is_blank(void)
{
	AUTO_FD int fd = disk_make("mkfs.vfat $disk; echo label: gpt | sfdisk -q $disk");
	struct answer a = { 0 };
	struct err e = { 0 };

	T_CHECK(device_is_blank(fd, SIZE, false, &e) == DEVICE_DATA, "%s", e.msg);
	T_CHECK(!device_erase(fd, SIZE, &e), "%s", e.msg);
	T_CHECK(!device_is_blank(fd, SIZE, false, &e), "%s", e.msg);
	T_CHECK(!probe_fd(fd, SIZE, &a, &e) && a.outcome == ANSWER_BLANK, "%s %s", a.text, e.msg);
}

int main(void)
{
	struct err e = { 0 };

	T_NEED(mkdtemp(dir), "%m");
	T_RUN(everything_is_told_apart);
	T_RUN(small_disks_are_left_alone);
	T_RUN(what_cannot_be_read_is_not_blank);
	T_RUN(an_erased_disk_is_blank);
	T_CHECK(!tree_remove(AT_FDCWD, dir, &e), "%s", e.msg);
	return T_END();
}
