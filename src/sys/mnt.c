#include "sys/mnt.h"

#include "base/file.h"

#include <stdio.h>
#include <sys/syscall.h>

int mnt_make(const char *root, const struct mnt_spec *m, struct err *e)
{
	char at[512];

	if (snprintf(at, sizeof(at), "%s%s", root, m->at) >= (int)sizeof(at))
		return err_set(e, -ENAMETOOLONG, "mount on %s%s: the name is too long", root, m->at);
	if (m->make_dir) {
		int r = dir_make(at, 0755, e);

		if (r)
			return r;
	}
	if (!mount(m->what, at, m->type, m->flags, m->options) || errno == EBUSY)
		return 0;
	if (m->optional && (errno == ENODEV || errno == ENOENT))
		return 0;
	return err_set(e, -errno, "mount %s (%s) on %s: %m", m->what, m->type ? m->type : "bind", at);
}

int mnt_bind(const char *from, const char *at, unsigned long flags, struct err *e)
{
	if (mount(from, at, NULL, MS_BIND, NULL) || mount(NULL, at, NULL, MS_BIND | MS_REMOUNT | flags, NULL))
		return err_set(e, -errno, "bind %s to %s: %m", from, at);
	return 0;
}

int mnt_drop(const char *at, struct err *e)
{
	if (!umount2(at, MNT_DETACH) || errno == EINVAL || errno == ENOENT)
		return 0;
	return err_set(e, -errno, "unmount %s: %m", at);
}

int mnt_enter(const char *at, struct err *e)
{
	if (chdir(at) || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
		return err_set(e, -errno, "enter %s: %m", at);
	return 0;
}
