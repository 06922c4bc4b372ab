#include "init/watchdog.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SOFTWARE "Software Watchdog"
enum { PLACES = 8 };

/* What the driver of number N calls itself. False: there is none. */
static bool name_read(unsigned n, char ret[static 32])
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/class/watchdog/watchdog%u/identity", n);
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, ret, 31);
	if (len < 0)
		return false;
	ret[len] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	return true;
}

static int find(char name[static 32])
{
	int software = -1;

	for (unsigned n = 0; n < PLACES; n++) {
		if (!name_read(n, name))
			continue;
		if (strcmp(name, SOFTWARE))
			return (int)n;
		software = (int)n;
	}
	if (software >= 0)
		strcpy(name, SOFTWARE);
	return software;
}

static void timeout_set(const struct watchdog *w, int seconds)
{
	(void)!ioctl(w->fd, WDIOC_SETTIMEOUT, &seconds); /* one that cannot keeps its own, a minute as a rule */
}

static enum watchdog_result begin(struct watchdog *w)
{
	char path[32];
	int n = find(w->name);

	if (n < 0)
		return WATCHDOG_WELL;
	snprintf(path, sizeof(path), "/dev/watchdog%d", n);
	w->fd = open(path, O_WRONLY | O_CLOEXEC);
	if (w->fd < 0)
		return WATCHDOG_WELL;
	timeout_set(w, WATCHDOG_TIMEOUT_S);
	return WATCHDOG_BEGUN;
}

enum watchdog_result watchdog_step(struct watchdog *w, uint64_t now_ms)
{
	if (now_ms < w->due_ms)
		return WATCHDOG_WELL;
	w->due_ms = now_ms + WATCHDOG_PET_MS;
	if (w->fd < 0)
		return begin(w);
	(void)!ioctl(w->fd, WDIOC_KEEPALIVE, 0);
	return WATCHDOG_WELL;
}

void watchdog_last(struct watchdog *w)
{
	if (w->fd >= 0)
		timeout_set(w, WATCHDOG_LAST_S);
}
