#include "sys/sandbox.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/io.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_WRITE                                                                                                                    \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM |      \
	 LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_TRUNCATE)
#define ACCESS_NOT_FLAT                                                                                                              \
	(LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | \
	 LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)
#define ACCESS_EXEC LANDLOCK_ACCESS_FS_EXECUTE
#define ACCESS_OF_FILES                                                                                                            \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_TRUNCATE | \
	 LANDLOCK_ACCESS_FS_IOCTL_DEV)
enum { ABI_TRUNCATE = 3, ABI_NET = 4, ABI_IOCTL = 5, ABI_SCOPE = 6 };

static int path_allow(int rules, const struct sandbox_path *p, uint64_t handled, struct err *e)
{
	AUTO_FD int fd = open(p->path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .parent_fd = fd };
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st))
		return err_set(e, -errno, "allow %s: %m", p->path);
	rule.allowed_access = (p->access & SANDBOX_READ ? ACCESS_READ : 0) | (p->access & SANDBOX_WRITE ? ACCESS_WRITE : 0) |
			      (p->access & SANDBOX_EXEC ? ACCESS_EXEC : 0);
	if (p->access & SANDBOX_WRITE)
		rule.allowed_access |= LANDLOCK_ACCESS_FS_IOCTL_DEV; /* a device that may be written may be steered */
	if (p->access & SANDBOX_FLAT)
		rule.allowed_access &= ~(uint64_t)ACCESS_NOT_FLAT;
	rule.allowed_access &= handled & (S_ISDIR(st.st_mode) ? UINT64_MAX : ACCESS_OF_FILES);
	if (rule.allowed_access && syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
		return err_set(e, -errno, "allow %s: %m", p->path);
	return 0;
}

static int ports_allow(int rules, const uint16_t *ports, uint64_t access, struct err *e)
{
	for (size_t i = 0; i < SANDBOX_PORTS_MAX && ports[i]; i++) {
		struct landlock_net_port_attr rule = { .allowed_access = access, .port = ports[i] };

		if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_NET_PORT, &rule, 0))
			return err_set(e, -errno, "allow TCP port %u: %m", ports[i]);
	}
	return 0;
}

/* What this kernel can refuse; a kernel without Landlock is refused as a whole. */
static int rules_open(const struct sandbox *s, struct landlock_ruleset_attr *ret, struct err *e)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int fd;

	if (abi < ABI_TRUNCATE)
		return err_set(e, -ENOSYS, "shut the file system: this kernel has no Landlock that could");
	*ret = (struct landlock_ruleset_attr){ .handled_access_fs = ACCESS_READ | ACCESS_WRITE | ACCESS_EXEC | LANDLOCK_ACCESS_FS_MAKE_CHAR |
								    LANDLOCK_ACCESS_FS_MAKE_BLOCK };
	if (abi >= ABI_NET)
		ret->handled_access_net = LANDLOCK_ACCESS_NET_BIND_TCP | (s->any_connect ? 0 : LANDLOCK_ACCESS_NET_CONNECT_TCP);
	if (abi >= ABI_IOCTL)
		ret->handled_access_fs |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	if (abi >= ABI_SCOPE)
		ret->scoped = LANDLOCK_SCOPE_SIGNAL;
	fd = (int)syscall(SYS_landlock_create_ruleset, ret, sizeof(*ret), 0);
	return fd < 0 ? err_set(e, -errno, "shut the file system: %m") : fd;
}

static int landlock_enter(const struct sandbox *s, struct err *e)
{
	struct landlock_ruleset_attr attr;
	AUTO_FD int rules = rules_open(s, &attr, e);
	int r = rules < 0 ? rules : 0;

	for (size_t i = 0; i < SANDBOX_PATHS_MAX && s->paths[i].path && !r; i++)
		r = path_allow(rules, &s->paths[i], attr.handled_access_fs, e);
	if (!r && attr.handled_access_net & LANDLOCK_ACCESS_NET_CONNECT_TCP)
		r = ports_allow(rules, s->connect, LANDLOCK_ACCESS_NET_CONNECT_TCP, e);
	if (!r && attr.handled_access_net & LANDLOCK_ACCESS_NET_BIND_TCP)
		r = ports_allow(rules, s->bind, LANDLOCK_ACCESS_NET_BIND_TCP, e);
	if (!r && syscall(SYS_landlock_restrict_self, rules, 0))
		r = err_set(e, -errno, "shut the file system: %m");
	return r;
}

