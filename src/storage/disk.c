/* The program `disk`: what needs no key of a disk. It links no library that knows one, because such libraries take longer to load than most of this takes (decision
 * 103); what needs one is in keys.c. How it is called: run.h.
 *
 *   probe     what is on it; as a user of its own, shut in before the first byte is read
 *   mount     mounts its mapping, and looks how it is doing
 *   check     looks how it is doing
 *   smart     what it says of itself, through smartctl, where the image has it, a SATA disk through init's service (ata.h); its words are read as by the probe, shut in
 *   scrub     reads a slice of all that is on it
 *   erase     an order of the farm: what is on it is gone for ever
 *   release   what is left of one that was pulled out: its mount and its mapping */
#include "base/file.h"
#include "base/log.h"
#include "storage/ata.h"
#include "storage/books.h"
#include "storage/copies.h"
#include "storage/mapping.h"
#include "storage/probe.h"
#include "storage/run.h"
#include "storage/scrub.h"
#include "storage/smart.h"
#include "sys/sandbox.h"
#include "sys/supervisor.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

enum { UID_PROBE = 906, PROBE_MEMORY_BYTES = 256 << 20, PROBE_FILES = 16, LET_GO_LOOKS_MAX = 16, LET_GO_LOOK_MS = 500, ATA_PATIENCE_MS = 70000 };
#define SMARTCTL "/usr/sbin/smartctl"
#define DISK_ATA "/usr/lib/zos/disk-ata"

static int shut_in(struct err *e)
{
	static const struct sandbox box = { .calls = SANDBOX_CALLS_FILES, .files_max = PROBE_FILES, .memory_max = PROBE_MEMORY_BYTES };

	if (setgroups(0, NULL) || setresgid(UID_PROBE, UID_PROBE, UID_PROBE) || setresuid(UID_PROBE, UID_PROBE, UID_PROBE))
		return err_set(e, -errno, "become the user %d: %m", UID_PROBE);
	return sandbox_enter(&box, e);
}

static int probe(const struct disk_args *a, struct answer *ret, struct err *e)
{
	AUTO_FD int fd = -1;
	uint64_t size;
	int r;

	if ((r = device_open(a, O_RDONLY, &fd, &size, e)) || (r = shut_in(e)))
		return r;
	return probe_fd(fd, size, ret, e);
}

/* noded was told and lets go, and so does who keeps images there: each change of mounts is a time to look again, and, because the last step is
 * not told, so is each half second. */
static int let_go_soon(const struct disk_args *a, const char *uuid, struct err *e)
{
	AUTO_FD int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);

	for (unsigned looks = 0;; looks++) {
		int r = mapping_let_go(a, uuid, 0, e);

		if (r != -EBUSY)
			return r;
		if (looks == LET_GO_LOOKS_MAX)
			return err_set(e, -EBUSY, "it is in use: 'zos node drain' stops what uses it, then ask again");
		poll(&(struct pollfd){ mounts, POLLPRI, 0 }, 1, LET_GO_LOOK_MS);
	}
}

static int check(const struct disk_args *a, struct answer *ret, struct err *e)
{
	AUTO_FD int fd = mapping_open(a->uuid, e);
	static int (*const care_for[])(int fd, struct err *e) = { copies_count, books_widen };

	if (fd < 0)
		return fd;
	for (size_t i = 0; i < ARRAY_LEN(care_for); i++) {
		struct err one = { 0 };

		if (care_for[i](fd, &one)) /* a disk that is broken says so itself, below */
			log_warn("%s", one.msg);
	}
	ret->has_care = true;
	return scrub_look(a->uuid, &ret->care, e);
}

static int mount_it(const struct disk_args *a, struct answer *ret, struct err *e)
{
	int r = mapping_mount(a->uuid, a->rotational, e);

	return r ? r : check(a, ret, e);
}

static int scrub(const struct disk_args *a, struct answer *ret, struct err *e)
{
	ret->has_care = true;
	return scrub_slice(a->uuid, &ret->care, e);
}

/* RET_OUT: what it will say. Its status tells of the disk's state, too, and is not looked at. */
static int smartctl_start(const char *name, int *ret_out, struct err *e)
{
	char what[STORAGE_NAME_MAX + 8];
	int out[2];
	pid_t pid;

	snprintf(what, sizeof(what), "/dev/%s", name);
	if (pipe2(out, O_CLOEXEC))
		return err_set(e, -errno, "make a pipe: %m");
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], STDOUT_FILENO);
		execl(SMARTCTL, SMARTCTL, "--json=c", "--health", "--attributes", what, NULL);
		_exit(127);
	}
	close(out[1]);
	*ret_out = out[0];
	return pid < 0 ? err_set(e, -errno, "run %s: %m", SMARTCTL) : 0;
}

