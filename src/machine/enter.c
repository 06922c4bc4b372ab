/* crun exec joins the container's namespaces, its capabilities, its seccomp filter and a control group of its own below the container's;
 * it leaves the program to this process, its subreaper, and ends. What the program leaves behind is killed with that group. */
#include "machine/enter.h"

#include "base/file.h"
#include "base/parse.h"
#include "machine/look.h"
#include "machine/oci.h"
#include "machine/root.h"
#include "machine/session.h"
#include "sys/cgroup.h"
#include "sys/exec.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

struct entering {
	const struct runner *r;
	char process[128], pid[128], socket[128], cgroup[160], sub[16];
};

static int socket_listen(const char *path, int *ret, struct err *e)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 1))
		return err_set(e, -errno, "listen for the terminal: %m");
	*ret = take_fd(fd);
	return 0;
}

/* The terminal's master, which crun sent before it ended. */
static int master_take(int listener, int *ret, struct err *e)
{
	AUTO_FD int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))];
	char bytes[64];
	struct iovec part = { bytes, sizeof(bytes) };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
	struct cmsghdr *c;

	if (fd < 0 || recvmsg(fd, &m, MSG_CMSG_CLOEXEC) < 0)
		return err_set(e, -errno, "take the terminal: %m");
	c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
		return err_set(e, -EPROTO, "take the terminal: crun sent none");
	memcpy(ret, CMSG_DATA(c), sizeof(int));
	return 0;
}

/* crun's last line, where the program's errors would go. */
static int crun_failed(int from, struct err *e)
{
	char text[512], *line = text, *at;
	ssize_t n;

	fcntl(from, F_SETFL, O_NONBLOCK);
	n = read(from, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	while ((at = strchr(line, '\n')) && at[1])
		line = at + 1;
	line[strcspn(line, "\n")] = '\0';
	return err_set(e, -EIO, "%s", line[0] ? line : "crun could not start it");
}

static int crun_exec(const struct entering *n, bool tty, const int stdio[static 3], int complaints, struct err *e)
{
	static const char *const env[] = { "PATH=/usr/sbin:/usr/bin", NULL };
	char state[128];
	const char *argv[] = { "crun",
			       "--root",
			       state,
			       "--cgroup-manager=cgroupfs",
			       "exec",
			       "--detach",
			       "--pid-file",
			       n->pid,
			       "--process",
			       n->process,
			       "--cgroup",
			       n->sub,
			       tty ? "--console-socket" : n->r->spec.id,
			       tty ? n->socket : NULL,
			       n->r->spec.id,
			       NULL };
	int status;
	pid_t pid;

	snprintf(state, sizeof(state), "%s/crun", n->r->dir);
	pid = fork();
	if (pid < 0)
		return err_set(e, -errno, "start crun: %m");
	if (!pid) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		for (int i = 0; i < 3; i++)
			dup2(stdio[i], i);
		execve("/usr/bin/crun", (char **)argv, (char **)env);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status ? crun_failed(complaints, e) : 0;
}

static int pid_read(const struct entering *n, pid_t *ret, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	uint64_t pid;
	int r = file_read(AT_FDCWD, n->pid, 32, &text, e);

	if (r || parse_u64(buf_str(&text), INT32_MAX, &pid))
		return r ? r : err_set(e, -EIO, "crun named no process");
	*ret = (pid_t)pid;
	return 0;
}

static int start(const struct entering *n, const struct exec_program *p, struct exec_ends *ret, struct err *e)
{
	AUTO_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	AUTO_FD int listener = -1, theirs_in = -1, theirs_out = -1, theirs_err = -1, in = -1, out = -1, err = -1, master = -1;
	int a[2], b[2], c[2], r;

	if (pipe2(a, O_CLOEXEC) || pipe2(b, O_CLOEXEC) || pipe2(c, O_CLOEXEC))
		return err_set(e, -errno, "make pipes: %m");
	theirs_in = a[0];
	in = a[1];
	out = b[0];
	theirs_out = b[1];
	err = c[0];
	theirs_err = c[1];
	if (p->tty && (r = socket_listen(n->socket, &listener, e)))
		return r;
	r = crun_exec(n, p->tty, (int[]){ p->tty ? null : theirs_in, p->tty ? null : theirs_out, theirs_err }, err, e);
	if (r || (r = pid_read(n, &ret->pid, e)) || (p->tty && (r = master_take(listener, &master, e))))
		return r;
	ret->tty = p->tty;
	if (p->tty) {
		ret->in = ret->out = take_fd(master);
		return 0;
	}
	ret->in = take_fd(in);
	ret->out = take_fd(out);
	ret->err = take_fd(err);
	return 0;
}

static void group_kill(void *ctx)
{
	const struct entering *n = ctx;

	(void)!cgroup_kill(n->cgroup, NULL);
}

static int prepare(const struct entering *n, const char *root, const struct exec_program *p, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	struct user user;
	int r;

	if ((r = look_user(root, root_uid_base(&n->r->spec), p->user[0] ? p->user : n->r->spec.user, &user, e)) ||
	    (r = oci_process_format(&n->r->spec, p, &user, &text, e)) || (r = cgroup_make(n->cgroup, e)))
		return r;
	return file_save(AT_FDCWD, n->process, buf_str(&text), 0600, e);
}

int enter_container(const struct runner *r, const char *root, unsigned slot, const struct exec_program *p, int stream)
{
	static struct exec_ear ear = { .from = EXEC_FROM_CALLER };
	struct exec_ends ends = { .in = -1, .out = -1, .err = -1 };
	struct entering n = { .r = r };
	struct err e = { 0 };

	snprintf(n.sub, sizeof(n.sub), "exec-%u", slot);
	snprintf(n.cgroup, sizeof(n.cgroup), "%s/run/%s", r->box_group, n.sub);
	snprintf(n.process, sizeof(n.process), "%s/exec-%u.json", r->dir, slot);
	snprintf(n.pid, sizeof(n.pid), "%s/exec-%u.pid", r->dir, slot);
	snprintf(n.socket, sizeof(n.socket), "%s/exec-%u.sock", r->dir, slot);
	session_keep(stream, -1);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (prepare(&n, root, p, &e) || start(&n, p, &ends, &e))
		exec_refuse(stream, &ear, e.msg);
	else
		exec_serve(stream, &ear, &ends, group_kill, &n);
	group_kill(&n);
	/* also what crun forked and never told of: a process of the container's that nobody reaps would keep its PID namespace from ending */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	(void)!cgroup_remove(n.cgroup, NULL);
	unlink(n.process);
	unlink(n.pid);
	unlink(n.socket);
	return 0;
}
