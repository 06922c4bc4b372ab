/* clock -- keeps the node's clock right: runs chronyd for the time servers that are named in /run/zos/clock, and anew whenever they change.
 *
 * A file there is what somebody knows, a server a line as chrony.conf(5) has it: `farm` what the farm document names, the others what leases brought. The farm's
 * count alone where it names any: a lease is whoever answers on the cable. Without a server nothing runs. chronyd asks and answers nobody: it
 * opens no port and no socket of its own. It and this program run as a user who may do nothing but set the clock. */
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define SOURCES "/run/zos/clock"
#define OF_THE_FARM "farm"
#define CHRONYD "/usr/sbin/chronyd"
enum { SERVERS_MAX = 8, SOURCES_MAX_BYTES = 4096, ARGS_MAX = 32 };

/* Jumps while it does not know the time, then never again; 11 minutes after, the machine's own clock is right too. */
static const char *const settings[] = { "port 0", "cmdport 0", "bindcmdaddress /", "pidfile /", "makestep 1 3", "rtcsync" };

static int sources_read(struct buf *ret, struct err *e)
{
	AUTO_DIR DIR *dir = opendir(SOURCES);
	struct dirent *d;
	int r;

	if (!dir)
		return err_set(e, -errno, "open " SOURCES ": %m");
	r = file_read(dirfd(dir), OF_THE_FARM, SOURCES_MAX_BYTES, ret, e);
	if ((r && r != -ENOENT) || ret->len)
		return r == -ENOENT ? 0 : r;
	while ((d = readdir(dir)))
		if (d->d_name[0] != '.' && strcmp(d->d_name, OF_THE_FARM) && (r = file_read(dirfd(dir), d->d_name, SOURCES_MAX_BYTES, ret, e)) &&
		    r != -ENOENT) /* its lease has just ended */
			return r;
	return 0;
}

/* -1: there is no server to ask, or it could not be started. */
static pid_t chronyd_start(struct buf *sources)
{
	const char *argv[ARGS_MAX + 1] = { CHRONYD, "-d", "-U", "-F", "1" };
	size_t n = 5, n_servers = 0;
	char *rest = sources->p;
	sigset_t none;
	pid_t pid;

	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		argv[n++] = settings[i];
	for (char *line; n_servers < SERVERS_MAX && (line = strsep(&rest, "\n"));)
		if (line[0])
			argv[n++] = line, n_servers++;
	if (!n_servers)
		return -1;
	pid = fork();
	if (pid)
		return pid;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv(CHRONYD, (char *const *)argv);
	log_err("cannot run " CHRONYD ": %m");
	_exit(127);
}

static void chronyd_stop(pid_t pid)
{
	int status;

	if (pid <= 0)
		return;
	kill(pid, SIGTERM);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

struct clock {
	struct buf sources;
	pid_t chronyd; /* <= 0: it does not run */
	int changes, signals;
};

static int reload(struct clock *c, struct err *e)
{
	AUTO_BUF struct buf now = { .limit = 2 * SOURCES_MAX_BYTES }, words = { 0 };
	int r = sources_read(&now, e);

	if (r || str_eq(buf_str(&now), buf_str(&c->sources)))
		return r;
	chronyd_stop(c->chronyd);
	buf_drop(&c->sources, c->sources.len);
	buf_add(&c->sources, buf_str(&now));
	buf_add(&words, buf_str(&now));
	if (buf_check(&c->sources) || buf_check(&words))
		return err_set(e, -ENOMEM, "keep the time servers: out of memory");
	c->chronyd = chronyd_start(&words);
	log_info(c->chronyd > 0 ? "the time servers have changed: asking them" : "there is no time server to ask");
	return 0;
}

/* 1: it was told to end. */
static int next(struct clock *c, struct err *e)
{
	struct pollfd fds[] = { { c->changes, POLLIN, 0 }, { c->signals, POLLIN, 0 } };
	alignas(struct inotify_event) char events[4096];
	struct signalfd_siginfo told;

	if (poll(fds, ARRAY_LEN(fds), -1) < 0)
		return errno == EINTR ? 0 : err_set(e, -errno, "wait: %m");
	if (fds[0].revents && read(c->changes, events, sizeof(events)) > 0)
		return reload(c, e);
	if (!fds[1].revents || read(c->signals, &told, sizeof(told)) != sizeof(told))
		return 0;
	if (told.ssi_signo == SIGTERM)
		return 1;
	if (c->chronyd <= 0 || waitpid(c->chronyd, NULL, WNOHANG) != c->chronyd)
		return 0; /* that of the one before */
	c->chronyd = -1;
	return err_set(e, -ECHILD, "chronyd has ended; its last words stand above");
}

static int run(struct clock *c, struct err *e)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	c->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	c->changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (c->signals < 0 || c->changes < 0 || inotify_add_watch(c->changes, SOURCES, IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE) < 0)
		return err_set(e, -errno, "watch " SOURCES ": %m");
	for (r = reload(c, e); !r;)
		r = next(c, e);
	return r;
}

int main(void)
{
	struct clock c = { .chronyd = -1 };
	struct err e;
	int r;

	log_init("clock", getenv("ZOS_DEBUG") != NULL);
	r = run(&c, &e);
	if (r < 0)
		log_err("%s", e.msg);
	chronyd_stop(c.chronyd);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
