#include "guest/program.h"

#include "base/file.h"
#include "base/log.h"
#include "guest/channel.h"
#include "sys/user.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { PASSWD_MAX = 1 << 20, CHUNK = 16384, DRAIN_MS = 2000, STATUS_NONE = -1 };

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
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == p->pid)
			p->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
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
	struct pollfd all[4] = { { .fd = p->signals, .events = POLLIN }, { .fd = p->control, .events = POLLIN },
		                 flow_wants(&p->flows[0]), flow_wants(&p->flows[1]) };

	if (poll(all, ARRAY_LEN(all), timeout_ms) <= 0)
		return;
	if (all[0].revents)
		reap(p);
	if (all[1].revents)
		signal_forward(p);
	for (size_t i = 0; i < ARRAY_LEN(p->flows); i++)
		if (all[2 + i].revents)
			flow_step(&p->flows[i]);
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

static int user_find(const struct guest_config *c, struct user *ret, struct err *e)
{
	AUTO_BUF struct buf passwd = { 0 }, group = { 0 };

	(void)!file_read(AT_FDCWD, "/etc/passwd", PASSWD_MAX, &passwd, NULL);
	(void)!file_read(AT_FDCWD, "/etc/group", PASSWD_MAX, &group, NULL);
	return user_resolve(str_c(c->user), buf_str(&passwd), buf_str(&group), ret, e);
}

static void environment_set(const struct guest_config *c, const struct user *u)
{
	clearenv();
	for (size_t i = 0; c->env[i]; i++)
		putenv((char *)c->env[i]);
	setenv("HOME", u->home, 0);
}

/* Ends with the errno in the pipe SAY, or by becoming the program, which closes it. */
[[noreturn]] static void child(const struct guest_config *c, const struct user *u, const int stdio[static 3], int say)
{
	sigset_t none;
	int failed;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int i = 0; i < 3; i++)
		if (dup2(stdio[i], i) < 0 || (i && fchown(i, u->uid, u->gid))) /* it may open /dev/stdout anew */
			_exit(125);
	environment_set(c, u);
	if (setsid() >= 0 && !setgroups(1, &u->gid) && !setresgid(u->gid, u->gid, u->gid) && !setresuid(u->uid, u->uid, u->uid) &&
	    !chdir(c->workdir))
		execvp(c->argv[0], (char **)c->argv);
	failed = errno;
	(void)!write(say, &failed, sizeof(failed));
	_exit(127);
}

static int spawn(struct program *p, const struct guest_config *c, const struct user *u, const int stdio[static 3], struct err *e)
{
	int say[2], failed = 0;

	if (pipe2(say, O_CLOEXEC))
		return err_set(e, -errno, "make a pipe: %m");
	p->pid = fork();
	if (!p->pid)
		child(c, u, stdio, say[1]);
	close(say[1]);
	AUTO_FD int from = say[0];
	if (p->pid < 0)
		return err_set(e, -errno, "fork: %m");
	if (read(from, &failed, sizeof(failed)) == sizeof(failed))
		return err_set(e, -failed, "run %.100s in %.40s: %s", c->argv[0], c->workdir, strerror(failed));
	return 0;
}

static int start(struct program *p, const struct guest_config *c, const struct program_ports *ports, struct err *e)
{
	AUTO_FD int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	AUTO_FD int out = -1, err = -1;
	int pipes[2][2], r;
	struct user u;

	if ((r = user_find(c, &u, e)) || (r = dir_make(c->workdir, 0755, e)))
		return r;
	if (null < 0 || pipe2(pipes[0], O_CLOEXEC) || pipe2(pipes[1], O_CLOEXEC))
		return err_set(e, -errno, "make the program's standard files: %m");
	p->flows[0] = (struct flow){ .from = pipes[0][0], .to = ports->out };
	p->flows[1] = (struct flow){ .from = pipes[1][0], .to = ports->err };
	out = pipes[0][1];
	err = pipes[1][1];
	for (size_t i = 0; i < ARRAY_LEN(p->flows); i++)
		fcntl(p->flows[i].from, F_SETFL, O_NONBLOCK);
	return spawn(p, c, &u, (int[]){ null, out, err }, e);
}

int program_run(const struct guest_config *c, const struct program_ports *ports, struct err *e)
{
	static struct program p;
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	p = (struct program){ .status = STATUS_NONE, .control = ports->control, .signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK) };
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
