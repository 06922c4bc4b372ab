/* disk COMMAND --name=NAME --seq=N [--uuid=UUID] [--farm=KEY] [--rotational] -- one thing done with one disk, for noded, which waits no longer than it
 * has patience and can kill this. The answer is one line of JSON (answer.h).
 *
 *   probe     what is on it; as a user of its own, shut in before the first byte is read
 *   format    makes it ours, from blank or from our own unfinished mark, which is replaced by the finished one last
 *   unlock    opens its mapping
 *   mount     mounts that, and looks how it is doing
 *   check     looks how it is doing
 *   smart     what it says of itself, through smartctl, where the image has it; its words are read as by the probe, shut in
 *   scrub     reads a slice of all that is on it
 *   escrow    keeps a key slot for the farm's owner: standard input is the farm's public recovery key, base64, or nothing to have none
 *   recover   an order of the farm: standard input is what opens that slot, base64; the node's own slot and the TPM's part are made anew
 *   erase     an order of the farm: what is on it is gone for ever
 *   release   what is left of one that was pulled out: its mount and its mapping
 *
 * Each may be repeated, also after it was killed in the middle; but not while one that hangs in the kernel over a broken disk is still there. */
#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/parse.h"
#include "storage/luks.h"
#include "storage/probe.h"
#include "storage/scrub.h"
#include "storage/smart.h"
#include "storage/storage.h"
#include "storage/tpm.h"
#include "sys/mnt.h"
#include "sys/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/btrfs.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
	UID_PROBE = 906,
	PROBE_MEMORY_BYTES = 256 << 20,
	PROBE_FILES = 16,
	LOCK_PATIENCE_S = 5,
	LET_GO_LOOKS_MAX = 16,
	LET_GO_LOOK_MS = 500,
	INPUT_MAX = 4096
};
#define LOCKS "/run/zos/disks"
#define SMARTCTL "/usr/sbin/smartctl"
#define MKFS "/usr/sbin/mkfs.btrfs"
#define MOUNT_FLAGS (MS_NOATIME | MS_NOSUID | MS_NODEV | MS_NOEXEC)

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

static void path_of(char ret[static STORAGE_PATH_MAX], const char *uuid)
{
	snprintf(ret, STORAGE_PATH_MAX, STORAGE_ROOT "/%s", uuid);
}

static int mapping_mount(const char *uuid, bool is_rotational, struct err *e)
{
	char path[STORAGE_PATH_MAX], mapping[LUKS_MAPPING_MAX], what[LUKS_MAPPING_MAX + 16];

	path_of(path, uuid);
	luks_mapping(mapping, uuid);
	snprintf(what, sizeof(what), "/dev/mapper/%s", mapping);
	return mnt_make("", &(struct mnt_spec){ what, path, "btrfs", is_rotational ? NULL : "discard=async", MOUNT_FLAGS, .make_dir = true }, e);
}

static int mkfs_run(const char *uuid, struct err *e)
{
	char mapping[LUKS_MAPPING_MAX], what[LUKS_MAPPING_MAX + 16];
	int status;
	pid_t pid;

	luks_mapping(mapping, uuid);
	snprintf(what, sizeof(what), "/dev/mapper/%s", mapping);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execl(MKFS, MKFS, "-q", "-f", "-O", "squota", "-d", "single", "-L", PROBE_LABEL, what, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return err_set(e, -errno, "run %s: %m", MKFS);
	return status ? err_set(e, -EIO, "%s failed: 'zos node logs noded' has its words", MKFS) : 0;
}

/* Where the node keeps what: made once, with the disk. Nothing makes them again, so that nothing empty takes the place of what was lost. */
static int folders_make(const char *uuid, struct err *e)
{
	static const char *const names[] = { "state", "images", "volumes", "disks", "zdb" };
	char path[STORAGE_PATH_MAX];

	path_of(path, uuid);
	AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, -errno, "open %s: %m", path);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct btrfs_ioctl_vol_args v = { 0 };

		snprintf(v.name, sizeof(v.name), "%s", names[i]);
		if (ioctl(fd, BTRFS_IOC_SUBVOL_CREATE, &v))
			return err_set(e, -errno, "make %s/%s: %m", path, names[i]);
	}
	return syncfs(fd) ? err_set(e, -errno, "write %s: %m", path) : 0;
}

