#include "storage/stream.h"

#include "storage/drain.h"
#include "storage/fill.h"
#include "sys/exec_wire.h"
#include "sys/idmap.h"
#include "sys/mnt.h"
#include "sys/sandbox.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { PIECE = 64 << 10, FILES_MAX = DRAIN_DEPTH_MAX + 64 };
#if __has_feature(address_sanitizer)
enum { MEMORY_MAX = 0 }; /* its shadow alone is more than any limit */
#else
enum { MEMORY_MAX = 512 << 20 };
#endif

struct work {
	const char *at;
	bool is_read_only;
	uint64_t caps;
	int (*run)(int root, int stream, uint64_t *ret_left_out, struct err *e);
};

/* What the process apart says, once. */
struct answer {
	int r;
	uint64_t left_out;
	char msg[sizeof(((struct err *)NULL)->msg)];
};

static int view_enter(const struct work *w, struct err *e)
{
	AUTO_FD int userns = -1;
	AUTO_FD int mnt = open_tree(AT_FDCWD, w->at, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
					       (w->is_read_only ? MOUNT_ATTR_RDONLY : 0) };
	int r;

	if (mnt < 0)
		return err_set(e, -errno, "open the volume: %m");
	if ((r = idmap_open(STREAM_UID_BASE, ARCHIVE_OWNER_MAX + 1, &userns, e)))
		return r;
	attr.userns_fd = (uint64_t)userns;
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) || move_mount(mnt, "", AT_FDCWD, w->at, MOVE_MOUNT_F_EMPTY_PATH))
		return err_set(e, -errno, "make a view of the volume alone: %m");
	return (r = mnt_enter(w->at, e)) ? r : idmap_enter(userns, w->caps, e);
}

/* The descriptors of its parent stay there: 0 is the stream, 3 where it answers. */
static int shut_in(const struct work *w, struct err *e)
{
	const struct sandbox box = { .paths = { { "/", SANDBOX_READ | (w->is_read_only ? 0 : SANDBOX_WRITE) } },
				     .calls = SANDBOX_CALLS_FILES | SANDBOX_CALLS_MARKS,
				     .files_max = FILES_MAX,
				     .memory_max = MEMORY_MAX };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), r;

	if (null < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 || close_range(4, UINT32_MAX, 0))
		return err_set(e, -errno, "leave what belongs to others: %m");
	umask(0);
	signal(SIGPIPE, SIG_IGN);
	if ((r = view_enter(w, e)))
		return r;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)) /* last: a change of user clears it */
		return err_set(e, -errno, "end with who asked: %m");
	return sandbox_enter(&box, e);
}

