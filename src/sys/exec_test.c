/* Real programs behind exec_serve(), in a process of its own as everywhere; the test is the caller. */
#include "sys/exec.h"

#include "test/t.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <utmp.h>

enum { DEADLINE_MS = 20000 };

struct session {
	int fd;
	pid_t server, relay;
	struct exec_ear ear;
	struct buf out, err;
	int status;      /* -1 = none yet */
	uint32_t credit;
	char failed[EXEC_WORD_MAX + 1];
};

static void kill_group(void *ctx)
{
	kill(-*(pid_t *)ctx, SIGKILL);
}

static pid_t spawn(const char *const *argv, const int stdio[static 3], int tty)
{
	pid_t pid = fork();
	sigset_t none;

	if (pid)
		return pid;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGHUP, SIG_DFL); /* under nohup(1) it would be ignored */
	setsid();
	for (int i = 0; i < 3; i++)
		dup2(tty >= 0 ? tty : stdio[i], i);
	if (tty >= 0)
		login_tty(0);
	execvp(argv[0], (char **)argv);
	_exit(127);
}

[[noreturn]] static void serve(int fd)
{
	static struct exec_ear ear = { .from = EXEC_FROM_RUNNER };
	struct exec_program p;

	while (!exec_wait_start(fd, &ear, &p)) { /* one session after the other, as on a port of a virtual machine */
		struct exec_ends ends = { .tty = p.tty, .in = -1, .out = -1, .err = -1 };
		int in[2], out[2], err[2], slave = -1;

		if (!strcmp(p.argv[0], "refuse")) {
			exec_refuse(fd, &ear, "no such\nthing");
			continue;
		}
		if (p.tty) {
			ends.in = ends.out = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
			grantpt(ends.in);
			unlockpt(ends.in);
			slave = open(ptsname(ends.in), O_RDWR | O_NOCTTY | O_CLOEXEC);
			exec_resize(ends.in, p.rows, p.cols);
		}
		if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
			_exit(1);
		ends.pid = spawn(p.argv, (int[]){ in[0], out[1], err[1] }, slave);
		fd_close(&slave);
		close(in[0]);
		close(out[1]);
		close(err[1]);
		if (!p.tty) {
			ends.in = in[1];
			ends.out = out[0];
			ends.err = err[0];
		} else {
			close(in[1]);
			close(out[0]);
			close(err[0]);
		}
		pid_t pid = ends.pid;
		exec_serve(fd, &ear, &ends, kill_group, &pid);
	}
	_exit(0);
}

static void say(struct session *s, struct buf *b)
{
	T_CHECK(write(s->fd, b->p, b->len) == (ssize_t)b->len, "say");
	b->len = 0;
}

/* The server's end of a pair is kept open by the test, as QEMU keeps a port open: *RET_PORT. */
static struct exec_program program_of(bool tty, const char *script)
{
	return (struct exec_program){
		.tty = tty, .rows = 24, .cols = 80, .user = "", .workdir = "", .term = "", .argv = { "/bin/sh", "-c", script }
	};
}

static void begin(struct session *s, const struct exec_program *p, bool relayed)
{
	AUTO_BUF struct buf b = { 0 };
	int pair[2], port[2];

	*s = (struct session){ .status = -1, .ear.from = EXEC_FROM_SERVER };
	T_NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, port), "pairs");
	s->fd = pair[0];
	T_NEED(!exec_put_start(&b, p, NULL), "start");
	fflush(stdout);
	s->server = fork();
	if (!s->server) {
		close(pair[0]);
		close(relayed ? pair[1] : port[1]);
		close(port[0]);
		serve(relayed ? port[1] : pair[1]);
	}
	if (relayed) {
		s->relay = fork();
		if (!s->relay) {
			close(pair[0]);
			close(port[1]);
			_exit(exec_relay(pair[1], port[0], buf_str(&b)) ? 1 : 0);
		}
	}
	close(port[0]);
	close(port[1]);
	close(pair[1]);
	if (!relayed)
		say(s, &b);
}

static void hear(struct session *s, const struct exec_frame *f)
{
	switch (f->type) {
	case EXEC_OUT:
		buf_add(&s->out, f->data);
		break;
	case EXEC_ERR:
		buf_add(&s->err, f->data);
		break;
	case EXEC_CREDIT:
		s->credit += f->a;
		break;
	case EXEC_EXIT:
		s->status = (int)f->a;
		break;
	default:
		s->status = EXEC_STATUS_FAILED;
		snprintf(s->failed, sizeof(s->failed), STR_FMT, STR_ARG(f->data));
	}
}