/* Leaves alone what is open of another disk with the same UUID. */
static int let_go(const struct disk_args *a, const char *uuid, int how, struct err *e)
{
	char path[STORAGE_PATH_MAX];

	if (luks_below(uuid, a) == LUKS_OTHER)
		return 0;
	path_of(path, uuid);
	if (umount2(path, how) && errno != EINVAL && errno != ENOENT)
		return err_set(e, -errno, "unmount %s: %m", path);
	(void)rmdir(path);
	return luks_shut(uuid, how == MNT_DETACH, e);
}

/* noded was told and lets go, and so does who keeps images there: each change of mounts is a time to look again, and, because the last step is
 * not told, so is each half second. */
static int let_go_soon(const struct disk_args *a, const char *uuid, struct err *e)
{
	AUTO_FD int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);

	for (unsigned looks = 0;; looks++) {
		int r = let_go(a, uuid, 0, e);

		if (r != -EBUSY)
			return r;
		if (looks == LET_GO_LOOKS_MAX)
			return err_set(e, -EBUSY, "it is in use: 'zos node drain' stops what uses it, then ask again");
		poll(&(struct pollfd){ mounts, POLLPRI, 0 }, 1, LET_GO_LOOK_MS);
	}
}

/* What the probe said is looked at again here, where it is acted on: the probe has read what strangers wrote. */
static int may_format(const struct disk_args *a, struct err *e)
{
	AUTO_LUKS struct luks l = LUKS_NONE;
	AUTO_FD int fd = -1;
	uint64_t size;
	int r;

	if ((r = device_open(a, O_RDONLY, &fd, &size, e)) || (r = device_is_blank(fd, size, false, e)) <= 0)
		return r;
	if ((r = luks_load(a, &l, e)))
		return r;
	if (!luks_has_mark(&l, PROBE_UNFINISHED))
		return err_set(e, -EEXIST, "it is neither blank nor begun by us: it is left alone");
	return let_go(a, luks_uuid(&l), 0, e);
}

static int format(const struct disk_args *a, struct answer *ret, struct err *e)
{
	AUTO_TOKEN struct token t = { .is_rotational = a->rotational };
	AUTO_LUKS struct luks l = LUKS_NONE;
	int r;

	snprintf(t.farm, sizeof(t.farm), "%s", a->farm ? a->farm : "");
	if ((r = may_format(a, e)) || (r = luks_make(a, &t, &l, e)) || (r = mkfs_run(luks_uuid(&l), e)) ||
	    (r = mapping_mount(luks_uuid(&l), t.is_rotational, e)) || (r = folders_make(luks_uuid(&l), e)) || (r = scrub_make(luks_uuid(&l), e)) ||
	    (r = luks_finish(&l, e)))
		return r;
	snprintf(ret->uuid, sizeof(ret->uuid), "%s", luks_uuid(&l));
	return 0;
}

/* That of the disk that is meant, of this farm. */
static int header_load(const struct disk_args *a, struct luks *l, struct token *t, struct err *e)
{
	int r;

	if ((r = luks_load(a, l, e)) || (r = luks_token(l, t, e)))
		return r;
	if (!luks_has_mark(l, PROBE_COMPLETE) || strcmp(luks_uuid(l), a->uuid))
		return err_set(e, -ESTALE, "its header is another than a moment ago");
	if (t->farm[0] && a->farm && strcmp(t->farm, a->farm))
		return err_set(e, -EACCES,
			       "it belongs to the farm %.16s...: a node of that farm opens it; 'zos node disks wipe' makes it one of this farm",
			       t->farm);
	return 0;
}

/* What would help where the TPM does not. */
static int say_recovery(const struct escrow *x, int r, struct err *e)
{
	struct err why = *e;

	return x->key[0] ? err_set(e, r, "%s; 'zos node disks recover' opens it with the farm's recovery key", why.msg) : r;
}

static int unlock(const struct disk_args *a, struct answer *ret, struct err *e)
{
	AUTO_TOKEN struct token t = { 0 };
	AUTO_LUKS struct luks l = LUKS_NONE;
	int r;

	if ((r = header_load(a, &l, &t, e)))
		return r;
	luks_escrow_get(&l, &ret->escrow);
	if (t.key == ANSWER_KEY_TPM && (r = tpm_unseal(&t, e)))
		return say_recovery(&ret->escrow, r, e);
	if ((r = luks_open(&l, a, &t, e)))
		return r;
	ret->is_rotational = t.is_rotational;
	ret->key = t.key;
	return 0;
}

