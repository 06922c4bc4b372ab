#include "guest/program.h"

#include "base/file.h"
#include "base/log.h"
#include "guest/channel.h"
#include "guest/groups.h"
#include "guest/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { CHUNK = 16384, DRAIN_MS = 2000, STATUS_NONE = -1 };

/* Bytes on their way from a pipe of the program's to a port. */
struct flow {
	int from, to; /* from -1: over */
	size_t at, n;
	char bytes[CHUNK];
};

struct program {
	pid_t pid;
	int status; /* STATUS_NONE while it runs */
	int control, signals;
	struct flow flows[2];
	const struct guest_config *config;
	struct sessions *sessions;
};

static void flow_step(struct flow *f)
{
	ssize_t n;

	if (f->at == f->n) {
		n = read(f->from, f->bytes, sizeof(f->bytes));
		if (n <= 0) {
			if (!n || (errno != EAGAIN && errno != EINTR))
				fd_close(&f->from);
			return;
		}
		f->at = 0;
		f->n = (size_t)n;
	}
	n = write(f->to, f->bytes + f->at, f->n - f->at);
	if (n > 0)
		f->at += (size_t)n;
}

static struct pollfd flow_wants(const struct flow *f)
{
	if (f->at < f->n)
		return (struct pollfd){ .fd = f->to, .events = POLLOUT };
	return (struct pollfd){ .fd = f->from, .events = POLLIN };
}

static void reap(struct program *p)
{
	struct signalfd_siginfo si;
	int status;
	pid_t pid;

	(void)!read(p->signals, &si, sizeof(si));
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == p->pid)
			p->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		sessions_reaped(p->sessions, pid);
	}
}

static void signal_forward(struct program *p)
{
	int number = channel_signal(p->control);

	if (number > 0)
		kill(p->pid, number);
	else
		fd_close(&p->control); /* the runner is gone or talks nonsense: go on with the work */
}

static void wait_once(struct program *p, int timeout_ms)
{
	struct pollfd all[4 + EXEC_SESSIONS_MAX] = {
		{ .fd = p->signals, .events = POLLIN }, { .fd = p->control, .events = POLLIN }, flow_wants(&p->flows[0]), flow_wants(&p->flows[1])
	};

	sessions_want(p->sessions, all + 4);
	if (poll(all, ARRAY_LEN(all), timeout_ms) <= 0)
		return;
	if (all[0].revents)
		reap(p);
	if (all[1].revents)
		signal_forward(p);
	for (size_t i = 0; i < ARRAY_LEN(p->flows); i++)
		if (all[2 + i].revents)
			flow_step(&p->flows[i]);
	if (p->status == STATUS_NONE)
		sessions_begin(p->sessions, p->config, all + 4);
}

static bool flows_over(const struct program *p)
{
	return p->flows[0].from < 0 && p->flows[1].from < 0;
}

/* What the program said last must get out; whoever else held its pipes has just been killed. */
static void drain(struct program *p)
{
	uint64_t until_ms = log_now_ms() + DRAIN_MS;

	kill(-1, SIGKILL);
	while (!flows_over(p) && log_now_ms() < until_ms)
		wait_once(p, DRAIN_MS);
}

static int start(struct program *p, const struct guest_config *c, const struct program_ports *ports, struct err *e)
{
	AUTO_FD int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	AUTO_FD int out = -1, err = -1;
	char group[CGROUP_PATH_MAX];
	int pipes[2][2], r;

	if ((r = dir_make(c->workdir, 0755, e)) || (r = groups_open(e)) || (r = groups_make("program", group, e)))
		return r;
	if (null < 0 || pipe2(pipes[0], O_CLOEXEC) || pipe2(pipes[1], O_CLOEXEC))
		return err_set(e, -errno, "make the program's standard files: %m");
	p->flows[0] = (struct flow){ .from = pipes[0][0], .to = ports->out };
	p->flows[1] = (struct flow){ .from = pipes[1][0], .to = ports->err };
	out = pipes[0][1];
	err = pipes[1][1];
	for (size_t i = 0; i < ARRAY_LEN(p->flows); i++)
		fcntl(p->flows[i].from, F_SETFL, O_NONBLOCK);
	struct spawn s = {
		.config = c, .user = c->user, .workdir = c->workdir, .term = "", .argv = c->argv, .group = group, .stdio = { null, out, err }
	};
	return spawn_program(&s, &p->pid, e);
}

int program_run(const struct guest_config *c, const struct program_ports *ports, struct err *e)
{
	static struct program p;
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	p = (struct program){ .status = STATUS_NONE,
			      .control = ports->control,
			      .signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
			      .config = c,
			      .sessions = ports->sessions };
	if (p.signals < 0)
		return err_set(e, -errno, "watch for children: %m");
	if ((r = start(&p, c, ports, e)))
		return r;
	channel_ready(ports->control);
	while (p.status == STATUS_NONE)
		wait_once(&p, -1);
	drain(&p);
	return p.status;
}
