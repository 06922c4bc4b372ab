/* The program `disk-keys`: what makes, opens or changes the header of a disk of ours, through libcryptsetup and the TPM. How it is called: run.h.
 *
 *   format    makes it ours, from blank or from our own unfinished mark, which is replaced by the finished one last
 *   unlock    opens its mapping
 *   escrow    keeps a key slot for the farm's owner: standard input is the farm's public recovery key, base64, or nothing to have none
 *   recover   an order of the farm: standard input is what opens that slot, base64; the node's own slot and the TPM's part are made anew */
#include "base/file.h"
#include "base/parse.h"
#include "storage/luks.h"
#include "storage/mapping.h"
#include "storage/probe.h"
#include "storage/run.h"
#include "storage/scrub.h"
#include "storage/tpm.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { INPUT_MAX = 4096 };
#define MKFS "/usr/sbin/mkfs.btrfs"

static int mkfs_run(const char *uuid, struct err *e)
{
	char mapping[MAPPING_NAME_MAX], what[MAPPING_NAME_MAX + 16];
	int status;
	pid_t pid;

	mapping_name(mapping, uuid);
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

	mapping_path(path, uuid);
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
	return mapping_let_go(a, luks_uuid(&l), 0, e);
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
	AUTO_SECRET struct buf text = { 0 }, secret = { 0 };
	int r;

	(void)ret;
	buf_reserve(&secret, 2 * RECOVERY_SECRET_LEN);
	if ((r = input_read(&text, e)))
		return r;
	if (parse_base64(buf_str(&text), &secret) || secret.len != RECOVERY_SECRET_LEN)
		return err_set(e, -EINVAL, "the recovery key of a disk has %d bytes", RECOVERY_SECRET_LEN);
	if ((r = header_load(a, &l, &t, e)))
		return r;
	if (mapping_below(luks_uuid(&l), a) == MAPPING_OURS)
		return err_set(e, -EBUSY, "it is open: there is nothing to recover");
	return luks_renew(&l, (const uint8_t *)secret.p, &t, e);
}

int main(int argc, char **argv)
{
	static const struct run_command commands[] = {
		{ "format", false, RUN_ALONE, format },
		{ "unlock", true, RUN_ALONE, unlock },
		{ "escrow", true, RUN_ALONE, escrow },
		{ "recover", true, RUN_ALONE, recover },
	};

	(void)argc;
	setenv("DM_DISABLE_UDEV", "1", 1); /* nobody makes device nodes here but the kernel and libdevmapper */
	return run_main("disk-keys", commands, ARRAY_LEN(commands), argv);
}