/* What init's service is called for this disk, and the file that it writes into: there already, so that it makes none. One of a run that was killed is another file. */
static int ata_file_make(const struct disk_args *a, char ret_unit[static SUPERVISOR_NAME_MAX], char ret_path[static ATA_PATH_MAX], int *ret_fd,
			 struct err *e)
{
	int r = dir_make(ATA_DIR, 0700, e);

	if (r)
		return r;
	snprintf(ret_unit, SUPERVISOR_NAME_MAX, ATA_UNIT "@%s-%llu", a->name, (unsigned long long)a->seq);
	snprintf(ret_path, ATA_PATH_MAX, ATA_DIR "/%s-%llu", a->name, (unsigned long long)a->seq);
	unlink(ret_path);
	*ret_fd = open(ret_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return *ret_fd < 0 ? err_set(e, -errno, "make %s: %m", ret_path) : 0;
}

/* One that hangs over a disk which does not answer is left to init. */
static int ata_run(const char *unit, struct err *e)
{
	const unsigned ends = 1u << SUPERVISOR_DONE | 1u << SUPERVISOR_SKIPPED | 1u << SUPERVISOR_BACKOFF | 1u << SUPERVISOR_DOWN;
	struct supervisor init = SUPERVISOR_DEFAULT;
	struct supervisor_unit u;
	struct err unheard;
	int r = supervisor_start(&init, unit, e);

	if (r)
		return r;
	r = supervisor_wait(&init, unit, ends, ATA_PATIENCE_MS, &u, e);
	if (supervisor_stop(&init, unit, &unheard) < 0 && !r) /* its place is free again */
		r = err_set(e, unheard.code, "%s", unheard.msg);
	if (r == -ETIMEDOUT)
		return err_set(e, r, "it does not answer when it is asked for its health: see its cable");
	return r || u.state == SUPERVISOR_DONE ? r : err_set(e, -EIO, "it could not be asked for its health: %s ended", unit);
}

static int ata_smart(const struct disk_args *a, struct answer *ret, struct err *e)
{
	char unit[SUPERVISOR_NAME_MAX], path[ATA_PATH_MAX], bytes[sizeof(struct ata_said) + 1];
	AUTO_FD int fd = -1;
	int r = ata_file_make(a, unit, path, &fd, e);
	ssize_t n;

	if (r)
		return r;
	r = ata_run(unit, e);
	unlink(path);
	if (r || (r = shut_in(e)))
		return r;
	n = pread(fd, bytes, sizeof(bytes), 0);
	return n < 0 ? err_set(e, -errno, "read what it says of its health: %m") : ata_decode((struct str){ bytes, (size_t)n }, &ret->smart, e);
}

static int smart(const struct disk_args *a, struct answer *ret, struct err *e)
{
	AUTO_BUF struct buf text = { .limit = SMART_MAX };
	AUTO_FD int fd = -1, out = -1;
	char chunk[4096];
	uint64_t size;
	ssize_t n;
	int r;

	if (access(a->is_ata ? DISK_ATA : SMARTCTL, X_OK))
		return 0; /* only metal has disks that say something */
	if (a->is_ata)
		return ata_smart(a, ret, e);
	if ((r = device_open(a, O_RDONLY, &fd, &size, e)) || (r = smartctl_start(a->name, &out, e)) || (r = shut_in(e)))
		return r;
	while ((n = read(out, chunk, sizeof(chunk))) > 0)
		buf_add_bytes(&text, chunk, (size_t)n);
	if (n < 0 || buf_check(&text))
		return err_set(e, -EBADMSG, "what it says of its health cannot be read, or has no end");
	return smart_decode(buf_str(&text), &ret->smart, e);
}

static int erase(const struct disk_args *a, struct answer *ret, struct err *e)
{
	AUTO_FD int fd = -1;
	uint64_t size;
	int r = a->uuid ? let_go_soon(a, a->uuid, e) : 0;

	(void)ret;
	if (r || (r = device_open(a, O_RDWR | O_EXCL, &fd, &size, e)))
		return r;
	return device_erase(fd, size, e);
}

static int release(const struct disk_args *a, struct answer *ret, struct err *e)
{
	(void)ret;
	return mapping_let_go(a, a->uuid, MNT_DETACH, e);
}

int main(int argc, char **argv)
{
	static const struct run_command commands[] = {
		{ "probe", false, RUN_ALONE, probe },         { "mount", true, RUN_ALONE, mount_it }, { "check", true, RUN_ALONE, check },
		{ "smart", false, RUN_ALONE, smart },         { "scrub", true, RUN_SCRUB, scrub },    { "erase", false, RUN_ENDS_SCRUB, erase },
		{ "release", true, RUN_ENDS_SCRUB, release },
	};

	(void)argc;
	return run_main("disk", commands, ARRAY_LEN(commands), argv);
}