/* Until the output ends with WANT (NULL: until the last word). */
static bool listen_for(struct session *s, const char *want)
{
	for (;;) {
		struct pollfd p = { .fd = s->fd, .events = POLLIN };
		struct exec_frame f;
		char bytes[4096];
		struct str rest;
		ssize_t n;
		int r;

		if (want && s->out.len && strstr(s->out.p, want))
			return true;
		if (s->status >= 0)
			return !want;
		if (poll(&p, 1, DEADLINE_MS) <= 0 || (n = read(s->fd, bytes, sizeof(bytes))) <= 0)
			return false;
		rest = (struct str){ bytes, (size_t)n };
		while ((r = exec_ear_take(&s->ear, &rest, &f)) == EXEC_EAR_FRAME)
			hear(s, &f);
		if (r < 0)
			return false;
	}
}

static void end(struct session *s)
{
	int status;

	fd_close(&s->fd);
	if (s->relay) {
		waitpid(s->relay, &status, 0);
		T_CHECK(WIFEXITED(status) && !WEXITSTATUS(status), "the relay did not leave the port clean");
	}
	T_CHECK(waitpid(s->server, &status, 0) == s->server && WIFEXITED(status) && !WEXITSTATUS(status), "the server");
	buf_deinit(&s->out);
	buf_deinit(&s->err);
}

static void streams_and_status(void)
{
	for (int relayed = 0; relayed < 2; relayed++) {
		struct exec_program p = program_of(false, "cat; echo wrong >&2; exit 7");
		AUTO_BUF struct buf b = { 0 };
		static struct session s;

		begin(&s, &p, relayed);
		exec_put_data(&b, EXEC_STDIN, S("to and fro\n"));
		exec_put(&b, EXEC_EOF, 0, 0);
		say(&s, &b);
		T_CHECK(listen_for(&s, NULL) && s.status == 7, "status %d", s.status);
		T_CHECK(str_eq(buf_str(&s.out), S("to and fro\n")) && str_eq(buf_str(&s.err), S("wrong\n")), "output");
		T_CHECK(s.credit == 11, "credit for %u bytes", s.credit);
		end(&s);
	}
}

static void signals_reach_the_program(void)
{
	struct exec_program p = program_of(false, "trap 'echo got; exit 3' INT; echo ready; while :; do sleep 0.01; done");
	AUTO_BUF struct buf b = { 0 };
	static struct session s;

	begin(&s, &p, true);
	T_CHECK(listen_for(&s, "ready"), "ready");
	exec_put(&b, EXEC_SIGNAL, SIGINT, 0);
	say(&s, &b);
	T_CHECK(listen_for(&s, NULL) && s.status == 3 && strstr(s.out.p, "got"), "status %d", s.status);
	end(&s);
}

static void a_terminal(void)
{
	struct exec_program p = program_of(true, "stty size; trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.01; done");
	AUTO_BUF struct buf b = { 0 };
	static struct session s;

	begin(&s, &p, false);
	T_CHECK(listen_for(&s, "ready") && strstr(s.out.p, "24 80\r\n"), "'%s'", s.out.p);
	exec_put(&b, EXEC_RESIZE, 50, 132);
	say(&s, &b);
	T_CHECK(listen_for(&s, NULL) && s.status == 4 && strstr(s.out.p, "50 132"), "%d '%s'", s.status, s.out.p);
	end(&s);
}

static void nothing_outlives_its_session(void)
{
	for (int relayed = 0; relayed < 2; relayed++) {
		struct exec_program p = program_of(false, "trap '' HUP; sleep 1000 & echo \"$$ $! ready\"; wait");
		static struct session s;
		char *rest;
		pid_t ids[2];
		struct pollfd child;

		begin(&s, &p, relayed);
		T_NEED(listen_for(&s, "ready"), "ready");
		ids[0] = (pid_t)strtol(s.out.p, &rest, 10);
		ids[1] = (pid_t)strtol(rest, NULL, 10);
		child = (struct pollfd){ .fd = pidfd_open(ids[1], 0), .events = POLLIN };
		T_NEED(ids[0] > 0 && !kill(ids[0], 0) && child.fd >= 0 && !poll(&child, 1, 0), "they do not run: %s", s.out.p);
		end(&s);
		T_CHECK(kill(ids[0], 0) && errno == ESRCH, "the program is there still");
		T_CHECK(poll(&child, 1, DEADLINE_MS) == 1, "its child runs still");
		close(child.fd);
	}
}

