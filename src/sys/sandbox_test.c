/* Each row runs in a child that enters the sandbox first; what it may and may not do is its exit status. */
#include "sys/sandbox.h"

#include "base/file.h"
#include "test/t.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char dir[64];

static int may_read(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/in/file", dir);
	return open(path, O_RDONLY | O_CLOEXEC) >= 0 ? 0 : errno;
}

static int may_write(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/in/new", dir);
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) >= 0 ? 0 : errno;
}

static int may_write_much(void)
{
	char path[128], bytes[200] = { 0 };

	snprintf(path, sizeof(path), "%s/in/much", dir);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, bytes, 100) != 100)
		return errno;
	return write(fd, bytes, sizeof(bytes)) == sizeof(bytes) ? 0 : EFBIG;
}

static int may_make_dir(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/in/dir", dir);
	return mkdir(path, 0700) ? errno : 0;
}

static int may_make_link(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/in/link", dir);
	return symlink("/", path) ? errno : 0;
}

static int may_leave_the_group(void)
{
	return setpgid(0, 0) ? errno : 0;
}

static int may_change_a_mode(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/in/file", dir);
	return fchmodat(AT_FDCWD, path, 0600, 0) ? errno : 0;
}

static int may_read_outside(void)
{
	return open("/etc/hostname", O_RDONLY | O_CLOEXEC) >= 0 || errno == ENOENT ? 0 : errno;
}

static int may_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return pid > 0 ? 0 : errno;
}

static int may_socket(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0 ? 0 : errno;
}

/* Nobody listens: refused by the peer is fine, refused by the sandbox is EACCES. */
static int may_connect_9(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&at, sizeof(at)) && errno != ECONNREFUSED ? errno : 0;
}

/* Asked of a descriptor that knows neither: whoever is let through hears that from the kernel. */
static int may_ask(unsigned long request)
{
	int fds[2], n;

	if (pipe2(fds, O_CLOEXEC))
		return 255;
	return ioctl(fds[0], request, &n) && errno != ENOTTY ? errno : 0;
}

static int may_ask_one(void)
{
	return may_ask(BLKGETSIZE);
}

static int may_ask_another(void)
{
	return may_ask(BLKROSET);
}

static int may_ask_one_with_more(void)
{
	return may_ask(BLKGETSIZE | 1ul << 32);
}

/* No more than it has: that needs no capability. A kernel may be built without either. */
static int may_ask_for_ports(void)
{
	if (iopl(0) && errno != ENOSYS)
		return errno;
	return ioperm(0, 1, 0) && errno != ENOSYS ? errno : 0;
}

