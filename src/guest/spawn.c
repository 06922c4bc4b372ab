#include "guest/spawn.h"

#include "base/file.h"
#include "sys/cgroup.h"
#include "sys/user.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>

enum { PASSWD_MAX = 1 << 20 };

static int user_find(const char *text, struct user *ret, struct err *e)
{
	AUTO_BUF struct buf passwd = { 0 }, group = { 0 };

	(void)!file_read(AT_FDCWD, "/etc/passwd", PASSWD_MAX, &passwd, NULL);
	(void)!file_read(AT_FDCWD, "/etc/group", PASSWD_MAX, &group, NULL);
	return user_resolve(str_c(text), buf_str(&passwd), buf_str(&group), ret, e);
}

static void environment_set(const struct spawn *s, const struct user *u)
{
	clearenv();
	for (size_t i = 0; s->config->env[i]; i++)
		putenv((char *)s->config->env[i]);
	setenv("HOME", u->home, 0);
	if (s->term[0])
		setenv("TERM", s->term, 1);
}

static int become(const struct user *u)
{
	gid_t groups[USER_GROUPS_MAX + 1] = { u->gid };

	for (uint32_t i = 0; i < u->n_groups; i++)
		groups[i + 1] = u->groups[i];
	return setgroups(u->n_groups + 1, groups) || setresgid(u->gid, u->gid, u->gid) || setresuid(u->uid, u->uid, u->uid) ? -1 : 0;
}

/* Ends with the errno in the pipe SAY, or by becoming the program, which closes it. */
[[noreturn]] static void child(const struct spawn *s, const struct user *u, int say)
{
	char path[CGROUP_PATH_MAX + 16];
	sigset_t none;
	int failed;

	if (s->group[0]) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", s->group);
		(void)!file_poke(AT_FDCWD, path, S("0"), NULL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	for (int i = 0; i < 3; i++)
		if (dup2(s->stdio[i], i) < 0 || ((i || s->tty) && fchown(i, u->uid, u->gid))) /* it may open /dev/stdout anew */
			_exit(125);
	environment_set(s, u);
	if (setsid() >= 0 && (!s->tty || !ioctl(0, TIOCSCTTY, 0)) && !become(u) && !chdir(s->workdir))
		execvp(s->argv[0], (char **)s->argv);
	failed = errno;
	(void)!write(say, &failed, sizeof(failed));
	_exit(127);
}

int spawn_program(const struct spawn *s, pid_t *ret, struct err *e)
{
	int say[2], failed = 0, r;
	struct user u;
	pid_t pid;

	if ((r = user_find(s->user, &u, e)))
		return r;
	if (pipe2(say, O_CLOEXEC))
		return err_set(e, -errno, "make a pipe: %m");
	pid = fork();
	if (!pid)
		child(s, &u, say[1]);
	close(say[1]);
	AUTO_FD int from = say[0];
	if (pid < 0)
		return err_set(e, -errno, "fork: %m");
	if (read(from, &failed, sizeof(failed)) == sizeof(failed))
		return err_set(e, -failed, "run %.100s in %.40s: %s", s->argv[0], s->workdir, strerror(failed));
	*ret = pid;
	return 0;
}