static int input_read(struct buf *ret, struct err *e)
{
	buf_reserve(ret, 2 * INPUT_MAX); /* grows at once: no copy is left behind */
	return file_read(AT_FDCWD, "/proc/self/fd/0", INPUT_MAX, ret, e);
}

/* A secret that nobody else has, sealed to PUB for the disk's place in its farm. */
static int escrow_make(const struct disk_args *a, const uint8_t pub[static SEAL_PUB_LEN], uint8_t secret[static RECOVERY_SECRET_LEN],
		       struct escrow *ret, struct err *e)
{
	AUTO_BUF struct buf sealed = { 0 };
	struct key_pub farm;
	int r;

	if (!a->farm || key_pub_parse(str_c(a->farm), &farm))
		return err_set(e, -EINVAL, "a recovery key is for the owner of a farm, and none is named");
	random_bytes(secret, RECOVERY_SECRET_LEN);
	r = recovery_seal(pub, &(struct recovery_place){ &farm, &farm, a->uuid }, secret, &sealed);
	if (r)
		return err_set(e, r, "seal its recovery key to the farm's: %s", strerror(-r));
	*ret = (struct escrow){ .is_there = true };
	seal_digest(pub, ret->key);
	snprintf(ret->sealed, sizeof(ret->sealed), "%s", sealed.p);
	return 0;
}

static int escrow_put(const struct disk_args *a, struct luks *l, struct token *t, struct str pub_text, struct err *e)
{
	uint8_t pub[SEAL_PUB_LEN], secret[RECOVERY_SECRET_LEN];
	struct escrow x;
	int r;

	if (recovery_pub_parse(pub_text, pub))
		return err_set(e, -EINVAL, "the farm's recovery key is none");
	if (t->key == ANSWER_KEY_TPM && (r = tpm_unseal(t, e)))
		return r;
	if (!(r = escrow_make(a, pub, secret, &x, e)))
		r = luks_escrow_set(l, t, &x, secret, e);
	explicit_bzero(secret, sizeof(secret));
	return r;
}

static int escrow(const struct disk_args *a, struct answer *ret, struct err *e)
{
	AUTO_TOKEN struct token t = { 0 };
	AUTO_LUKS struct luks l = LUKS_NONE;
	AUTO_BUF struct buf pub = { 0 };
	int r;

	if ((r = input_read(&pub, e)) || (r = header_load(a, &l, &t, e)))
		return r;
	if ((r = pub.len ? escrow_put(a, &l, &t, buf_str(&pub), e) : luks_escrow_clear(&l, e)))
		return r;
	luks_escrow_get(&l, &ret->escrow);
	return 0;
}

static int recover(const struct disk_args *a, struct answer *ret, struct err *e)
{
	AUTO_TOKEN struct token t = { 0 };
	AUTO_LUKS struct luks l = LUKS_NONE;
	CLEANUP(seal_wipe) struct buf text = { 0 }, secret = { 0 };
	int r;

	(void)ret;
	buf_reserve(&secret, 2 * RECOVERY_SECRET_LEN);
	if ((r = input_read(&text, e)))
		return r;
	if (parse_base64(buf_str(&text), &secret) || secret.len != RECOVERY_SECRET_LEN)
		return err_set(e, -EINVAL, "the recovery key of a disk has %d bytes", RECOVERY_SECRET_LEN);
	if ((r = header_load(a, &l, &t, e)))
		return r;
	if (luks_below(luks_uuid(&l), a) == LUKS_OURS)
		return err_set(e, -EBUSY, "it is open: there is nothing to recover");
	return luks_renew(&l, (const uint8_t *)secret.p, &t, e);
}

