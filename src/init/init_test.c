/* The real init as PID 1 of a namespace of its own, with a small service table; asked through its control socket.
 *
 * This program is the services too: called with a word it behaves as that word says. Marks of what happened are lines
 * in one file. Needs root and a cgroup v2 mount with cgroup.kill. */
#include "init/init.h"

#include "base/file.h"
#include "base/log.h"
#include "sys/supervisor.h"
#include "test/t.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { DEADLINE_MS = 10000, ORPHANS = 1000 };

static char work_dir[64], self[256], cgroup_mount[128], cgroup_base[64];
static struct supervisor super = { .socket = NULL, .timeout_ms = DEADLINE_MS };

/* --- what the services do --- */

/* Beside the sockets: a service knows where those are. */
static int marks_open(void)
{
	const char *socket_path = getenv("NOTIFY_SOCKET");
	char path[128];

	if (socket_path)
		snprintf(path, sizeof(path), "%.*s/marks", (int)(strrchr(socket_path, '/') - socket_path), socket_path);
	else
		snprintf(path, sizeof(path), "%s/marks", work_dir);
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
}

static void mark(const char *text)
{
	AUTO_FD int fd = marks_open();

	(void)!dprintf(fd, "%s\n", text);
}

static void tell_ready(const char *text)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", getenv("NOTIFY_SOCKET"));
	sendto(fd, text, strlen(text), 0, (struct sockaddr *)&at, sizeof(at));
}

[[noreturn]] static void stay(void)
{
	for (;;)
		pause();
}

static void be_once(void)
{
	mark("once");
}

static int marks = -1; /* for the handler, which may open nothing */

static void on_term(int sig)
{
	(void)sig;
	_exit(write(marks, "term\n", 5) != 5);
}

static void be_first(void)
{
	marks = marks_open();
	signal(SIGTERM, on_term);
	mark("first");
	dprintf(STDERR_FILENO, "<4>first: a warning\n");
	tell_ready("STATUS=well\nREADY=1");
	stay();
}

static void be_second(void)
{
	mark("second");
	tell_ready("READY=1");
	stay();
}

static void be_failing(void)
{
	_exit(3);
}

/* Leaves a child behind that ignores SIGTERM, in a session of its own, and an orphan that ends at once. */
static void be_machine(void)
{
	if (!fork()) {
		if (!fork())
			_exit(0);
		_exit(0);
	}
	if (!fork()) {
		setsid();
		signal(SIGTERM, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		stay();
	}
	tell_ready("READY=1");
	stay();
}

/* Orphans as fast as they can be made, and children that end and are never asked how. */
static void be_storm(void)
{
	for (int i = 0; i < ORPHANS; i++) {
		pid_t pid = fork();

		if (!pid) {
			(void)!fork();
			_exit(0);
		}
		if (i % 2) /* the other half stays zombies until their parent ends */
			waitpid(pid, NULL, 0);
	}
	mark("storm");
	tell_ready("READY=1");
	stay();
}

static const struct {
	const char *word;
	void (*be)(void);
} roles[] = {
	{ "once", be_once },       { "first", be_first },     { "second", be_second },
	{ "failing", be_failing }, { "machine", be_machine }, { "storm", be_storm },
};

/* --- the node under test --- */

#define SELF(word) .argv = { self, word }
#define ROOT_CAPS .caps = UINT64_MAX, .stop_ms = 1000
static struct service table[] = {
	{ .name = "second", SELF("second"), .after = { "first" }, .ready = SERVICE_READY_NOTIFY, .start_ms = 5000, ROOT_CAPS },
	{ .name = "first", SELF("first"), .after = { "once", "absent" }, .ready = SERVICE_READY_NOTIFY, .start_ms = 5000, ROOT_CAPS },
	{ .name = "once", SELF("once"), .ready = SERVICE_READY_ONESHOT, .start_ms = 5000, ROOT_CAPS },
	{ .name = "failing", SELF("failing"), .ready = SERVICE_READY_EXEC, .is_background = true, ROOT_CAPS },
	{ .name = "silent", SELF("machine"), .condition = "/nowhere", .ready = SERVICE_READY_NOTIFY, ROOT_CAPS },
	{ .name = "absent", .argv = { "/nowhere/absent" }, .ready = SERVICE_READY_EXEC, ROOT_CAPS },
	{ .name = "storm",
	  SELF("storm"),
	  .is_template = true,
	  .ready = SERVICE_READY_NOTIFY,
	  .restart = SERVICE_RESTART_FAILURE,
	  .start_ms = 60000,
	  ROOT_CAPS },
	{ .name = "machine",
	  SELF("machine"),
	  .is_template = true,
	  .ready = SERVICE_READY_NOTIFY,
	  .restart = SERVICE_RESTART_FAILURE,
	  .start_ms = 5000,
	  ROOT_CAPS },
};

[[noreturn]] static void finish(enum init_power how)
{
	mark(how == INIT_POWER_OFF ? "off" : "again");
	_exit(0);
}

static int console[2]; /* a pipe that is full at first */

static void console_make(void)
{
	static const char dots[4096] = "";

	T_NEED(!pipe2(console, O_CLOEXEC | O_NONBLOCK) && fcntl(console[1], F_SETPIPE_SZ, sizeof(dots)) == sizeof(dots), "a pipe: %m");
	T_NEED(write(console[1], dots, sizeof(dots)) == sizeof(dots) && write(console[1], dots, 1) == -1 && errno == EAGAIN, "fill it: %m");
}

static int node_main(void)
{
	static struct init in;
	struct err e;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("proc", "/proc", "proc", 0, NULL))
		return EXIT_FAILURE;
	struct init_setup setup = { .services = table,
				    .services_n = ARRAY_LEN(table),
				    .run_dir = work_dir,
				    .cgroup_mount = cgroup_mount,
				    .cgroup_base = cgroup_base,
				    .console_fd = console[1],
				    .is_debug = true, /* it shows all that it says */
				    .finish = finish };
	if (init_open(&in, &setup, &e)) {
		fprintf(stderr, "init: %s\n", e.msg);
		return EXIT_FAILURE;
	}
	init_run(&in);
}

