/* A key-value store for an owner, in the place of a machine: the program `zdb` of the node (zdb/node.c), shut into a root of its own that shows
 * /usr and the store's directory, as the first of its own namespace of processes, without a network. Who connects does so by sockets that are
 * here before it and outlive it, so a start refuses nobody: one for 'zos forward', and, of a store in private networks, one in the namespace that has its links. */
#include "machine/runner.h"

#include "machine/cage.h"
#include "machine/group.h"
#include "sys/cgroup.h"
#include "sys/mnt.h"
#include "sys/netns.h"

#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define PROGRAM "/usr/lib/zos/zdb"
#define ROOM "/store" /* as zdb/node.c has it */
enum { ZDB_UID = 903, TASKS_MAX = 4, BACKLOG = 1024, FAILED = 125 };

static const struct cage_thing shown[] = { { "/usr", true, MS_RDONLY | MS_NOSUID | MS_NODEV } };

struct zdb_box {
	int listener, joined; /* JOINED: for its networks; -1 = it has none */
	char socket[128];
	sd_event_source *child, *ready;
	int ready_fd;
	pid_t pid; /* 0 = none */
};

static struct zdb_box *zdb_of(const struct runner *r)
{
	return r->box_state;
}

static void address_of(const struct zdb_box *z, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	BUG_ON(strlen(z->socket) >= sizeof(ret->sun_path));
	memcpy(ret->sun_path, z->socket, strlen(z->socket) + 1);
}

/* In the calling thread's network namespace, both families. */
static int joined_listen(void *ctx, struct err *e)
{
	const struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(ZDB_PORT) };
	AUTO_FD int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct zdb_box *z = ctx;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 0 }, sizeof(int)) || bind(fd, (const struct sockaddr *)&any, sizeof(any)) ||
	    listen(fd, BACKLOG))
		return err_set(e, -errno, "listen on port %d of the store's networks: %m", ZDB_PORT);
	z->joined = take_fd(fd);
	return 0;
}

static int zdb_prepare(struct runner *r, struct err *e)
{
	const struct group_limits limits = { r->spec.memory_bytes, r->spec.cpu_milli, TASKS_MAX };
	struct zdb_box *z = calloc(1, sizeof(*z));
	struct sockaddr_un a;
	int ret;

	BUG_ON(!z);
	*z = (struct zdb_box){ .listener = -1, .joined = -1, .ready_fd = -1 };
	r->box_state = z;
	snprintf(z->socket, sizeof(z->socket), "%s/zdb", r->dir);
	address_of(z, &a);
	unlink(z->socket);
	if ((ret = group_make(r->box_group, &limits, e)))
		return ret;
	z->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (z->listener < 0 || bind(z->listener, (struct sockaddr *)&a, sizeof(a)) || chmod(z->socket, 0600) || listen(z->listener, BACKLOG))
		return err_set(e, -errno, "listen on %s: %m", z->socket);
	return r->spec.netns[0] ? netns_run(r->spec.netns, joined_listen, z, e) : 0;
}

static int room_show(const struct runner *r, int mnt, const char *at, struct err *e)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };
	char path[160];

	snprintf(path, sizeof(path), "%s" ROOM, at);
	if (mkdir(path, 0700) || mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) ||
	    move_mount(mnt, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) || chown(path, ZDB_UID, ZDB_UID) || chmod(path, 0700))
		return err_set(e, -errno, "show %s to the store: %m", r->spec.zdb.path);
	return 0;
}

static int shut_in(const struct runner *r, struct err *e)
{
	AUTO_FD int mnt = open_tree(AT_FDCWD, r->spec.zdb.path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	char at[128];
	int ret;

	if (mnt < 0)
		return err_set(e, -errno, "open %s: %m", r->spec.zdb.path);
	snprintf(at, sizeof(at), "%s/root", r->dir);
	ret = cgroup_set(r->box_group, "cgroup.procs", S("0"), e);
	if (ret)
		return ret < 0 ? ret : err_set(e, -ENOENT, "enter the group %s: it is gone", r->box_group);
	if ((ret = cage_view_make(at, shown, ARRAY_LEN(shown), e)) || (ret = room_show(r, mnt, at, e)) || (ret = cage_view_enter(at, e)))
		return ret;
	return cage_become(ZDB_UID, NULL, 0, e);
}

struct birth {
	struct runner *runner;
	int password, out, complaints, ready;
};

static void program_run(const struct birth *b, struct err *e)
{
	static const char *const env[] = { NULL };
	const struct machine_spec *s = &b->runner->spec;
	char size[24], memory[24];
	const char *argv[] = { "zdb",
			       s->hostname,
			       zdb_mode_names[s->zdb.mode],
			       size,
			       memory,
			       s->zdb.is_public ? "public" : "private",
			       s->netns[0] ? "joined" : "alone",
			       NULL };

	snprintf(size, sizeof(size), "%" PRIu64, s->zdb.size_bytes);
	snprintf(memory, sizeof(memory), "%" PRIu64, s->memory_bytes);
	execve(PROGRAM, (char **)argv, (char **)env);
	err_set(e, -errno, "run " PROGRAM ": %m");
}

/* The numbers that it knows its descriptors by may be taken by others: first up, out of the way. */
static bool fds_place(const struct birth *b)
{
	const struct zdb_box *z = zdb_of(b->runner);
	const int from[] = { b->password, b->out, b->complaints, z->listener, b->ready, z->joined };
	const size_t n = ARRAY_LEN(from) - (z->joined < 0);
	int high[ARRAY_LEN(from)];
	bool ok = true;

	for (size_t i = 0; i < n; i++)
		ok &= (high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 16)) >= 0;
	for (size_t i = 0; ok && i < n; i++)
		ok = dup2(high[i], (int)i) >= 0;
	return ok;
}

