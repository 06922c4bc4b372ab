#include "machine/look.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { FILE_MAX = 1 << 20 };

struct answer {
	int32_t r;
	struct user user;
	char why[160];
};

/* Opened without waiting, so that a FIFO holds up nobody. */
static void slurp(const char *path, struct buf *ret)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char bytes[16384];
	ssize_t n;

	ret->limit = FILE_MAX;
	while (fd >= 0 && (n = read(fd, bytes, sizeof(bytes))) > 0 && !buf_check(ret))
		buf_add_bytes(ret, bytes, (size_t)n);
}

[[noreturn]] static void child(const char *root, uint32_t uid, const char *text, int to)
{
	AUTO_BUF struct buf passwd = { 0 }, group = { 0 };
	const struct rlimit none = { 0, 0 }, memory = { 64 << 20, 64 << 20 };
	struct answer a = { 0 };
	struct err e = { 0 };

	if (to != 3 && dup2(to, 3) != 3)
		_exit(1);
	close_range(4, ~0u, 0);
	if (chroot(root) || chdir("/") || setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || setrlimit(RLIMIT_NPROC, &none) ||
	    setrlimit(RLIMIT_DATA, &memory))
		_exit(1);
	slurp("/etc/passwd", &passwd);
	slurp("/etc/group", &group);
	a.r = user_resolve(str_c(text), buf_str(&passwd), buf_str(&group), &a.user, &e);
	snprintf(a.why, sizeof(a.why), "%s", e.msg);
	_exit(write(3, &a, sizeof(a)) == sizeof(a) ? 0 : 1);
}

/* The child is of the container's making by now: its answer is checked like a stranger's. */
static int answer_take(struct answer *a, struct user *ret, struct err *e)
{
	struct user *u = &a->user;

	if (a->r) {
		a->why[sizeof(a->why) - 1] = '\0';
		for (char *c = a->why; *c; c++)
			*c = *c < ' ' || *c > '~' ? '?' : *c;
		return err_set(e, a->r == -ENOENT ? -ENOENT : -EBADMSG, "%s", a->why);
	}
	if (u->uid > USER_ID_MAX || u->gid > USER_ID_MAX || u->n_groups > USER_GROUPS_MAX || !memchr(u->home, '\0', sizeof(u->home)))
		return err_set(e, -EBADMSG, "look up the machine's user: no sense in the answer");
	for (uint32_t i = 0; i < u->n_groups; i++)
		if (u->groups[i] > USER_ID_MAX)
			return err_set(e, -EBADMSG, "look up the machine's user: no sense in the answer");
	*ret = *u;
	return 0;
}

int look_user(const char *root, uint32_t uid_base, const char *text, struct user *ret, struct err *e)
{
	struct answer a;
	struct pollfd p;
	int fd[2], r;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC))
		return err_set(e, -errno, "make a pipe: %m");
	pid = fork();
	if (!pid)
		child(root, uid_base, text, fd[1]);
	close(fd[1]);
	AUTO_FD int from = fd[0];
	if (pid < 0)
		return err_set(e, -errno, "fork: %m");
	p = (struct pollfd){ .fd = from, .events = POLLIN };
	r = poll(&p, 1, LOOK_TIMEOUT_MS);
	if (r <= 0)
		r = err_set(e, -ETIMEDOUT, "the image's passwd and group could not be read in %d s", LOOK_TIMEOUT_MS / 1000);
	else if (read(from, &a, sizeof(a)) != sizeof(a)) /* one write of less than PIPE_BUF: whole or not at all */
		r = err_set(e, -EIO, "look up the machine's user: the reader failed");
	else
		r = answer_take(&a, ret, e);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}
