/* What SATA disks say of themselves, and what is made of it; and that who asks them can do nothing else. */
#include "storage/ata_ask.h"

#include "test/t.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <scsi/sg.h>
#include <stdio.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

/* Sense data as Linux 6.12 makes it of a disk's registers (descriptors), and as cards for SAS may (fixed): KEY, status, middle and high byte of the address. */
#define DESCRIPTORS(key, status, middle, high) { 0x72, key, 0, 0x1d, 0, 0, 0, 14, 0x09, 0x0c, 0, 0, 0, 0, 0, 0, 0, middle, 0, high, 0, status }
#define FIXED(key, status, middle, high) { 0x70, 0, key, 0, status, 0, 0, 10, 0, 0, middle, high, 0, 0x1d }
#define UNKNOWN { 0 }
#define WELL(n) { .is_known = true, .bad_sectors = n }
#define FAILING(n) { .is_known = true, .is_failing = true, .bad_sectors = n }

struct attribute {
	uint8_t id, raw[6];
};

static void data_fill(uint8_t data[static ATA_DATA_BYTES], const struct attribute *a, size_t n)
{
	uint8_t sum = 0;

	data[0] = 16;
	for (size_t i = 0; i < n; i++) {
		data[2 + 12 * i] = a[i].id;
		data[2 + 12 * i + 3] = 100; /* its value, which is none of ours */
		memcpy(data + 2 + 12 * i + 5, a[i].raw, sizeof(a[i].raw));
	}
	for (size_t i = 0; i < ATA_DATA_BYTES - 1; i++)
		sum = (uint8_t)(sum + data[i]);
	data[ATA_DATA_BYTES - 1] = (uint8_t)-sum;
}

static void what_disks_say_is_read(void)
{
	static const struct {
		uint8_t sense[ATA_SENSE_BYTES];
		struct attribute attributes[4];
		struct smart want;
	} rows[] = {
		{ DESCRIPTORS(1, 0x50, 0x4f, 0xc2), { { 5, { 0 } }, { 9, { 7, 7 } } }, WELL(0) },
		{ DESCRIPTORS(1, 0x50, 0xf4, 0x2c), { { 5, { 8 } }, { 197, { 2 } }, { 198, { 1 } } }, FAILING(11) },
		{ DESCRIPTORS(1, 0x50, 0x4f, 0xc2),
		  { { 5, { 1, 1, 9, 9, 9, 9 } }, { 197, { 0, 0, 1 } } },
		  WELL(257 + 65536) }, /* the upper bytes of 5 are others' */
		{ FIXED(1, 0x50, 0x4f, 0xc2), { { 198, { 255, 255, 255, 255, 255, 255 } } }, WELL((1ull << 48) - 1) },
		{ FIXED(0, 0x50, 0xf4, 0x2c), { { 0 } }, FAILING(0) },
		/* one that has no SMART, or has it switched off: the registers are those that were sent */
		{ DESCRIPTORS(11, 0x51, 0x4f, 0xc2), { { 5, { 8 } } }, UNKNOWN },
		{ DESCRIPTORS(1, 0x51, 0x4f, 0xc2), { { 5, { 8 } } }, UNKNOWN },
		{ FIXED(11, 0x51, 0x4f, 0xc2), { { 5, { 8 } } }, UNKNOWN },
		{ FIXED(1, 0x70, 0x4f, 0xc2), { { 5, { 8 } } }, UNKNOWN },
		/* neither the one nor the other */
		{ DESCRIPTORS(1, 0x50, 0x4f, 0x2c), { { 5, { 8 } } }, UNKNOWN },
		{ { 0x70, 0, 5, 0, 0x50, 0, 0, 10, 0, 0, 0x4f, 0xc2, 0x20, 0 }, { { 5, { 8 } } }, UNKNOWN }, /* SCSI's: there is no such command */
		{ { 0 }, { { 5, { 8 } } }, UNKNOWN },
		/* behind another descriptor; cut off; one that would go round for ever */
		{ { 0x72, 1, 0, 0x1d, 0, 0, 0, 18, 0x02, 2, 0, 0, 0x09, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0x4f, 0, 0xc2, 0, 0x50 }, { { 0 } }, WELL(0) },
		{ { 0x72, 1, 0, 0x1d, 0, 0, 0, 13, 0x09, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0x4f, 0, 0xc2, 0, 0x50 }, { { 0 } }, UNKNOWN },
		{ { 0x72, 1, 0, 0x1d, 0, 0, 0, 255, 0x02, 20, [30] = 0x09, 0x0c }, { { 0 } }, UNKNOWN },
		{ { 0x72, 1, 0, 0x1d, 0, 0, 0, 255 }, { { 0 } }, UNKNOWN },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ata_said said = { 0 };
		struct smart s = { .worn = 99 };
		struct err e = { 0 };

		memcpy(said.sense, rows[i].sense, sizeof(said.sense));
		data_fill(said.data, rows[i].attributes, ARRAY_LEN(rows[i].attributes));
		T_CHECK(!ata_decode((struct str){ (const char *)&said, sizeof(said) }, &s, &e), "row %zu: %s", i, e.msg);
		T_CHECK(s.is_known == rows[i].want.is_known && s.is_failing == rows[i].want.is_failing && !s.worn, "row %zu: %d %d", i, s.is_known,
			s.is_failing);
		T_CHECK(s.bad_sectors == rows[i].want.bad_sectors, "row %zu: %llu", i, (unsigned long long)s.bad_sectors);
	}
}