[[noreturn]] static void become(const struct birth *b)
{
	struct err e = { 0 };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	if (!fds_place(b))
		_exit(FAILED);
	if (!shut_in(b->runner, &e))
		program_run(b, &e);
	dprintf(2, "%s\n", e.msg);
	_exit(FAILED);
}

/* A file in memory with it, read from the start; empty for none. */
static int password_file(const char *password, int *ret, struct err *e)
{
	AUTO_FD int fd = memfd_create("password", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	size_t n = password ? strlen(password) : 0;

	if (fd < 0 || pwrite(fd, password ?: "", n, 0) != (ssize_t)n)
		return err_set(e, -errno, "hand the password to the store: %m");
	*ret = take_fd(fd);
	return 0;
}

static int on_child(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct runner *r = userdata;
	struct zdb_box *z = zdb_of(r);

	(void)source;
	z->pid = 0;
	z->ready = sd_event_source_disable_unref(z->ready);
	fd_close(&z->ready_fd);
	runner_ended(r, si->si_code == CLD_EXITED ? si->si_status : 128 + si->si_status, false, NULL);
	return 0;
}

/* It says that it serves, or is gone. */
static int on_ready(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct runner *r = userdata;
	char byte;

	(void)source;
	(void)events;
	sd_event_source_set_enabled(zdb_of(r)->ready, SD_EVENT_OFF);
	if (read(fd, &byte, 1) == 1)
		runner_started(r);
	return 0;
}

static int watch(struct runner *r, struct err *e)
{
	struct zdb_box *z = zdb_of(r);
	int ret;

	sd_event_source_disable_unref(take_ptr(z->child));
	if ((ret = sd_event_add_child(r->event, &z->child, z->pid, WEXITED, on_child, r)) < 0 ||
	    (ret = sd_event_source_set_priority(z->child, SD_EVENT_PRIORITY_IDLE)) < 0 || /* the end comes last: first all that was said */
	    (ret = sd_event_add_io(r->event, &z->ready, z->ready_fd, EPOLLIN, on_ready, r)) < 0)
		return err_set(e, ret, "watch the store: %s", strerror(-ret));
	return 0;
}

static int zdb_start(struct runner *r, struct err *e)
{
	struct zdb_box *z = zdb_of(r);
	AUTO_FD int password = -1, out = -1, complaints = -1;
	int ready[2], ret;

	if ((ret = password_file(r->spec.zdb.password, &password, e)) || (ret = output_pipe(&r->output, OUTPUT_OUT, &out, e)) ||
	    (ret = output_pipe(&r->output, OUTPUT_ERR, &complaints, e)))
		return ret;
	if (pipe2(ready, O_CLOEXEC))
		return err_set(e, -errno, "make a pipe: %m");
	const struct birth b = { r, password, out, complaints, ready[1] };
	z->pid = (pid_t)syscall(SYS_clone, SIGCHLD | CLONE_NEWPID, NULL, NULL, NULL, 0UL);
	if (!z->pid)
		become(&b);
	z->ready_fd = ready[0];
	close(ready[1]);
	if (z->pid < 0)
		return err_set(e, -errno, "fork: %m");
	return watch(r, e);
}

static void zdb_term(struct runner *r)
{
	if (zdb_of(r)->pid)
		kill(zdb_of(r)->pid, SIGTERM);
}

static void zdb_kill(struct runner *r)
{
	group_end(r->box_group);
}

static void zdb_pause(struct runner *r, bool on)
{
	group_freeze(r->box_group, on);
}

static int zdb_connect(struct runner *r, struct err *e)
{
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a;

	if (r->hold != RUNNER_HOLD_NONE)
		return err_set(e, -EHOSTUNREACH, "it is %s", runner_state(r));
	address_of(zdb_of(r), &a);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return err_set(e, -errno, "connect to the store: %m");
	return take_fd(fd);
}

static void zdb_deinit(struct runner *r)
{
	struct zdb_box *z = zdb_of(r);

	if (!z)
		return;
	sd_event_source_disable_unref(z->child);
	sd_event_source_disable_unref(z->ready);
	fd_close(&z->ready_fd);
	fd_close(&z->listener);
	fd_close(&z->joined);
	free(z);
}

const struct box_ops zdb_box = {
	.prepare = zdb_prepare,
	.start = zdb_start,
	.term = zdb_term,
	.kill = zdb_kill,
	.pause = zdb_pause,
	.connect = zdb_connect,
	.deinit = zdb_deinit,
};
