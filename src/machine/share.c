#include "machine/share.h"

#include "machine/cage.h"
#include "machine/root.h"
#include "sys/cgroup.h"
#include "sys/idmap.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define PROGRAM "/usr/libexec/virtiofsd"
#define SHARED "/share"
enum { FAILED = 125 };

static const struct cage_thing shown[] = { { "/usr", true, MS_RDONLY | MS_NOSUID | MS_NODEV } };

/* Over what belongs to the range: to be whoever in the guest asks. The last two it needs to shut itself in further, and gives up. */
#define CAPS                                                                                                                                \
	(1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FOWNER | 1ull << CAP_FSETID | 1ull << CAP_SETUID | 1ull << CAP_SETGID | \
	 1ull << CAP_MKNOD | 1ull << CAP_SETFCAP | 1ull << CAP_SETPCAP | 1ull << CAP_SYS_CHROOT)

struct birth {
	const struct runner *runner;
	const struct machine_mount *mount;
	int listener, userns, complaints;
};

/* The volume at AT, as the machine owns it; the node keeps who may only read from more. */
static int volume_show(const struct birth *b, int mnt, const char *at, struct err *e)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
					       (b->mount->read_only ? MOUNT_ATTR_RDONLY : 0),
				   .userns_fd = (uint64_t)b->userns };
	char path[192];

	snprintf(path, sizeof(path), "%s" SHARED, at);
	if (mkdir(path, 0700) || mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) ||
	    move_mount(mnt, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH))
		return err_set(e, -errno, "show the volume '%s' to the virtual machine: %m", b->mount->name);
	return 0;
}

/* It opens files anew through the descriptors that it has of them, and asks how many there can be. */
static int proc_show(const char *at, struct err *e)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/proc", at);
	if (mkdir(path, 0555) || mount("proc", path, "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		return err_set(e, -errno, "mount %s: %m", path);
	return 0;
}

static int view_enter(const struct birth *b, struct err *e)
{
	AUTO_FD int mnt = open_tree(AT_FDCWD, b->mount->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	char at[128];
	int r;

	if (mnt < 0)
		return err_set(e, -errno, "open the volume '%s': %m", b->mount->name);
	snprintf(at, sizeof(at), "%s/share", b->runner->dir);
	if ((r = cage_view_make(at, shown, ARRAY_LEN(shown), e)) || (r = volume_show(b, mnt, at, e)) || (r = proc_show(at, e)))
		return r;
	return cage_view_enter(at, e);
}

static int shut_in(const struct birth *b, struct err *e)
{
	const struct rlimit files = { SHARE_FILES_MAX, SHARE_FILES_MAX }, none = { 0, 0 };
	int r = cgroup_set(b->runner->box_group, "cgroup.procs", S("0"), e);

	if (r)
		return r < 0 ? r : err_set(e, -ENOENT, "enter the group %s: it is gone", b->runner->box_group);
	if (setrlimit(RLIMIT_NOFILE, &files) || setrlimit(RLIMIT_CORE, &none))
		return err_set(e, -errno, "limit what serves the volume: %m");
	if ((r = view_enter(b, e)) || (r = idmap_enter(b->userns, CAPS, e)))
		return r;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)) /* last: a change of user clears it */
		return err_set(e, -errno, "end with the runner: %m");
	return 0;
}

/* cache=auto: what another machine has written is there when a file is opened, and its name within a second. A lock is the guest's own. */
static void program_run(const struct birth *b, struct err *e)
{
	static const char *const env[] = { "PATH=/usr/bin", NULL };
	char fd[24];
	const char *argv[] = {
		PROGRAM,
		fd,
		("--shared-dir=" SHARED),
		"--sandbox=chroot",
		"--seccomp=kill",
		"--rlimit-nofile=0",
		"--posix-acl",
		"--cache=auto",
		"--inode-file-handles=never",
		"--no-announce-submounts",
		"--log-level=error",
		b->mount->read_only ? "--readonly" : NULL,
		NULL,
	};

	snprintf(fd, sizeof(fd), "--fd=%d", b->listener);
	fcntl(b->listener, F_SETFD, 0);
	execve(PROGRAM, (char **)argv, (char **)env);
	err_set(e, -errno, "run " PROGRAM ": %m");
}

[[noreturn]] static void become(const struct birth *b)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct err e = { 0 };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	dup2(null, 0);
	dup2(null, 1);
	dup2(b->complaints, 2);
	if (!shut_in(b, &e))
		program_run(b, &e);
	dprintf(2, "%s\n", e.msg);
	_exit(FAILED);
}

/* A connection of which the listener's end is still to be accepted: nobody else finds the name. */
static int sockets_make(const struct runner *r, int *ret_listener, int *ret_fd, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	AUTO_FD int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ret = 0;

	BUG_ON((size_t)snprintf(a.sun_path, sizeof(a.sun_path), "%s/volume", r->dir) >= sizeof(a.sun_path));
	unlink(a.sun_path);
	if (listener < 0 || fd < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, 1) ||
	    connect(fd, (struct sockaddr *)&a, sizeof(a)))
		ret = err_set(e, -errno, "make sockets for a volume: %m");
	unlink(a.sun_path);
	if (ret)
		return ret;
	*ret_listener = take_fd(listener);
	*ret_fd = take_fd(fd);
	return 0;
}

int share_start(struct share *ret, const struct runner *r, const struct machine_mount *m, int complaints, sd_event_child_handler_t on_end,
		void *userdata, struct err *e)
{
	AUTO_FD int listener = -1, fd = -1, userns = -1;
	pid_t pid;
	int code;

	if ((code = sockets_make(r, &listener, &fd, e)) || (code = idmap_open(root_uid_base(&r->spec), MACHINE_UID_COUNT, &userns, e)))
		return code;
	const struct birth b = { r, m, listener, userns, complaints };
	pid = (pid_t)syscall(SYS_clone, SIGCHLD | CLONE_NEWPID, NULL, NULL, NULL, 0UL); /* the first of a namespace of processes */
	if (!pid)
		become(&b);
	if (pid < 0)
		return err_set(e, -errno, "fork: %m");
	share_close(ret);
	if ((code = sd_event_add_child(r->event, &ret->child, pid, WEXITED, on_end, userdata)) < 0 ||
	    (code = sd_event_source_set_child_process_own(ret->child, true)) < 0)
		return err_set(e, code, "watch what serves a volume: %s", strerror(-code));
	ret->name = m->name;
	ret->fd = take_fd(fd);
	return 0;
}

void share_close(struct share *s)
{
	s->child = sd_event_source_disable_unref(s->child);
	fd_close(&s->fd);
}
