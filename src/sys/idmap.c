#include "sys/idmap.h"

#include "base/file.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Child of idmap_open(): holds a new user namespace open until it is killed. */
[[noreturn]] static void userns_hold(int ready)
{
	char c = unshare(CLONE_NEWUSER) ? 'n' : 'y';

	if (write(ready, &c, 1) == 1)
		for (;;)
			pause();
	_exit(1);
}

int idmap_open(uint32_t base, uint32_t count, int *ret, struct err *e)
{
	char path[64], map[64], c = 'n';
	int pipe_fd[2], r = 0;
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC))
		return err_set(e, -errno, "make a pipe: %m");
	pid = fork();
	if (!pid)
		userns_hold(pipe_fd[1]);
	close(pipe_fd[1]);
	AUTO_FD int from = pipe_fd[0];
	if (pid < 0 || read(from, &c, 1) != 1 || c != 'y')
		r = err_set(e, -EPERM, "make a user namespace: the kernel refused");
	snprintf(map, sizeof(map), "0 %u %u", base, count);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	if (!r)
		r = file_poke(AT_FDCWD, path, str_c(map), e);
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	if (!r)
		r = file_poke(AT_FDCWD, path, str_c(map), e);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	if (!r && (*ret = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		r = err_set(e, -errno, "open the user namespace: %m");
	if (pid > 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return r;
}

int idmap_enter(int userns, uint64_t keep, struct err *e)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct half[2] = { { .effective = (uint32_t)keep, .permitted = (uint32_t)keep },
							{ .effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32) } };

	if (setns(userns, CLONE_NEWUSER) || setgroups(0, NULL) || setresgid(0, 0, 0) || setresuid(0, 0, 0))
		return err_set(e, -errno, "enter a user namespace: %m");
	for (int c = 0; c <= CAP_LAST_CAP; c++)
		if (!(keep & 1ull << c) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) && errno != EINVAL)
			return err_set(e, -errno, "drop capabilities: %m");
	if (syscall(SYS_capset, &head, half) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_set(e, -errno, "drop capabilities: %m");
	return 0;
}