static pid_t node;

/* Also when a check ends this program: the death of its init takes the namespace with it. */
static void node_kill(void)
{
	if (node > 0)
		kill(node, SIGKILL);
}

static void node_start(void)
{
	char path[128];

	console_make();
	T_NEED(!unshare(CLONE_NEWPID), "unshare: %m"); /* the next child is PID 1 of a namespace */
	node = fork();
	if (!node)
		_exit(node_main());
	T_NEED(node > 0, "fork: %m");
	atexit(node_kill);
	snprintf(path, sizeof(path), "%s/init.sock", work_dir);
	for (uint64_t until = log_now_ms() + DEADLINE_MS; access(path, F_OK) && log_now_ms() < until;)
		sched_yield();
}

static struct supervisor_unit wait_for(const char *name, unsigned states)
{
	struct supervisor_unit u = { 0 };
	struct err e = { 0 };

	T_CHECK(!supervisor_wait(&super, name, states, DEADLINE_MS, &u, &e), "%s", e.msg);
	return u;
}

static void marks_are(const char *want)
{
	AUTO_BUF struct buf b = { 0 };
	char path[128];
	struct err e = { 0 };

	snprintf(path, sizeof(path), "%s/marks", work_dir);
	T_NEED(!file_read(AT_FDCWD, path, 4096, &b, &e), "%s", e.msg);
	T_CHECK(!strcmp(b.p, want), "marks '%s', not '%s'", b.p, want);
}

static void services_start_in_order(void)
{
	struct supervisor_unit units[16], u;
	struct err e = { 0 };

	wait_for("second", 1u << SUPERVISOR_UP);
	marks_are("once\nfirst\nsecond\n");
	T_CHECK(wait_for("once", 1u << SUPERVISOR_DONE).exit_status == 0, "once");
	T_CHECK(!strcmp(wait_for("first", 1u << SUPERVISOR_UP).text, "well"), "its status");
	wait_for("silent", 1u << SUPERVISOR_SKIPPED);
	wait_for("absent", 1u << SUPERVISOR_SKIPPED);
	T_CHECK(supervisor_list(&super, units, ARRAY_LEN(units), &e) == 6, "%s", e.msg);
	T_CHECK(supervisor_list(&super, units, 2, &e) == -ENOBUFS, "%s", e.msg);
	T_CHECK(supervisor_find(&super, "nobody", &u, &e) == SUPERVISOR_UNKNOWN, "%s", e.msg);
	T_CHECK(supervisor_start(&super, "first", &e) == -EPERM, "%s", e.msg);
	T_CHECK(supervisor_start(&super, "machine@../x", &e) == -EPERM, "%s", e.msg);
	T_CHECK(supervisor_stop(&super, "first", &e) == -EPERM, "%s", e.msg);
}

