#include "init/power.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>

enum { MOUNTS_TEXT_MAX = 1 << 18, UNMOUNT_ROUNDS = 3 };

static size_t mounts_read(char *ret, size_t size)
{
	AUTO_FD int fd = open("/proc/self/mounts", O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	while (fd >= 0 && len < size && (n = read(fd, ret + len, size - len)) > 0)
		len += (size_t)n;
	return len;
}

/* The last mounted first. What lies below something else becomes free in the next round. */
static void unmount_all(void)
{
	static char text[MOUNTS_TEXT_MAX];
	size_t n = mounts_read(text, sizeof(text) - 1);

	text[n] = '\0';
	while (n) {
		char *line, *at, *end;

		text[n - 1] = '\0';
		line = memrchr(text, '\n', n - 1);
		line = line ? line + 1 : text;
		n = (size_t)(line - text);
		at = strchr(line, ' ');
		end = at ? strchr(at + 1, ' ') : NULL;
		if (!end)
			continue;
		*end = '\0';
		if (strcmp(at + 1, "/") && strncmp(at + 1, "/proc", 5) && strncmp(at + 1, "/dev", 4))
			umount2(at + 1, 0);
	}
}

void power_finish(enum init_power how)
{
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	sync();
	for (int i = 0; i < UNMOUNT_ROUNDS; i++)
		unmount_all();
	sync();
	reboot(how == INIT_POWER_REBOOT ? RB_AUTOBOOT : RB_POWER_OFF);
	for (;;) /* a machine that cannot switch itself off */
		pause();
}
