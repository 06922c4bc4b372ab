#include "sys/exec.h"

#include "base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

enum { CHUNK = 16384, QUEUE_MAX = 64 << 10, RELAY_MAX = 128 << 10 };

void exec_resize(int master, uint32_t rows, uint32_t cols)
{
	struct winsize size = { .ws_row = (uint16_t)rows, .ws_col = (uint16_t)cols };

	if (rows && cols)
		(void)!ioctl(master, TIOCSWINSZ, &size);
}

/* Writes what can be written; false when the other side is gone. */
static bool flush(int fd, struct buf *b)
{
	while (b->len) {
		ssize_t n = write(fd, b->p, b->len);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		buf_drop(b, (size_t)n);
	}
	return true;
}

static void unblock(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

struct serving {
	int stream, signals;
	struct exec_ear *ear;
	struct exec_ends *ends;
	struct buf to_caller, to_program;
	bool eof;     /* close the program's input once all is written */
	bool is_gone; /* the caller hung up, or broke the rules */
	bool closed;  /* nobody reads the stream either */
	int status;   /* -1 = the program runs */
};

static void signal_send(const struct exec_ends *ends, int number)
{
	if (kill(-ends->pid, number))
		kill(ends->pid, number);
}

static void input_end(struct serving *s)
{
	if (s->ends->in < 0 || s->to_program.len)
		return;
	if (s->ends->tty)
		(void)!write(s->ends->in, "\4", 1); /* what a terminal says for it */
	else
		fd_close(&s->ends->in);
	s->eof = false;
}

static void input_write(struct serving *s)
{
	ssize_t n = write(s->ends->in, s->to_program.p, s->to_program.len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) { /* the program reads no more: what comes is taken and forgotten */
		n = (ssize_t)s->to_program.len;
		if (!s->ends->tty)
			fd_close(&s->ends->in);
	}
	buf_drop(&s->to_program, (size_t)n);
	exec_put(&s->to_caller, EXEC_CREDIT, (uint32_t)n, 0);
	if (s->eof)
		input_end(s);
}

static void input_take(struct serving *s, struct str data)
{
	if (data.n > EXEC_WINDOW - s->to_program.len) { /* more than it was allowed */
		s->is_gone = true;
		return;
	}
	if (s->ends->in < 0) {
		exec_put(&s->to_caller, EXEC_CREDIT, (uint32_t)data.n, 0);
		return;
	}
	buf_add(&s->to_program, data);
	input_write(s);
}

static void frame_take(struct serving *s, const struct exec_frame *f)
{
	switch (f->type) {
	case EXEC_STDIN:
		input_take(s, f->data);
		break;
	case EXEC_EOF:
		s->eof = true;
		input_end(s);
		break;
	case EXEC_RESIZE:
		if (s->ends->tty)
			exec_resize(s->ends->in, f->a, f->b);
		break;
	case EXEC_SIGNAL:
		if (s->status < 0)
			signal_send(s->ends, (int)f->a);
		break;
	default: /* HANGUP; a second START */
		s->is_gone = true;
	}
}

static void stream_read(struct serving *s)
{
	char bytes[CHUNK];
	ssize_t n = read(s->stream, bytes, exec_ear_wants(s->ear));
	struct str p = { bytes, n > 0 ? (size_t)n : 0 };
	struct exec_frame f;
	int r = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	s->closed |= n <= 0;
	while (n > 0 && !s->is_gone && (r = exec_ear_take(s->ear, &p, &f)) == EXEC_EAR_FRAME)
		frame_take(s, &f);
	s->is_gone |= n <= 0 || r < 0;
}

static void output_read(struct serving *s, int *fd, enum exec_type type)
{
	char bytes[CHUNK];
	ssize_t n = read(*fd, bytes, sizeof(bytes));

	if (n > 0) {
		if (!s->is_gone)
			exec_put_data(&s->to_caller, type, (struct str){ bytes, (size_t)n });
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (fd == &s->ends->out && s->ends->tty) /* EIO: nobody has the terminal open any more */
		s->ends->in = -1;
	fd_close(fd);
}

static void reap(struct serving *s)
{
	struct signalfd_siginfo si;
	int status;
	pid_t pid;

	(void)!read(s->signals, &si, sizeof(si));
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == s->ends->pid)
			s->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void wait_once(struct serving *s, int timeout_ms)
{
	bool room = s->to_caller.len < QUEUE_MAX || s->is_gone;
	struct pollfd all[] = {
		{ .fd = s->signals, .events = POLLIN },
		{ .fd = s->closed ? -1 : s->stream, .events = (short)((s->is_gone ? 0 : POLLIN) | (s->to_caller.len && !s->is_gone ? POLLOUT : 0)) },
		{ .fd = s->to_program.len ? s->ends->in : -1, .events = POLLOUT },
		{ .fd = room ? s->ends->out : -1, .events = POLLIN },
		{ .fd = room ? s->ends->err : -1, .events = POLLIN },
	};

	if (s->is_gone)
		all[1].fd = -1;
	if (poll(all, ARRAY_LEN(all), timeout_ms) <= 0)
		return;
	if (all[0].revents)
		reap(s);
	if (all[2].revents && s->ends->in >= 0)
		input_write(s);
	if (all[3].revents && s->ends->out >= 0)
		output_read(s, &s->ends->out, EXEC_OUT);
	if (all[4].revents && s->ends->err >= 0)
		output_read(s, &s->ends->err, EXEC_ERR);
	if (all[1].revents & (POLLIN | POLLHUP | POLLERR))
		stream_read(s);
	if (!s->is_gone && !flush(s->stream, &s->to_caller))
		s->is_gone = s->closed = true;
}

static void wait_until(struct serving *s, uint64_t until_ms, bool (*is_over)(const struct serving *s))
{
	while (!is_over(s)) {
		uint64_t now = log_now_ms();

		if (now >= until_ms)
			return;
		wait_once(s, (int)(until_ms - now));
	}
}

static bool has_ended(const struct serving *s)
{
	return s->status >= 0;
}

static bool has_drained(const struct serving *s)
{
	return s->status >= 0 && s->ends->out < 0 && s->ends->err < 0;
}

/* The last word goes out also to a caller who has hung up: a relay waits for it. Then everything up to HANGUP is skipped, so that the next
 * session on the same stream begins at a frame's start, and a socket is not closed over bytes that nobody read, which would take what is on
 * its way to the caller with it. A caller may take its time for the last word, not for what comes after it. */
static void last_word(int stream, struct exec_ear *ear, struct buf *b, bool is_over)
{
	struct exec_frame f;
	char bytes[CHUNK];

	while (b->len || !is_over) {
		int timeout_ms = is_over || (!b->len && ear->from == EXEC_FROM_CALLER) ? EXEC_LINGER_MS : -1;
		struct pollfd p = { .fd = stream, .events = (short)((is_over ? 0 : POLLIN) | (b->len ? POLLOUT : 0)) };
		struct str s;
		ssize_t n;
		int r;

		if (poll(&p, 1, timeout_ms) <= 0)
			return;
		if (b->len && !flush(stream, b))
			return;
		if (is_over || !(p.revents & (POLLIN | POLLHUP | POLLERR)))
			continue;
		n = read(stream, bytes, exec_ear_wants(ear));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return;
		s = (struct str){ bytes, (size_t)n };
		while ((r = exec_ear_take(ear, &s, &f)) == EXEC_EAR_FRAME)
			is_over |= f.type == EXEC_HANGUP;
		if (r < 0)
			return;
	}
}

void exec_serve(int stream, struct exec_ear *ear, struct exec_ends *ends, void (*kill_all)(void *ctx), void *ctx)
{
	struct serving s = { .stream = stream, .ear = ear, .ends = ends, .status = -1 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	s.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	unblock(stream);
	unblock(ends->in);
	unblock(ends->out);
	unblock(ends->err);
	reap(&s); /* it may have ended before anybody listened */
	while (s.status < 0 && !s.is_gone)
		wait_once(&s, -1);
	if (s.is_gone && s.status < 0) {
		signal_send(ends, SIGHUP);
		signal_send(ends, SIGCONT);
		wait_until(&s, log_now_ms() + EXEC_GRACE_MS, has_ended);
	}
	kill_all(ctx); /* also what the program left behind: nothing outlives its session */
	wait_until(&s, log_now_ms() + EXEC_DRAIN_MS, has_drained);
	exec_put(&s.to_caller, EXEC_EXIT, (uint32_t)(s.status < 0 ? 128 + SIGKILL : s.status), 0);
	if (!s.closed)
		last_word(stream, ear, &s.to_caller, s.is_gone);
	if (ends->tty)
		ends->in = -1;
	fd_close(&ends->in);
	fd_close(&ends->out);
	fd_close(&ends->err);
	fd_close(&s.signals);
	buf_deinit(&s.to_caller);
	buf_deinit(&s.to_program);
}

int exec_wait_start(int stream, struct exec_ear *ear, struct exec_program *ret)
{
	char bytes[CHUNK];

	for (;;) {
		struct pollfd p = { .fd = stream, .events = POLLIN };
		struct exec_frame f;
		struct str s;
		ssize_t n;
		int r;

		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return -errno;
		n = read(stream, bytes, exec_ear_wants(ear));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return -EPIPE;
		s = (struct str){ bytes, (size_t)n };
		if ((r = exec_ear_take(ear, &s, &f)) < 0)
			return r;
		if (r == EXEC_EAR_FRAME && f.type == EXEC_START)
			return exec_start_decode(f.data, ret);
	}
}

void exec_refuse(int stream, struct exec_ear *ear, const char *sentence)
{
	AUTO_BUF struct buf b = { 0 };

	unblock(stream);
	exec_put_failed(&b, sentence);
	last_word(stream, ear, &b, false);
}

struct relaying {
	int caller, server;
	struct exec_ear from_caller, from_server;
	struct buf to_caller, to_server;
	bool is_gone; /* the caller */
	bool is_over; /* the server said its last */
	uint64_t until_ms;
};

static void caller_gone(struct relaying *r)
{
	if (r->is_gone)
		return;
	r->is_gone = true;
	r->to_caller.len = 0;
	r->until_ms = log_now_ms() + EXEC_LINGER_MS;
	if (!r->is_over) /* else it was told already */
		exec_put(&r->to_server, EXEC_HANGUP, 0, 0);
}

/* Reads frames from FD into TO. 1: more may come, 0: nothing comes any more, negative: nonsense. */
static int carry(int fd, struct exec_ear *ear, struct buf *to, bool keep)
{
	char bytes[CHUNK];
	ssize_t n = read(fd, bytes, sizeof(bytes));
	struct str p = { bytes, n > 0 ? (size_t)n : 0 };
	struct exec_frame f;
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 1;
	if (n <= 0)
		return 0;
	while ((r = exec_ear_take(ear, &p, &f)) == EXEC_EAR_FRAME)
		if (f.type == EXEC_HANGUP)
			return 0;
		else if (keep)
			exec_put_frame(to, &f);
	return r < 0 ? r : 1;
}

static int relay_once(struct relaying *r)
{
	struct pollfd all[] = {
		{ .fd = r->is_gone ? -1 : r->caller,
		  .events = (short)((r->to_server.len < RELAY_MAX ? POLLIN : 0) | (r->to_caller.len ? POLLOUT : 0)) },
		{ .fd = r->server, .events = (short)((r->to_caller.len < QUEUE_MAX && !r->is_over ? POLLIN : 0) | (r->to_server.len ? POLLOUT : 0)) },
	};
	uint64_t now = log_now_ms();
	int ret;

	if (r->is_over && !r->to_caller.len && !r->until_ms) /* HANGUP alone is left to be said, by the caller too */
		r->until_ms = now + EXEC_LINGER_MS;
	if (r->until_ms && now >= r->until_ms)
		return -ETIMEDOUT;
	if (poll(all, ARRAY_LEN(all), r->until_ms ? (int)(r->until_ms - now) : -1) < 0)
		return errno == EINTR ? 0 : -errno;
	if (all[1].revents & (POLLIN | POLLHUP | POLLERR) && !r->is_over) {
		if ((ret = carry(r->server, &r->from_server, &r->to_caller, !r->is_gone)) <= 0)
			return ret ? ret : -EPIPE;
		if (r->from_server.over) {
			r->is_over = true;
			if (!r->is_gone)
				exec_put(&r->to_server, EXEC_HANGUP, 0, 0);
		}
	}
	if (all[0].revents & (POLLIN | POLLHUP | POLLERR) && carry(r->caller, &r->from_caller, &r->to_server, !r->is_over) <= 0)
		caller_gone(r);
	if (!r->is_gone && !flush(r->caller, &r->to_caller))
		caller_gone(r);
	return flush(r->server, &r->to_server) ? 0 : -EPIPE;
}

int exec_relay(int caller, int server, struct str first)
{
	static struct relaying r;
	int ret = 0;

	r = (struct relaying){ .caller = caller, .server = server, .from_caller.from = EXEC_FROM_CALLER, .from_server.from = EXEC_FROM_SERVER };
	unblock(caller);
	unblock(server);
	buf_add(&r.to_server, first);
	if (!flush(server, &r.to_server))
		ret = -EPIPE;
	while (!ret && !(r.is_over && !r.to_server.len && r.is_gone))
		ret = relay_once(&r);
	if (ret && !r.is_gone && !r.is_over) {
		exec_put_failed(&r.to_caller, "the machine ended, or speaks what no machine speaks");
		(void)flush(caller, &r.to_caller);
	}
	if (ret && r.is_over && !r.to_server.len)
		ret = 0; /* it was the caller who did not come to the end */
	buf_deinit(&r.to_caller);
	buf_deinit(&r.to_server);
	return ret;
}