static const struct {
	const char *name;
	struct sandbox box;
	unsigned access;
	int (*act)(void);
	int want;
} rows[] = {
	{ "reads what it may", { .calls = SANDBOX_CALLS_FILES }, SANDBOX_READ, may_read, 0 },
	{ "does not write what it may read", { .calls = SANDBOX_CALLS_FILES }, SANDBOX_READ, may_write, EACCES },
	{ "writes what it may", { .calls = SANDBOX_CALLS_FILES }, SANDBOX_READ | SANDBOX_WRITE, may_write, 0 },
	{ "writes much", { .calls = SANDBOX_CALLS_FILES }, SANDBOX_WRITE, may_write_much, 0 },
	{ "writes no more than it may", { .calls = SANDBOX_CALLS_FILES, .file_size_max = 128 }, SANDBOX_WRITE, may_write_much, EFBIG },
	{ "makes no directory", { .calls = SANDBOX_CALLS_FILES }, SANDBOX_WRITE | SANDBOX_FLAT, may_make_dir, EACCES },
	{ "makes no link", { .calls = SANDBOX_CALLS_FILES }, SANDBOX_WRITE | SANDBOX_FLAT, may_make_link, EACCES },
	{ "makes a directory", { .calls = SANDBOX_CALLS_FILES }, SANDBOX_WRITE, may_make_dir, 0 },
	{ "makes a link", { .calls = SANDBOX_CALLS_FILES }, SANDBOX_WRITE, may_make_link, 0 },
	{ "still makes a file", { .calls = SANDBOX_CALLS_FILES }, SANDBOX_READ | SANDBOX_WRITE | SANDBOX_FLAT, may_write, 0 },
	{ "leaves its group", { .calls = SANDBOX_CALLS_GROUPS }, 0, may_leave_the_group, 0 },
	{ "stays in its group", { .calls = SANDBOX_CALLS_SPAWN }, 0, may_leave_the_group, EPERM },
	{ "changes a mode", { .calls = SANDBOX_CALLS_FILES | SANDBOX_CALLS_MARKS }, 0, may_change_a_mode, 0 },
	{ "changes no mode", { .calls = SANDBOX_CALLS_FILES }, SANDBOX_READ | SANDBOX_WRITE, may_change_a_mode, EPERM },
	{ "reads nothing else", { .calls = SANDBOX_CALLS_FILES }, SANDBOX_READ, may_read_outside, EACCES },
	{ "opens nothing without the calls", {}, SANDBOX_READ, may_read, EPERM },
	{ "does not fork", { .calls = SANDBOX_CALLS_FILES }, 0, may_fork, EPERM },
	{ "forks when it may", { .calls = SANDBOX_CALLS_SPAWN }, 0, may_fork, 0 },
	{ "makes no socket", { .calls = SANDBOX_CALLS_FILES }, 0, may_socket, EPERM },
	{ "connects to no other port", { .calls = SANDBOX_CALLS_NET, .connect = { 10 } }, 0, may_connect_9, EACCES },
	{ "connects to its port", { .calls = SANDBOX_CALLS_NET, .connect = { 10, 9 } }, 0, may_connect_9, 0 },
	{ "asks anything", {}, 0, may_ask_another, 0 },
	{ "asks what it may", { .ioctls = { BLKGETSIZE64, BLKGETSIZE } }, 0, may_ask_one, 0 },
	{ "is not kept from it by bits that do not count", { .ioctls = { BLKGETSIZE } }, 0, may_ask_one_with_more, 0 },
	{ "asks nothing else", { .ioctls = { BLKGETSIZE64, BLKGETSIZE } }, 0, may_ask_another, EPERM },
	{ "asks for no ports", {}, 0, may_ask_for_ports, EPERM },
	{ "connects anywhere", { .calls = SANDBOX_CALLS_NET, .any_connect = true }, 0, may_connect_9, 0 },
};

static int row_run(size_t i)
{
	char in[96];
	struct sandbox box = rows[i].box;
	struct err e = { 0 };
	int status;
	pid_t pid = fork();

	if (!pid) {
		snprintf(in, sizeof(in), "%s/in", dir);
		if (rows[i].access)
			box.paths[0] = (struct sandbox_path){ in, rows[i].access };
		if (sandbox_enter(&box, &e)) {
			fprintf(stderr, "%s\n", e.msg);
			_exit(255);
		}
		_exit(rows[i].act());
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void holds_and_lets_through(void)
{
	T_CHECK(!may_ask_for_ports(), "outside of a sandbox anyone may ask for what they have: %m");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int got = row_run(i);

		T_CHECK(got == rows[i].want, "%s: %d (%s)", rows[i].name, got, strerror(got));
	}
}

int main(void)
{
	char path[128];
	struct err e;

	strcpy(dir, "/tmp/sandbox_test.XXXXXX");
	T_NEED(mkdtemp(dir), "%m");
	snprintf(path, sizeof(path), "%s/in", dir);
	T_NEED(!dir_make(path, 0755, &e), "%s", e.msg);
	snprintf(path, sizeof(path), "%s/in/file", dir);
	T_NEED(!file_save(AT_FDCWD, path, S("x"), 0600, &e), "%s", e.msg);
	T_RUN(holds_and_lets_through);
	T_CHECK(!tree_remove(AT_FDCWD, dir, &e), "%s", e.msg);
	return T_END();
}