static void what_a_busy_console_did_not_take_is_said_later(void)
{
	AUTO_BUF struct buf said = { 0 };
	char part[4096];

	for (uint64_t until = log_now_ms() + DEADLINE_MS; log_now_ms() < until && !(said.len && strstr(said.p, "second: up"));) {
		struct pollfd fd = { .fd = console[0], .events = POLLIN };
		ssize_t n = poll(&fd, 1, 1000) > 0 ? read(console[0], part, sizeof(part)) : 0;

		for (ssize_t i = 0; i < n; i++)
			if (part[i])
				buf_add(&said, (struct str){ part + i, 1 });
	}
	T_CHECK(said.len && strstr(said.p, "second: up"), "%s", said.len ? said.p : "nothing");
}

static void logs_are_kept(void)
{
	AUTO_BUF struct buf b = { 0 };
	uint64_t from = 0;
	struct err e = { 0 };

	T_CHECK(!supervisor_log(&super, "first", &from, &b, &e), "%s", e.msg);
	T_CHECK(b.p && !strncmp(b.p, "<4>", 3) && strstr(b.p, " first: a warning\n"), "'%s'", b.p);
}

/* A killed service runs again at once; what has no business with it stays as it is. */
static void a_killed_service_is_back(void)
{
	struct supervisor_unit before = wait_for("first", 1u << SUPERVISOR_UP), after = before;
	pid_t second = wait_for("second", 1u << SUPERVISOR_UP).pid;
	struct err e = { 0 };
	char path[300], text[32] = "";
	uint64_t took_ms;
	AUTO_FD int watch = supervisor_watch(&super, &e);

	snprintf(path, sizeof(path), "%s%s/services/first/cgroup.procs", cgroup_mount, cgroup_base);
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	T_NEED(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0, "%s: %m", path); /* its id as this namespace sees it */
	kill((pid_t)strtol(text, NULL, 10), SIGKILL);
	took_ms = log_now_ms();
	while (after.state != SUPERVISOR_STARTING || strcmp(after.name, "first")) {
		int r = supervisor_watch_read(watch, &after, &e);

		T_NEED((!r || r == -EAGAIN) && log_now_ms() < took_ms + DEADLINE_MS, "%s", e.msg);
	}
	took_ms = log_now_ms() - took_ms;
	printf("# killed to running again: %llu ms\n", (unsigned long long)took_ms);
	after = wait_for("first", 1u << SUPERVISOR_UP);
	T_CHECK(after.pid != before.pid && after.restarts == before.restarts + 1, "%u restarts", after.restarts);
	T_CHECK(WIFSIGNALED(after.exit_status) && WTERMSIG(after.exit_status) == SIGKILL, "%x", after.exit_status);
	T_CHECK(took_ms <= 100, "%llu ms", (unsigned long long)took_ms); /* 10 without sanitizers */
	T_CHECK(wait_for("second", 1u << SUPERVISOR_UP).pid == second, "second was touched");
}

static void a_failing_service_backs_off(void)
{
	struct supervisor_unit u = wait_for("failing", 1u << SUPERVISOR_BACKOFF);

	T_CHECK(u.restarts >= 1 && WEXITSTATUS(u.exit_status) == 3, "%u restarts, %x", u.restarts, u.exit_status);
}

static void an_instance_is_stopped_with_all_its_children(void)
{
	char path[300];
	struct err e = { 0 };
	struct supervisor_unit u;

	T_CHECK(!supervisor_start(&super, "machine@m-1", &e), "%s", e.msg);
	wait_for("machine@m-1", 1u << SUPERVISOR_UP);
	T_CHECK(!supervisor_start(&super, "machine@m-1", &e), "twice is fine: %s", e.msg);
	snprintf(path, sizeof(path), "%s%s/machines/m-1", cgroup_mount, cgroup_base);
	T_CHECK(cgroup_is_populated(path, &e) == 1, "%s", e.msg);
	T_CHECK(!supervisor_stop(&super, "machine@m-1", &e), "%s", e.msg);
	wait_for("machine@m-1", 1u << SUPERVISOR_DOWN);
	T_CHECK(supervisor_find(&super, "machine@m-1", &u, &e) == SUPERVISOR_UNKNOWN, "its place is free");
	T_CHECK(access(path, F_OK), "its group is gone");
	T_CHECK(supervisor_stop(&super, "machine@m-1", &e) == SUPERVISOR_UNKNOWN, "%s", e.msg);
}

