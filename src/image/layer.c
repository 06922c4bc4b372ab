/* The archive goes through a FIFO: mkfs.erofs opens its input by name, and a file would need the unpacked layer's room once more.
 * We hold no read end while it works, so its death is an EPIPE; behind the archive come zeros until it has closed its end, so it
 * always finds a writer, however short the archive was. */
#include "image/layer.h"

#include "base/parse.h"
#include "image/tar.h"
#include "image/unpack.h"
#include "sys/sandbox.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

/* The same archive gives the same bytes, wherever and whenever: fixed UUID, the archive's own times. */
#define EROFS_UUID "7a6f7300-0000-4000-8000-000000000002"
enum { READ_BYTES = 128 << 10, ZEROS_MAX = 8 << 20, ROOM_RESERVE = 16 /* a part in so many */ };

struct convert {
	uint64_t given; /* bytes of the archive so far */
	int pipe;
	bool is_full; /* mkfs.erofs reads no more */
	struct tar tar;
	EVP_MD_CTX *sum;
};

static void convert_deinit(struct convert *c)
{
	fd_close(&c->pipe);
	tar_deinit(&c->tar);
	EVP_MD_CTX_free(c->sum);
}

/* Writes to the FIFO; sets is_full when its reader is gone. */
static int pipe_write(struct convert *c, const uint8_t *p, size_t n)
{
	while (n && !c->is_full) {
		ssize_t did = write(c->pipe, p, n);

		if (did < 0 && errno == EPIPE)
			c->is_full = true;
		else if (did < 0 && errno != EINTR)
			return -errno;
		p += did > 0 ? did : 0;
		n -= did > 0 ? (size_t)did : 0;
	}
	return 0;
}

static int on_unpacked(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	struct convert *c = ctx;

	EVP_DigestUpdate(c->sum, p, n);
	return tar_feed(&c->tar, p, n, e);
}

static int on_checked(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	struct convert *c = ctx;
	int r = pipe_write(c, p, n);

	c->given += n;

	if (r)
		return err_set(e, r, "hand the layer to mkfs.erofs: %s", strerror(-r));
	if (c->is_full && !c->tar.at_end)
		return err_set(e, -EIO, "mkfs.erofs gave up on the layer");
	return 0;
}

/* In the child: shut into the pull's directory, without network, then mkfs.erofs. */
[[noreturn]] static void mkfs_exec(const struct layer_work *w, uint64_t room_bytes, const char *fifo, const char *out)
{
	const struct sandbox s = {
		.paths = { { w->mkfs, SANDBOX_READ | SANDBOX_EXEC },
			   { "/lib64/ld-linux-x86-64.so.2", SANDBOX_READ | SANDBOX_EXEC },
			   { "/usr/lib", SANDBOX_READ },
			   { "/etc/ld.so.cache", SANDBOX_READ },
			   { "/dev/null", SANDBOX_READ | SANDBOX_WRITE },
			   { w->dir, SANDBOX_READ | SANDBOX_WRITE } },
		.calls = SANDBOX_CALLS_FILES | SANDBOX_CALLS_SPAWN, /* the latter for exec */
		.files_max = 64,
		.file_size_max = room_bytes,
	};
	const char *const argv[] = {
		"mkfs.erofs", "--quiet",     "--tar=f", "--aufs", "-T0", "--mkfs-time", ("-U" EROFS_UUID),
		"-zlz4",      "--workers=0", /* 1.8.6 waits for ever for a thread that could not start, and gains little by them */
		out,          fifo,          NULL
	};
	char tmp[300];
	char *env[] = { tmp, NULL };

	snprintf(tmp, sizeof(tmp), "TMPDIR=%s", w->dir);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 || sandbox_enter(&s, NULL))
		_exit(127);
	execve(w->mkfs, (char *const *)argv, env);
	_exit(127);
}

/* Starts mkfs.erofs with the FIFO open for reading, beside its own opening of it. */
static int mkfs_start(const struct layer_work *w, uint64_t room_bytes, const char *out, int *ret_pipe, pid_t *ret_pid, struct err *e)
{
	char fifo[300];
	pid_t pid;

	snprintf(fifo, sizeof(fifo), "%s/fifo", w->dir);
	AUTO_FD int reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	AUTO_FD int writer = reader < 0 ? -1 : open(fifo, O_WRONLY | O_CLOEXEC);
	if (writer < 0)
		return err_set(e, -errno, "open %s: %m", fifo);
	pid = fork();
	if (pid < 0)
		return err_set(e, -errno, "start mkfs.erofs: %m");
	if (!pid) {
		close(writer);
		fcntl(reader, F_SETFD, 0);
		mkfs_exec(w, room_bytes, fifo, out);
	}
	*ret_pipe = take_fd(writer);
	*ret_pid = pid;
	return 0;
}

