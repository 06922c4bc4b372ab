#include "guest/session.h"

#include "base/log.h"
#include "guest/channel.h"
#include "guest/groups.h"
#include "guest/spawn.h"
#include "sys/exec.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

int sessions_open(struct sessions *s, struct err *e)
{
	int r = 0;

	for (unsigned i = 0; i < EXEC_SESSIONS_MAX && !r; i++)
		r = channel_open(GUEST_PORT_EXEC + i, O_RDWR | O_NONBLOCK, &s->ports[i], e);
	return r;
}

void sessions_want(const struct sessions *s, struct pollfd *ret)
{
	for (size_t i = 0; i < EXEC_SESSIONS_MAX; i++)
		ret[i] = (struct pollfd){ .fd = s->pids[i] ? -1 : s->ports[i], .events = POLLIN };
}

struct inside {
	pid_t pid;
	char group[CGROUP_PATH_MAX]; /* "" = this kernel has none */
};

static void kill_all(void *ctx)
{
	const struct inside *in = ctx;

	if (in->group[0])
		(void)!cgroup_kill(in->group, NULL);
	kill(-in->pid, SIGKILL);
}

static int ends_make(const struct exec_program *p, struct exec_ends *ends, int theirs[static 3], struct err *e)
{
	int pipes[3][2];

	if (p->tty) {
		char name[64];

		ends->in = ends->out = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (ends->in < 0 || unlockpt(ends->in) || ptsname_r(ends->in, name, sizeof(name)) ||
		    (theirs[0] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0)
			return err_set(e, -errno, "make a terminal: %m");
		theirs[1] = theirs[2] = theirs[0];
		exec_resize(ends->in, p->rows, p->cols);
		return 0;
	}
	for (int i = 0; i < 3; i++)
		if (pipe2(pipes[i], O_CLOEXEC))
			return err_set(e, -errno, "make a pipe: %m");
	ends->in = pipes[0][1];
	ends->out = pipes[1][0];
	ends->err = pipes[2][0];
	theirs[0] = pipes[0][0];
	theirs[1] = pipes[1][1];
	theirs[2] = pipes[2][1];
	return 0;
}

[[noreturn]] static void serve(const struct guest_config *c, int port, unsigned slot)
{
	static struct exec_ear ear = { .from = EXEC_FROM_RUNNER };
	struct exec_ends ends = { .in = -1, .out = -1, .err = -1 };
	struct exec_program p;
	struct inside in = { 0 };
	struct err e = { 0 };
	int theirs[3] = { -1, -1, -1 };
	char name[16];

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (exec_wait_start(port, &ear, &p))
		_exit(1);
	snprintf(name, sizeof(name), "exec-%u", slot);
	struct spawn s = { .config = c,
			   .user = p.user[0] ? p.user : c->user,
			   .workdir = p.workdir[0] ? p.workdir : c->workdir,
			   .term = p.term,
			   .argv = p.argv,
			   .group = in.group,
			   .tty = p.tty };
	ends.tty = p.tty;
	if (!groups_make(name, in.group, &e) && !ends_make(&p, &ends, theirs, &e)) {
		memcpy(s.stdio, theirs, sizeof(theirs));
		(void)!spawn_program(&s, &ends.pid, &e);
	}
	for (int i = 0; i < (p.tty ? 1 : 3); i++)
		fd_close(&theirs[i]);
	if (e.msg[0]) {
		exec_refuse(port, &ear, e.msg);
	} else {
		in.pid = ends.pid;
		exec_serve(port, &ear, &ends, kill_all, &in);
	}
	if (in.group[0])
		(void)!cgroup_remove(in.group, NULL);
	_exit(0);
}

void sessions_begin(struct sessions *s, const struct guest_config *c, const struct pollfd *seen)
{
	for (unsigned i = 0; i < EXEC_SESSIONS_MAX; i++) {
		if (!(seen[i].revents & POLLIN) || s->pids[i])
			continue;
		s->pids[i] = fork();
		if (!s->pids[i])
			serve(c, s->ports[i], i);
		if (s->pids[i] < 0)
			s->pids[i] = 0; /* tried again with the next look: the bytes wait */
	}
}

void sessions_reaped(struct sessions *s, pid_t pid)
{
	for (size_t i = 0; i < EXEC_SESSIONS_MAX; i++)
		if (s->pids[i] == pid)
			s->pids[i] = 0;
}