/* A thousand orphans at once hold nobody up: init answers all the time. */
static void a_storm_of_orphans_blows_over(void)
{
	struct supervisor_unit u = { 0 };
	struct err e = { 0 };
	unsigned n_asked = 0;

	T_CHECK(!supervisor_start(&super, "storm@s-1", &e), "%s", e.msg);
	while (u.state != SUPERVISOR_UP) {
		T_NEED(!supervisor_find(&super, "storm@s-1", &u, &e) && u.state != SUPERVISOR_BACKOFF, "%s", e.msg);
		n_asked++;
	}
	printf("# asked %u times while %d orphans came\n", n_asked, ORPHANS);
	T_CHECK(!u.restarts && n_asked > 1, "%u restarts", u.restarts);
	T_CHECK(!supervisor_stop(&super, "storm@s-1", &e), "%s", e.msg);
	wait_for("storm@s-1", 1u << SUPERVISOR_DOWN);
}

/* The pid namespace of init: besides init and the services nothing is left, not even a zombie. */
static void orphans_are_reaped(void)
{
	char path[64], text[4096] = "";
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)node, (int)node);
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	T_NEED(fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0, "%s: %m", path);
	for (const char *at = text; (at = strchr(at, ' ')); at++)
		n++;
	T_CHECK(n <= 3, "first, second and perhaps failing; not '%s'", text);
}

static void goes_down_in_order(void)
{
	struct err e = { 0 };
	int status;

	T_CHECK(!supervisor_start(&super, "machine@m-2", &e), "%s", e.msg);
	wait_for("machine@m-2", 1u << SUPERVISOR_UP);
	T_CHECK(!supervisor_power(&super, false, &e), "%s", e.msg);
	T_CHECK(waitpid(node, &status, 0) == node && WIFEXITED(status) && !WEXITSTATUS(status), "%x", status);
	node = 0;
	marks_are("once\nfirst\nsecond\nfirst\nstorm\nterm\noff\n");
}

static bool cgroup_find(void)
{
	char kind[32], line[512], at[128];
	FILE *f = fopen("/proc/self/mounts", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %127s %31s", at, kind) == 2 && !strcmp(kind, "cgroup2"))
			strcpy(cgroup_mount, at);
	if (f)
		fclose(f);
	snprintf(cgroup_base, sizeof(cgroup_base), "/zos-test-%016llx",
		 (unsigned long long)random_u64()); /* process ids repeat between name spaces */
	return cgroup_mount[0];
}

static int act(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(roles); i++)
		if (!strcmp(argv[1], roles[i].word)) {
			roles[i].be();
			return EXIT_SUCCESS;
		}
	return -1;
}

int main(int argc, char **argv)
{
	char path[300], socket_path[128];
	struct err e = { 0 };
	int r = act(argc, argv);

	if (r >= 0)
		return r;
	snprintf(path, sizeof(path), "/tmp/init_test.XXXXXX");
	if (getuid() || !cgroup_find()) {
		printf("1..0 # SKIP needs root and a cgroup v2 mount\n");
		return EXIT_SUCCESS;
	}
	T_NEED(mkdtemp(path) && readlink("/proc/self/exe", self, sizeof(self) - 1) > 0, "%m");
	snprintf(work_dir, sizeof(work_dir), "%.60s", path);
	snprintf(socket_path, sizeof(socket_path), "%s/init.sock", work_dir);
	super.socket = socket_path;
	node_start();
	T_RUN(services_start_in_order);
	T_RUN(what_a_busy_console_did_not_take_is_said_later);
	T_RUN(logs_are_kept);
	T_RUN(a_killed_service_is_back);
	T_RUN(a_failing_service_backs_off);
	T_RUN(an_instance_is_stopped_with_all_its_children);
	T_RUN(a_storm_of_orphans_blows_over);
	T_RUN(orphans_are_reaped);
	T_RUN(goes_down_in_order);
	snprintf(path, sizeof(path), "%s%s", cgroup_mount, cgroup_base);
	T_CHECK(!cgroup_remove(path, &e) && !tree_remove(AT_FDCWD, work_dir, &e), "%s", e.msg);
	r = T_END();
	fflush(stdout);
	_exit(r); /* the leak checker would fork, and nothing can be born in a namespace whose init is gone */
}