/* On a port, HANGUP and the next START may come in one piece. */
static void one_session_follows_the_other(void)
{
	struct exec_program first = program_of(false, "echo one"), second = program_of(false, "cat; echo two; exit 2");
	AUTO_BUF struct buf b = { 0 };
	static struct session s;

	begin(&s, &first, false);
	T_CHECK(listen_for(&s, NULL) && !strcmp(s.out.p, "one\n"), "%s", s.out.p);
	exec_put(&b, EXEC_HANGUP, 0, 0);
	T_NEED(!exec_put_start(&b, &second, NULL), "start");
	exec_put_data(&b, EXEC_STDIN, S("between, "));
	exec_put(&b, EXEC_EOF, 0, 0);
	s.ear = (struct exec_ear){ .from = EXEC_FROM_SERVER };
	s.status = -1;
	s.out.len = 0;
	say(&s, &b);
	T_CHECK(listen_for(&s, NULL) && s.status == 2 && !strcmp(s.out.p, "between, two\n"), "%d %s", s.status, s.out.p);
	end(&s);
}

static void too_much_input_ends_it(void)
{
	struct exec_program p = program_of(false, "echo ready; exec sleep 1000");
	AUTO_FREE char *bytes = calloc(1, 4 * EXEC_WINDOW);
	AUTO_BUF struct buf b = { 0 };
	static struct session s;

	begin(&s, &p, false);
	T_CHECK(listen_for(&s, "ready"), "ready");
	exec_put_data(&b, EXEC_STDIN, (struct str){ bytes, 4 * EXEC_WINDOW });
	(void)!send(s.fd, b.p, b.len, MSG_NOSIGNAL);
	T_CHECK(listen_for(&s, NULL) && s.status == 128 + SIGHUP, "status %d", s.status);
	end(&s);
}

static void a_slow_reader_gets_all(void)
{
	struct exec_program p = program_of(false, "head -c 3000000 /dev/zero; exit 9");
	static struct session s;

	begin(&s, &p, true);
	T_CHECK(listen_for(&s, NULL) && s.status == 9 && s.out.len == 3000000, "%zu bytes, status %d", s.out.len, s.status);
	end(&s);
}

static void a_refusal_is_a_sentence(void)
{
	struct exec_program p = { .user = "", .workdir = "", .term = "", .argv = { "refuse" } };
	static struct session s;

	begin(&s, &p, true);
	T_CHECK(listen_for(&s, NULL) && !strcmp(s.failed, "no such?thing"), "'%s'", s.failed);
	end(&s);
}

/* Closed over what nobody read, a socket takes with it what the caller has not read yet: the machine waits for HANGUP. */
static void late_input_takes_nothing_away(void)
{
	for (int relayed = 0; relayed < 2; relayed++) {
		struct exec_program p = { .user = "", .workdir = "", .term = "", .argv = { "refuse" } };
		AUTO_BUF struct buf b = { 0 };
		static struct session s;
		char c;

		begin(&s, &p, relayed);
		T_CHECK(listen_for(&s, NULL) && s.failed[0], "refused");
		exec_put(&b, EXEC_EOF, 0, 0);
		say(&s, &b);
		exec_put(&b, EXEC_HANGUP, 0, 0);
		say(&s, &b);
		if (relayed) /* the other server waits on this stream for the next START */
			T_CHECK(read(s.fd, &c, 1) == 0, "the end came as %s", strerror(errno));
		end(&s);
	}
}

int main(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	T_RUN(streams_and_status);
	T_RUN(signals_reach_the_program);
	T_RUN(a_terminal);
	T_RUN(nothing_outlives_its_session);
	T_RUN(one_session_follows_the_other);
	T_RUN(too_much_input_ends_it);
	T_RUN(a_slow_reader_gets_all);
	T_RUN(a_refusal_is_a_sentence);
	T_RUN(late_input_takes_nothing_away);
	return T_END();
}
