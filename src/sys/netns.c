#include "sys/netns.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <linux/magic.h>

/* Coming back must not fail: a daemon that stayed in a machine's namespace would do everything else there. */
static void come_back(int home)
{
	BUG_ON(setns(home, CLONE_NEWNET));
}

static bool is_made(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == NSFS_MAGIC;
}

int netns_make(const char *path, struct err *e)
{
	AUTO_FD int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int r = 0;

	if (is_made(path))
		return 0;
	AUTO_FD int file = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0400);
	if (home < 0 || file < 0)
		return err_set(e, -errno, "make the network namespace %s: %m", path);
	if (unshare(CLONE_NEWNET))
		return err_set(e, -errno, "make the network namespace %s: %m", path);
	if (mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL))
		r = err_set(e, -errno, "keep the network namespace %s: %m", path);
	come_back(home);
	return r;
}

int netns_remove(const char *path, struct err *e)
{
	if (umount2(path, MNT_DETACH) && errno != EINVAL && errno != ENOENT)
		return err_set(e, -errno, "remove the network namespace %s: %m", path);
	if (unlink(path) && errno != ENOENT)
		return err_set(e, -errno, "remove the network namespace %s: %m", path);
	return 0;
}

int netns_run(const char *path, int (*fn)(void *ctx, struct err *e), void *ctx, struct err *e)
{
	AUTO_FD int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	AUTO_FD int there = open(path, O_RDONLY | O_CLOEXEC);
	int r;

	if (home < 0 || there < 0 || setns(there, CLONE_NEWNET))
		return err_set(e, -errno, "enter the network namespace %s: %m", path);
	r = fn(ctx, e);
	come_back(home);
	return r;
}