static int check(const struct disk_args *a, struct answer *ret, struct err *e)
{
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

static int smart(const struct disk_args *a, struct answer *ret, struct err *e)
{
	AUTO_BUF struct buf text = { .limit = SMART_MAX };
	AUTO_FD int fd = -1, out = -1;
	char chunk[4096];
	uint64_t size;
	ssize_t n;
	int r;

	if (access(SMARTCTL, X_OK))
		return 0; /* only metal has disks that say something */
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
	return let_go(a, a->uuid, MNT_DETACH, e);
}

/* A scrub that was killed goes on in the kernel until its slice ends: it keeps nobody from the disk, as nothing else does, and who takes the disk away
 * ends it. */
enum scrubbing { ALONE, ENDS_SCRUB, IS_SCRUB };
static const struct {
	const char *name;
	bool needs_uuid;
	enum scrubbing scrubbing;
	int (*run)(const struct disk_args *a, struct answer *ret, struct err *e);
} commands[] = {
	{ "probe", false, ALONE, probe },      { "format", false, ALONE, format },       { "unlock", true, ALONE, unlock },
	{ "mount", true, ALONE, mount_it },    { "check", true, ALONE, check },          { "scrub", true, IS_SCRUB, scrub },
	{ "escrow", true, ALONE, escrow },     { "recover", true, ALONE, recover },      { "smart", false, ALONE, smart },
	{ "erase", false, ENDS_SCRUB, erase }, { "release", true, ENDS_SCRUB, release },
};

static const struct opt opts[] = {
	OPT(struct disk_args, name, "name", "NAME", "below /dev"),
	OPT(struct disk_args, seq, "seq", "N", "the kernel's number of this disk"),
	OPT(struct disk_args, uuid, "uuid", "UUID", "of its header"),
	OPT(struct disk_args, farm, "farm", "KEY", "whose node this is"),
	OPT(struct disk_args, rotational, "rotational", NULL, "it is a hard disk"),
};

static void on_alarm(int sig)
{
	(void)sig;
}

/* Held until this ends. By the kernel's number of the disk: another one in its place is free. One that was killed a moment ago is waited for. */
static int lock_take(const struct disk_args *a, struct err *e)
{
	char path[64];
	int r = dir_make(LOCKS, 0700, e);

	if (r)
		return r;
	snprintf(path, sizeof(path), LOCKS "/%llu", (unsigned long long)a->seq);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* ends with the process */
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_alarm }, NULL); /* ends the wait */
	alarm(LOCK_PATIENCE_S);
	r = fd < 0 || flock(fd, LOCK_EX) ? -errno : 0;
	alarm(0);
	if (r == -EINTR)
		return err_set(e, -EBUSY, "what was begun with it before has not ended: the disk does not answer; see its cable and its health");
	return r ? err_set(e, r, "lock %s: %s", path, strerror(-r)) : 0;
}

static int command_run(size_t i, const struct disk_args *a, struct answer *ret, struct err *e)
{
	int r = commands[i].scrubbing == IS_SCRUB ? 0 : lock_take(a, e);

	if (!r && a->uuid && commands[i].scrubbing == ENDS_SCRUB)
		scrub_cancel(a->uuid);
	return r ? r : commands[i].run(a, ret, e);
}

static int run(char **argv, struct answer *ret, struct err *e)
{
	struct disk_args a = { 0 };
	const char *words[3];
	struct opt_words w = { words, ARRAY_LEN(words), false };
	int n = opt_parse(opts, ARRAY_LEN(opts), argv, &a, &w, e);

	if (n < 0)
		return n;
	for (size_t i = 0; n == 1 && a.name && i < ARRAY_LEN(commands); i++)
		if (!strcmp(commands[i].name, words[0]) && (a.uuid || !commands[i].needs_uuid) && (!a.uuid || answer_uuid_ok(str_c(a.uuid))))
			return command_run(i, &a, ret, e);
	return err_set(e, -EINVAL, "usage: disk COMMAND --name=NAME --seq=N [--uuid=UUID] [--farm=KEY] [--rotational]");
}

int main(int argc, char **argv)
{
	struct answer a = { .outcome = ANSWER_DONE };
	AUTO_BUF struct buf line = { 0 };
	struct err e = { 0 };

	(void)argc;
	log_init("disk", getenv("ZOS_DEBUG") != NULL);
	setenv("DM_DISABLE_UDEV", "1", 1); /* nobody makes device nodes here but the kernel and libdevmapper */
	if (run(argv + 1, &a, &e) < 0) {
		a = (struct answer){ .outcome = ANSWER_FAILED, .escrow = a.escrow };
		snprintf(a.text, sizeof(a.text), "%s", e.msg);
	}
	if (answer_encode(&a, &line) || write(STDOUT_FILENO, line.p, line.len) != (ssize_t)line.len)
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