static int blob_feed(const struct layer_work *w, int blob, struct unpack *u, struct err *e)
{
	AUTO_FREE uint8_t *p = malloc(READ_BYTES);
	ssize_t n;
	int r;

	BUG_ON(!p);
	while ((n = read(blob, p, READ_BYTES)) > 0) {
		if ((r = unpack_feed(u, p, (size_t)n, e)))
			return r;
		w->progress(w->ctx, (uint64_t)n);
	}
	return n < 0 ? err_set(e, -errno, "read the layer: %m") : unpack_finish(u, e);
}

static int zeros_write(struct convert *c)
{
	static const uint8_t zeros[64 << 10];
	int r = 0;

	for (size_t n = 0; n < ZEROS_MAX && !c->is_full && !r; n += sizeof(zeros))
		r = pipe_write(c, zeros, sizeof(zeros));
	return r;
}

static int sum_check(struct convert *c, const char *diff_id, struct err *e)
{
	AUTO_BUF struct buf hex = { 0 };
	uint8_t sum[32];

	BUG_ON(EVP_DigestFinal_ex(c->sum, sum, NULL) != 1);
	format_hex(&hex, sum, sizeof(sum));
	BUG_ON(buf_check(&hex));
	if (strcmp(hex.p, diff_id + 7))
		return err_set(e, -EBADMSG, "the unpacked layer is not the one that the image's configuration names: build the image again");
	return 0;
}

static int mkfs_wait(pid_t pid, struct err *e)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(e, -errno, "wait for mkfs.erofs: %m");
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (WIFSIGNALED(status))
		return err_set(e, -EIO, "mkfs.erofs was ended by signal %d: %s", WTERMSIG(status),
			       WTERMSIG(status) == SIGKILL ? "is there enough memory?" : "there is something in this layer that it does not survive");
	return err_set(e, -EIO, "mkfs.erofs failed with status %d: is there enough room for the image?", WEXITSTATUS(status));
}

uint64_t layer_room(const char *dir)
{
	struct statvfs st;
	uint64_t reserve;

	if (statvfs(dir, &st))
		return LAYER_BYTES_MAX; /* what writes there will find out */
	reserve = st.f_blocks / ROOM_RESERVE;
	return (st.f_bavail > reserve ? st.f_bavail - reserve : 1) * st.f_frsize;
}

/* What became of mkfs.erofs, R, says little; how much it was given tells when it ran out of room. */
static int mkfs_failed(const struct convert *c, uint64_t room_bytes, int r, const struct err *of_mkfs, struct err *e)
{
	char room[16];

	if (c->given < room_bytes)
		return r ? err_set(e, r, "%s", of_mkfs->msg) : -EIO;
	format_size(room, room_bytes);
	return err_set(e, -ENOSPC,
		       "there is no room for the image: it unpacks to more than the %s that are left: free some, or give the node a "
		       "disk",
		       room);
}

int layer_convert(const struct layer_work *w, int blob, enum media media, const char *diff_id, const char *out, struct err *e)
{
	CLEANUP(convert_deinit) struct convert c = { .pipe = -1, .tar = TAR_INIT(on_checked, &c) };
	CLEANUP(unpack_freep) struct unpack *u = NULL;
	/* mkfs.erofs puts the archive's files aside before it packs them: two thirds for these, the rest for what it makes */
	uint64_t room_bytes = layer_room(w->dir) / 3 * 2;
	struct err of_mkfs = { 0 };
	pid_t pid = -1;
	int r, q;

	c.sum = EVP_MD_CTX_new();
	BUG_ON(!c.sum || EVP_DigestInit_ex(c.sum, EVP_sha256(), NULL) != 1);
	if ((r = unpack_new(media, LAYER_BYTES_MAX, on_unpacked, &c, &u, e)) || (r = mkfs_start(w, room_bytes, out, &c.pipe, &pid, e)))
		return r;
	r = blob_feed(w, blob, u, e);
	if (!r)
		r = tar_finish(&c.tar, e);
	if (!r)
		r = sum_check(&c, diff_id, e);
	if (!r && (r = zeros_write(&c)))
		err_set(e, r, "hand the layer to mkfs.erofs: %s", strerror(-r));
	if (r && !c.is_full)
		kill(pid, SIGKILL); /* what it has is not worth finishing */
	fd_close(&c.pipe);
	q = mkfs_wait(pid, &of_mkfs);
	if (r == -EIO || (q && !r))
		return mkfs_failed(&c, room_bytes, q, &of_mkfs, e);
	return r;
}