#define CALLS_MAX 128
#define IOCTL "ioctl"
static const struct {
	unsigned group; /* 0: always */
	const char *names[CALLS_MAX];
} calls[] = {
	{ 0,
	  { "brk",
	    "mmap",
	    "munmap",
	    "mprotect",
	    "mremap",
	    "madvise",
	    "mlock",
	    "mlock2",
	    "munlock",
	    "membarrier",
	    "futex",
	    "futex_waitv",
	    "rseq",
	    "set_robust_list",
	    "get_robust_list",
	    "set_tid_address",
	    "exit",
	    "exit_group",
	    "restart_syscall",
	    "rt_sigaction",
	    "rt_sigprocmask",
	    "rt_sigreturn",
	    "rt_sigpending",
	    "rt_sigtimedwait",
	    "sigaltstack",
	    "tgkill",
	    "signalfd4",
	    "gettid",
	    "getpid",
	    "getppid",
	    "getuid",
	    "geteuid",
	    "getgid",
	    "getegid",
	    "getresuid",
	    "getresgid",
	    "getgroups",
	    "getrandom",
	    "getrusage",
	    "getrlimit",
	    "clock_gettime",
	    "clock_getres",
	    "clock_nanosleep",
	    "nanosleep",
	    "gettimeofday",
	    "time",
	    "timerfd_create",
	    "timerfd_settime",
	    "timerfd_gettime",
	    "epoll_create1",
	    "epoll_ctl",
	    "epoll_wait",
	    "epoll_pwait",
	    "epoll_pwait2",
	    "poll",
	    "ppoll",
	    "select",
	    "pselect6",
	    "eventfd2",
	    "pipe2",
	    "read",
	    "write",
	    "readv",
	    "writev",
	    "close",
	    "close_range",
	    "fcntl",
	    "dup",
	    "dup2",
	    "dup3",
	    "lseek",
	    "fstat",
	    "sched_yield",
	    "sched_getaffinity",
	    "uname",
	    "sysinfo",
	    "prctl",
	    "arch_prctl",
	    IOCTL,
	    "pidfd_open",
	    "umask",
	    "socketpair",
	    "recvmsg",
	    "sendmsg",
	    "recvfrom",
	    "sendto",
	    "getsockopt",
	    "setsockopt",
	    "getsockname",
	    "getpeername",
	    "shutdown",
	    "accept4",
	    "memfd_create" } },
	{ SANDBOX_CALLS_FILES,
	  { "open",
	    "openat",
	    "openat2",
	    "creat",
	    "access",
	    "faccessat",
	    "faccessat2",
	    "stat",
	    "lstat",
	    "newfstatat",
	    "statx",
	    "statfs",
	    "fstatfs",
	    "readlink",
	    "readlinkat",
	    "getdents64",
	    "getcwd",
	    "chdir",
	    "fchdir",
	    "pread64",
	    "pwrite64",
	    "preadv",
	    "pwritev",
	    "preadv2",
	    "pwritev2",
	    "ftruncate",
	    "truncate",
	    "fallocate",
	    "fsync",
	    "fdatasync",
	    "sync_file_range",
	    "syncfs",
	    "rename",
	    "renameat",
	    "renameat2",
	    "unlink",
	    "unlinkat",
	    "mkdir",
	    "mkdirat",
	    "mknod",
	    "mknodat",
	    "rmdir",
	    "link",
	    "linkat",
	    "symlink",
	    "symlinkat",
	    "fchmod",
	    "fchown",
	    "flock",
	    "sendfile",
	    "copy_file_range",
	    "splice",
	    "tee",
	    "inotify_init1",
	    "inotify_add_watch",
	    "inotify_rm_watch",
	    "fadvise64",
	    "readahead",
	    "fgetxattr",
	    "flistxattr",
	    "fsetxattr",
	    "name_to_handle_at" } },
	{ SANDBOX_CALLS_NET, { "socket", "bind", "connect", "listen", "accept", "sendmmsg", "recvmmsg" } },
	{ SANDBOX_CALLS_THREADS, { "clone", "clone3", "sched_setaffinity", "sched_getparam", "sched_getscheduler", "setpriority" } },
	{ SANDBOX_CALLS_SPAWN,
	  { "clone", "clone3", "fork", "vfork", "execve", "execveat", "wait4", "waitid", "kill", "pidfd_send_signal", "prlimit64", "access",
	    "chdir" } },
	{ SANDBOX_CALLS_NEST, { "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp", "setrlimit", "prlimit64" } },
	{ SANDBOX_CALLS_GROUPS, { "setsid", "setpgid" } },
	{ SANDBOX_CALLS_MARKS, { "fchmodat", "fchmodat2", "fchownat", "utimensat" } },
	{ SANDBOX_CALLS_URING, { "io_uring_setup", "io_uring_enter", "io_uring_register" } },
};