[[noreturn]] static void become(const struct work *w, int answers)
{
	struct answer a = { 0 };
	struct err e = { 0 };
	int root;

	if (answers != 3)
		dup3(answers, 3, O_CLOEXEC);
	a.r = shut_in(w, &e);
	if (!a.r && (root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0)
		a.r = w->run(root, 0, &a.left_out, &e);
	memcpy(a.msg, e.msg, sizeof(a.msg));
	_exit(write(3, &a, sizeof(a)) == sizeof(a) ? 0 : 1);
}

/* The sentence may hold names of files, which goes to logs and terminals. */
static void printable(char *text, size_t size)
{
	text[size - 1] = '\0';
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

/* STREAM is moved to 0, where the process apart finds it. */
static int apart_run(const struct work *w, int stream, uint64_t *ret_left_out, struct err *e)
{
	struct answer a = { 0 };
	int pipe_fd[2], status = 0;
	pid_t pid;

	if ((stream && dup2(stream, 0) < 0) || pipe2(pipe_fd, O_CLOEXEC))
		return err_set(e, -errno, "make a pipe: %m");
	pid = fork();
	if (!pid)
		become(w, pipe_fd[1]);
	close(pipe_fd[1]);
	AUTO_FD int from = pipe_fd[0];
	if (pid < 0)
		return err_set(e, -errno, "fork: %m");
	bool told = read(from, &a, sizeof(a)) == sizeof(a);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!told)
		return err_set(e, -EIO, "what handles the archive ended with %s %d", WIFEXITED(status) ? "status" : "signal",
			       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	printable(a.msg, sizeof(a.msg));
	if (a.r)
		return err_set(e, a.r < 0 ? a.r : -EIO, "%s", a.msg);
	*ret_left_out = a.left_out;
	return 0;
}

static int all_send(int stream, struct str bytes)
{
	while (bytes.n) {
		ssize_t n = write(stream, bytes.p, bytes.n);

		if (n < 0 && errno != EINTR)
			return -errno;
		bytes = n > 0 ? (struct str){ bytes.p + n, bytes.n - (size_t)n } : bytes;
	}
	return 0;
}

struct frames {
	int stream;
	struct buf all;
};

static int frames_put(void *ctx, struct str bytes, struct err *e)
{
	struct frames *f = ctx;

	if (!bytes.n)
		return 0;
	f->all.len = 0;
	exec_put_data(&f->all, EXEC_OUT, bytes);
	if (buf_check(&f->all))
		return err_set(e, -ENOMEM, "send the archive: out of memory");
	return all_send(f->stream, buf_str(&f->all)) ? err_set(e, -EPIPE, "who asked for the archive is gone") : 0;
}

static int bytes_count(void *ctx, struct str bytes, struct err *e)
{
	(void)e;
	*(uint64_t *)ctx += bytes.n;
	return 0;
}

/* How long the archive will be, so that who waits for it sees how far it is: it is of a snapshot, and comes out the same twice. */
static int total_send(int root, int stream, struct err *e)
{
	AUTO_BUF struct buf b = { 0 };
	uint64_t total = 0;
	struct drain d = DRAIN_INIT(bytes_count, &total);
	int r;

	d.is_dry = true;
	r = drain_all(&d, root, e);
	total += d.unread;
	drain_deinit(&d);
	if (r)
		return r;
	exec_put(&b, EXEC_TOTAL, (uint32_t)total, (uint32_t)(total >> 32));
	if (buf_check(&b))
		return err_set(e, -ENOMEM, "send the archive: out of memory");
	return all_send(stream, buf_str(&b)) ? err_set(e, -EPIPE, "who asked for the archive is gone") : 0;
}

static int drain_run(int root, int stream, uint64_t *ret_left_out, struct err *e)
{
	struct frames f = { .stream = stream };
	struct drain d = DRAIN_INIT(frames_put, &f);
	int r = total_send(root, stream, e);

	if (!r)
		r = drain_all(&d, root, e);

	*ret_left_out = d.left_out;
	drain_deinit(&d);
	buf_deinit(&f.all);
	return r;
}

/* What follows the end is read, so that who sends it hears the answer. */
static int tail_read(int stream, struct err *e)
{
	static char bytes[PIECE];
	size_t total = 0;
	ssize_t n;

	while (total <= STREAM_TAIL_MAX && (n = read(stream, bytes, sizeof(bytes))) > 0)
		total += (size_t)n;
	return total > STREAM_TAIL_MAX ? err_set(e, -EBADMSG, "more than %d bytes follow the end of the archive", STREAM_TAIL_MAX) : 0;
}

static int fill_run(int root, int stream, uint64_t *ret_left_out, struct err *e)
{
	static uint8_t bytes[PIECE];
	struct fill f;
	ssize_t n = 1;
	int r = 0;

	fill_init(&f, root);
	while (!r && n && !fill_at_end(&f)) {
		n = read(stream, bytes, sizeof(bytes));
		if (n < 0 && errno != EINTR)
			r = err_set(e, -errno, "read the archive: %m");
		else if (n > 0)
			r = fill_feed(&f, bytes, (size_t)n, e);
	}
	if (!r && !(r = fill_finish(&f, e)))
		r = tail_read(stream, e);
	*ret_left_out = f.left_out;
	fill_deinit(&f);
	return r;
}

#define CAPS_READ (1ull << CAP_DAC_READ_SEARCH)
#define CAPS_WRITE (CAPS_READ | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_CHOWN | 1ull << CAP_FOWNER | 1ull << CAP_FSETID | 1ull << CAP_SETFCAP)

int stream_out(const char *at, int stream, uint64_t *ret_left_out, struct err *e)
{
	const struct work w = { at, true, CAPS_READ, drain_run };

	return apart_run(&w, stream, ret_left_out, e);
}

int stream_in(const char *at, int stream, uint64_t *ret_left_out, struct err *e)
{
	const struct work w = { at, false, CAPS_WRITE, fill_run };

	return apart_run(&w, stream, ret_left_out, e);
}

void stream_out_end(int stream, uint64_t left_out, int r, const struct err *e)
{
	AUTO_BUF struct buf b = { 0 };
	char text[96];

	snprintf(text, sizeof(text), "%" PRIu64 " sockets, devices or attributes were left out: an archive cannot hold them\n", left_out);
	if (r)
		exec_put_failed(&b, e->msg);
	else if (left_out)
		exec_put_data(&b, EXEC_ERR, str_c(text));
	if (!r)
		exec_put(&b, EXEC_EXIT, 0, 0);
	if (!buf_check(&b))
		(void)all_send(stream, buf_str(&b)); /* who is gone hears nothing */
}
