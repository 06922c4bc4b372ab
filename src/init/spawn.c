#include "init/spawn.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { CAP_BITS = 64, SPAWN_FAILED = 127 };

/* What init handles is back to normal by CLONE_CLEAR_SIGHAND. */
static int signals_unblock(void)
{
	sigset_t none;

	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

static int stdio_set(const struct spawn *s)
{
	const char *in = s->service->tty ? s->service->tty : "/dev/null";
	int fd = open(in, O_RDWR | O_NONBLOCK | O_NOCTTY); /* a line without a peer would block the open */

	if (fd < 0 || dup2(fd, 0) < 0 || fcntl(0, F_SETFL, O_RDWR) < 0)
		return -1;
	if (s->service->tty)
		return ioctl(0, TIOCSCTTY, 1) || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 ? -1 : 0;
	return dup2(s->log_fd, 1) < 0 || dup2(s->log_fd, 2) < 0 ? -1 : 0;
}

/* Devices are opened here, as root, for a program that will not be. */
static int devices_set(const struct spawn *s)
{
	for (int i = 0; i < (int)ARRAY_LEN(s->service->opens); i++) {
		const char *path = s->service->opens[i];
		AUTO_FD int fd = path ? open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;

		if (path && fd < 0)
			fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (path && (fd < 0 || dup2(fd, i) < 0))
			return -1;
	}
	return 0;
}

static int limit_set(int what, rlim_t value)
{
	struct rlimit l = { value, value };

	return setrlimit(what, &l);
}

static int limits_set(const struct spawn *s)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", s->service->oom_score_adj);
	AUTO_FD int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)!write(fd, text, (size_t)n); /* raising it always works; lowering it needs root, which tests may lack */
	if (s->service->nofile && limit_set(RLIMIT_NOFILE, s->service->nofile))
		return -1;
	return limit_set(RLIMIT_CORE, 0); /* a core may hold keys */
}

/* The bounding set first: it needs CAP_SETPCAP, which may be among what goes. */
static int caps_bound(uint64_t keep)
{
	for (unsigned c = 0; c < CAP_BITS; c++)
		if (!(keep >> c & 1) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0))
			return errno == EINVAL ? 0 : -1; /* past the kernel's last */
	return 0;
}

/* Keeps the part of KEEP that init has: all of it on a node, less in a test. */
static int caps_set(uint64_t keep, bool is_root)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct have[2] = { 0 };

	if (syscall(SYS_capget, &head, have))
		return -1;
	keep &= have[0].permitted | (uint64_t)have[1].permitted << 32;
	uint32_t low = (uint32_t)keep, high = (uint32_t)(keep >> 32);
	struct __user_cap_data_struct data[2] = {
		{ .effective = low, .permitted = low, .inheritable = is_root ? 0 : low },
		{ .effective = high, .permitted = high, .inheritable = is_root ? 0 : high },
	};

	if (syscall(SYS_capset, &head, data))
		return -1;
	for (unsigned c = 0; !is_root && c < CAP_BITS; c++) /* a uid other than 0 keeps them over exec only this way */
		if ((keep >> c & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0))
			return -1;
	return 0;
}

static int identity_set(const struct spawn *s)
{
	const struct service *v = s->service;
	size_t n = 0;

	while (n < SERVICE_GROUPS_MAX && v->groups[n])
		n++;
	if (caps_bound(v->caps) || prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
		return -1;
	if (setgroups(n, v->groups) || setresgid(v->gid, v->gid, v->gid) || setresuid(v->uid, v->uid, v->uid))
		return -1;
	return caps_set(v->caps, !v->uid) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -1 : 0;
}

static int session_set(const struct spawn *s)
{
	(void)s;
	umask(022);
	return setsid() < 0 || chdir("/") ? -1 : 0;
}

static const struct {
	const char *doing;
	int (*set)(const struct spawn *s);
} steps[] = {
	{ "start a session", session_set },      { "open its standard input and output", stdio_set },
	{ "open its devices", devices_set },     { "set its limits", limits_set },
	{ "drop its privileges", identity_set },
};

[[noreturn]] static void child(const struct spawn *s)
{
	const struct service *v = s->service;
	const char *argv[SERVICE_ARGS_MAX + 1] = { 0 }, *envp[8] = { 0 };
	char notify[160];
	size_t n = 0;

	for (size_t i = 0; i < SERVICE_ARGS_MAX && v->argv[i]; i++)
		argv[i] = s->instance && !strcmp(v->argv[i], "%i") ? s->instance : v->argv[i];
	snprintf(notify, sizeof(notify), "NOTIFY_SOCKET=%s", s->notify_socket);
	envp[n++] = notify;
	envp[n++] = "PATH=/usr/sbin:/usr/bin";
	envp[n++] = "HOME=/";
	if (v->tty)
		envp[n++] = "TERM=linux";
	if (s->is_debug)
		envp[n++] = "ZOS_DEBUG=1";
	signals_unblock();
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (steps[i].set(s)) {
			dprintf(s->log_fd, "<3>cannot %s: %m\n", steps[i].doing);
			_exit(SPAWN_FAILED);
		}
	execve(argv[0], (char **)argv, (char **)envp);
	dprintf(s->log_fd, "<3>cannot run %s: %m\n", argv[0]);
	_exit(SPAWN_FAILED);
}

pid_t spawn(const struct spawn *s, struct err *e)
{
	AUTO_FD int group_fd = open(s->group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct clone_args args = { .flags = CLONE_INTO_CGROUP | CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD, .cgroup = (uint64_t)group_fd };
	long pid;

	if (group_fd < 0)
		return (pid_t)err_set(e, -errno, "open the group %s: %m", s->group);
	pid = syscall(SYS_clone3, &args, sizeof(args)); /* born there: it cannot fork before it is counted */
	if (pid < 0)
		return (pid_t)err_set(e, -errno, "fork: %m");
	if (!pid)
		child(s);
	return (pid_t)pid;
}