static void filter_freep(scmp_filter_ctx *f)
{
	if (*f)
		seccomp_release(*f);
}

/* Requests are 32 bits to the kernel, whatever stands above them. */
static int ioctls_allow(scmp_filter_ctx f, const uint32_t *requests, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < SANDBOX_IOCTLS_MAX && requests[i] && !r; i++)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, requests[i]));
	return r ? err_set(e, r, "allow requests of ioctl: %s", strerror(-r)) : 0;
}

static int filter_fill(scmp_filter_ctx f, const struct sandbox *s, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		if (calls[i].group && !(s->calls & calls[i].group))
			continue;
		for (size_t k = 0; k < CALLS_MAX && calls[i].names[k]; k++) {
			bool is_narrowed = s->ioctls[0] && !strcmp(calls[i].names[k], IOCTL);
			int nr = is_narrowed ? __NR_SCMP_ERROR : seccomp_syscall_resolve_name(calls[i].names[k]);
			int r = nr == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(f, SCMP_ACT_ALLOW, nr, 0);

			if (r && r != -EEXIST)
				return err_set(e, r, "allow the system call %s: %s", calls[i].names[k], strerror(-r));
		}
	}
	return ioctls_allow(f, s->ioctls, e);
}

/* What is not in the list fails with EPERM: a library that tries something optional goes on without it. */
static int seccomp_enter(const struct sandbox *s, struct err *e)
{
	CLEANUP(filter_freep) scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!f)
		return err_set(e, -ENOMEM, "make a filter of system calls");
	r = filter_fill(f, s, e);
	if (!r && (r = seccomp_load(f)))
		r = err_set(e, r, "load the filter of system calls: %s", strerror(-r));
	return r;
}

static int limits_enter(const struct sandbox *s, struct err *e)
{
	struct rlimit files = { s->files_max, s->files_max }, memory = { s->memory_max, s->memory_max }, none = { 0, 0 };
	struct rlimit size = { s->file_size_max, s->file_size_max };

	if (s->file_size_max && (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &size)))
		return err_set(e, -errno, "set limits: %m");
	if ((s->files_max && setrlimit(RLIMIT_NOFILE, &files)) || (s->memory_max && setrlimit(RLIMIT_AS, &memory)) || setrlimit(RLIMIT_CORE, &none))
		return err_set(e, -errno, "set limits: %m");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return err_set(e, -errno, "refuse new privileges: %m");
	return 0;
}

static bool has_root(const struct sandbox *s)
{
	for (size_t i = 0; i < SANDBOX_PATHS_MAX && s->paths[i].path; i++)
		if (!strcmp(s->paths[i].path, "/"))
			return true;
	return false;
}

/* Asks for what it has already, which anyone may: no more than that is wanted, should the filter not hold. */
static bool reaches_ports(void)
{
	return iopl(0) == 0 || errno != EPERM || ioperm(0, 1, 0) == 0 || errno != EPERM;
}

/* The doors must be shut, or the process must not go on. */
static int doors_try(const struct sandbox *s, struct err *e)
{
	if (unshare(CLONE_FS) == 0 || errno != EPERM || reaches_ports())
		return err_set(e, -EPROTO, "the sandbox does not hold: a forbidden system call went through");
	AUTO_FD int fd = has_root(s) ? -1 : open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? 0 : err_set(e, -EPROTO, "the sandbox does not hold: / can still be read");
}

int sandbox_enter(const struct sandbox *s, struct err *e)
{
	int r = limits_enter(s, e);

	if (!r)
		r = landlock_enter(s, e);
	if (!r)
		r = seccomp_enter(s, e);
	if (!r)
		r = doors_try(s, e);
	return err_wrap(e, r, "enter the sandbox");
}
