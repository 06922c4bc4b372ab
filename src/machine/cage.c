#include "machine/cage.h"

#include "base/file.h"
#include "sys/cgroup.h"
#include "sys/mnt.h"

#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>

static const struct cage_thing shown[] = {
	{ "/usr", true, MS_RDONLY | MS_NOSUID | MS_NODEV },
	{ "/dev/kvm", false, MS_NOSUID | MS_NOEXEC },
	{ "/dev/null", false, MS_NOSUID | MS_NOEXEC },
	{ "/dev/urandom", false, MS_NOSUID | MS_NOEXEC },
};
enum { ROOM_FILES_MAX = 16 };
static const char *const links[] = { "lib", "lib64" }; /* to usr/lib..., as on the node: the loader's name is fixed */

static int show(const char *at, const struct cage_thing *thing, struct err *e)
{
	char path[192];

	snprintf(path, sizeof(path), "%s%s", at, thing->path);
	if (thing->is_dir && mkdir(path, 0755))
		return err_set(e, -errno, "make %s: %m", path);
	if (!thing->is_dir) {
		AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return err_set(e, -errno, "make %s: %m", path);
	}
	return mnt_bind(thing->path, path, thing->flags, e);
}

static int room_make(const char *at, uint64_t bytes, struct err *e)
{
	char path[192], options[96];
	struct mnt_spec room = { "room", path, "tmpfs", options, MS_NOSUID | MS_NODEV | MS_NOEXEC, .make_dir = true };

	if (!bytes)
		return 0;
	snprintf(path, sizeof(path), "%s" CAGE_ROOM, at);
	snprintf(options, sizeof(options), "mode=0700,uid=%d,gid=%d,nr_inodes=%d,size=%" PRIu64, CAGE_UID, CAGE_GID, ROOM_FILES_MAX, bytes);
	return mnt_make("", &room, e);
}

int cage_view_make(const char *at, const struct cage_thing *things, size_t n, struct err *e)
{
	struct mnt_spec room = { "cage", at, "tmpfs", "mode=0755,size=64k", MS_NOSUID | MS_NODEV | MS_NOEXEC, .make_dir = true };
	char path[192], to[32];
	int r;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return err_set(e, -errno, "make namespaces for the virtual machine: %m");
	if ((r = mnt_make("", &room, e)))
		return r;
	snprintf(path, sizeof(path), "%s/dev", at);
	if (mkdir(path, 0755))
		return err_set(e, -errno, "make %s: %m", path);
	for (size_t i = 0; i < n; i++)
		if ((r = show(at, &things[i], e)))
			return r;
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		snprintf(path, sizeof(path), "%s/%s", at, links[i]);
		snprintf(to, sizeof(to), "usr/%s", links[i]);
		if (symlink(to, path))
			return err_set(e, -errno, "make %s: %m", path);
	}
	return 0;
}

int cage_view_enter(const char *at, struct err *e)
{
	int r = mnt_enter(at, e);

	if (!r && mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		r = err_set(e, -errno, "shut the virtual machine in: %m");
	return r;
}

int cage_become(uid_t uid, const gid_t *groups, size_t n_groups, struct err *e)
{
	for (int c = 0; c <= CAP_LAST_CAP; c++)
		if (prctl(PR_CAPBSET_DROP, c, 0, 0, 0) && errno != EINVAL)
			return err_set(e, -errno, "drop capabilities: %m");
	if (setgroups(n_groups, groups) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)) /* last: a change of user clears it */
		return err_set(e, -errno, "become user %u: %m", uid);
	return 0;
}

int cage_enter(const char *at, const char *group, uint64_t room_bytes, struct err *e)
{
	static const gid_t groups[] = { CAGE_KVM_GID };
	int r;

	if ((r = cgroup_set(group, "cgroup.procs", S("0"), e)) || (r = cage_view_make(at, shown, ARRAY_LEN(shown), e)) ||
	    (r = room_make(at, room_bytes, e)) || (r = cage_view_enter(at, e)))
		return r < 0 ? r : err_set(e, -ENOENT, "enter the group %s: it is gone", group);
	return cage_become(CAGE_UID, groups, ARRAY_LEN(groups), e);
}