static void numbers_whose_sum_is_wrong_do_not_count(void)
{
	struct ata_said said = { .sense = DESCRIPTORS(1, 0x50, 0x4f, 0xc2) };
	const struct str bytes = { (const char *)&said, sizeof(said) };
	struct smart s = { 0 };

	data_fill(said.data, &(struct attribute){ 5, { 8 } }, 1);
	T_CHECK(!ata_decode(bytes, &s, NULL) && s.is_known && s.bad_sectors == 8, "%llu", (unsigned long long)s.bad_sectors);
	said.data[100]++;
	T_CHECK(!ata_decode(bytes, &s, NULL) && s.is_known && !s.bad_sectors, "%llu", (unsigned long long)s.bad_sectors);
	memset(said.data, 0, sizeof(said.data));
	T_CHECK(!ata_decode(bytes, &s, NULL) && s.is_known && !s.bad_sectors, "%llu", (unsigned long long)s.bad_sectors);
}

static void what_is_no_answer_is_refused(void)
{
	struct ata_said said = { .sense = DESCRIPTORS(1, 0x50, 0x4f, 0xc2), .wrong = "it does not answer" };
	const char *p = (const char *)&said;
	struct smart s = { .worn = 99 };
	struct err e = { 0 };

	T_CHECK(ata_decode((struct str){ p, sizeof(said) }, &s, &e) == -EIO && strstr(e.msg, "ask for its health: it does not answer"), "%s", e.msg);
	T_CHECK(ata_decode((struct str){ p, sizeof(said) - 1 }, &s, &e) == -EBADMSG && e.msg[0], "too short");
	T_CHECK(ata_decode((struct str){ p, 0 }, &s, &e) == -EBADMSG, "empty");
	said.wrong[3] = '\n';
	T_CHECK(ata_decode((struct str){ p, sizeof(said) }, &s, &e) == -EBADMSG, "no sentence");
	memset(said.wrong, 'x', sizeof(said.wrong));
	T_CHECK(ata_decode((struct str){ p, sizeof(said) }, &s, &e) == -EBADMSG, "no end");
	T_CHECK(s.worn == 99, "left alone");
	memset(said.wrong, 0, sizeof(said.wrong));
	T_CHECK(!ata_decode((struct str){ p, sizeof(said) }, &s, &e) && s.is_known, "without it, it is one");
}

/* What is tried with FD, which is no disk: whoever is let through hears that from the kernel. 0: it was; else errno. */
static int may_send_commands(int fd)
{
	struct sg_io_hdr h = { .interface_id = 'S' };

	return ioctl(fd, SG_IO, &h) && errno != ENOTTY ? errno : 0;
}

static int may_switch_writing_off(int fd)
{
	int off = 1;

	return ioctl(fd, BLKROSET, &off) && errno != ENOTTY ? errno : 0;
}

static int may_have_ports(int fd)
{
	(void)fd;
	return iopl(0) && errno != ENOSYS ? errno : 0; /* no more than it has: that takes no capability. A kernel may be built without it */
}

static int may_have_one_port(int fd)
{
	(void)fd;
	return ioperm(0, 1, 0) && errno != ENOSYS ? errno : 0;
}

/* /dev/mem, /dev/cpu/0/msr, /proc/kcore and all others. */
static int may_open(int fd)
{
	(void)fd;
	return open("/proc/self/status", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}

static int may_write(int fd)
{
	return write(fd, "x", 1) == 1 ? 0 : errno;
}

static int may_run_a_program(int fd)
{
	(void)fd;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return pid < 0 ? errno : 0;
}

static int tried(int (*act)(int fd), bool is_shut_in)
{
	struct err e = { 0 };
	int status;
	pid_t pid = fork();

	if (!pid) {
		int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

		_exit(fd < 0 || (is_shut_in && ata_shut_in(&e)) ? 255 : act(fd));
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void who_asks_can_do_nothing_else(void)
{
	static const struct {
		const char *name;
		int (*act)(int fd);
		int want;
	} rows[] = {
		{ "send commands", may_send_commands, 0 },
		{ "write its answer", may_write, 0 },
		{ "send other requests", may_switch_writing_off, EPERM },
		{ "have ports", may_have_ports, EPERM },
		{ "have one port", may_have_one_port, EPERM },
		{ "open a file", may_open, EPERM },
		{ "start another", may_run_a_program, EPERM },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int before = tried(rows[i].act, false), after = tried(rows[i].act, true);

		T_CHECK(before == 0, "%s before it is shut in: %d", rows[i].name, before);
		T_CHECK(after == rows[i].want, "%s: %d instead of %d", rows[i].name, after, rows[i].want);
	}
}

static void what_is_no_disk_is_not_asked(void)
{
	AUTO_FD int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct ata_said said = { .wrong = "as it was" };
	struct err e = { 0 };

	T_CHECK(ata_ask(fd, &said, &e) == -ENOTTY && e.msg[0] && !strcmp(said.wrong, "as it was"), "%s", e.msg);
}

int main(void)
{
	T_RUN(what_disks_say_is_read);
	T_RUN(numbers_whose_sum_is_wrong_do_not_count);
	T_RUN(what_is_no_answer_is_refused);
	T_RUN(who_asks_can_do_nothing_else);
	T_RUN(what_is_no_disk_is_not_asked);
	return T_END();
}
