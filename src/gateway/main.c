/* gateway web|steer|acme NETNS -- what publishes names, in the namespace at the path NETNS: HAProxy, the daemon that steers it (steerd.h), or the one that gets
 * certificates (acmed.h). Each starts as root, enters the namespace, and shuts itself in as a user of its own before it hears a word.
 *
 * gateway order new URL [EMAIL], order issue URL REQUEST -- a child of the last: uacme, shut in further. gateway METHOD TYPE NAME TOKEN ANSWER -- what uacme
 * calls for each challenge: it takes those that HAProxy answers (haproxy.c). */
#include "base/file.h"
#include "base/log.h"
#include "gateway/acmed.h"
#include "gateway/steerd.h"
#include "svc/daemon.h"
#include "sys/become.h"
#include "sys/sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define PROGRAM GATEWAY_PROGRAM
#define UACME "/usr/bin/uacme"
#define AUTHORITIES "/etc/ssl/certs"
enum { UID_WEB = 909, UID_STEER = 911, UID_ACME = 912, CONF_MAX = 1 << 20, HOOK_WORDS = 5 };

static int enter(const char *netns, struct err *e)
{
	AUTO_FD int fd = open(netns, O_RDONLY | O_CLOEXEC);

	return fd < 0 || setns(fd, CLONE_NEWNET) ? err_set(e, -errno, "enter the network namespace %s: %m", netns) : 0;
}

/* Its configuration and its maps, which name nobody yet. */
static int files_make(struct err *e)
{
	AUTO_BUF struct buf conf = { .limit = CONF_MAX };
	int r;

	haproxy_conf_format(&conf);
	if (buf_check(&conf))
		return err_set(e, -ENOMEM, "write the configuration: out of memory");
	if ((r = file_save(AT_FDCWD, HAPROXY_CONF, buf_str(&conf), 0600, e)))
		return r;
	for (int kind = 0; kind < HAPROXY_KINDS && !r; kind++)
		r = file_save(AT_FDCWD, haproxy_maps[kind], S(""), 0600, e);
	if (r || (r = file_save(AT_FDCWD, HAPROXY_ACME_MAP, S(""), 0600, e)))
		return r;
	return file_save(AT_FDCWD, HAPROXY_CERTS, S(""), 0600, e);
}

static int web(struct err *e)
{
	static const struct sandbox box = {
		.paths = { { "/usr", SANDBOX_READ | SANDBOX_EXEC },
			   { "/dev/null", SANDBOX_READ | SANDBOX_WRITE },
			   { "/dev/urandom", SANDBOX_READ },
			   { HAPROXY_DIR, SANDBOX_READ | SANDBOX_WRITE } },
		.any_connect = true,
		.bind = { 80, 443 },
		.calls = SANDBOX_CALLS_FILES | SANDBOX_CALLS_NET | SANDBOX_CALLS_THREADS | SANDBOX_CALLS_SPAWN,
	};
	static const char *const argv[] = { PROGRAM, "-db", "-f", (HAPROXY_CONF), NULL }, *const env[] = { NULL };
	int r;

	if ((r = become(UID_WEB, UID_WEB, e)) || (r = files_make(e)) || (r = sandbox_enter(&box, e)))
		return r;
	umask(0117); /* its socket is for its group; to change modes it may not */
	execve(PROGRAM, (char **)argv, (char **)env);
	return err_set(e, -errno, "run " PROGRAM ": %m");
}

static int steer_run(struct err *e)
{
	static const struct sandbox box = {
		.paths = { { GATEWAY_STEER_DIR, SANDBOX_READ | SANDBOX_WRITE } },
		.calls = SANDBOX_CALLS_FILES | SANDBOX_CALLS_NET,
	};
	static const struct steerd_options o = { .socket = GATEWAY_SOCKET, .haproxy = HAPROXY_API };
	static struct steerd d = STEERD_NONE; /* a name needs 700 bytes */
	CLEANUP(event_unrefp) sd_event *event = NULL;
	int r;

	/* in the group of HAProxy, whose socket it may use */
	if ((r = become(UID_STEER, UID_WEB, e)) || (r = daemon_loop("gateway", &event, e)) || (r = steerd_init(&d, event, &o, e)) ||
	    (r = sandbox_enter(&box, e))) {
		steerd_deinit(&d);
		return r;
	}
	daemon_ready("steers");
	r = daemon_run(event);
	steerd_deinit(&d);
	return r ? err_set(e, -EIO, "the loop has ended") : 0;
}

/* uacme believes the authorities that the system does: here those are who the farm says, or the image's. */
static int authorities_bind(struct err *e)
{
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount(ACMED_CA_DIR, AUTHORITIES, NULL, MS_BIND, NULL))
		return err_set(e, -errno, "have authorities of one's own: %m");
	return 0;
}

static int acme_dirs(struct err *e)
{
	static const char *const dirs[] = { ACMED_CONF, ACMED_CONF "/private", ACMED_WORK };
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(dirs) && !r; i++)
		r = dir_make(dirs[i], 0700, e);
	return r;
}

/* Where this program is: it starts itself again. */
static int self_find(char ret[static PATH_MAX], struct err *e)
{
	ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);

	if (n < 0)
		return err_set(e, -errno, "find this program: %m");
	ret[n] = '\0';
	return 0;
}

static int acme_run(struct err *e)
{
	static char self[PATH_MAX];
	static struct acmed d = ACMED_NONE;
	static struct buf ca = { .limit = ACMED_CA_MAX };
	struct acmed_options o = { .socket = ACMED_SOCKET, .program = self };
	const struct sandbox box = {
		.paths = { { "/usr", SANDBOX_READ | SANDBOX_EXEC },
			   { self, SANDBOX_READ | SANDBOX_EXEC },
			   { "/etc", SANDBOX_READ },
			   { AUTHORITIES, SANDBOX_READ },
			   { "/run/zos", SANDBOX_READ }, /* resolv.conf is renamed into it; the rest is closed to this uid */
			   { "/dev/null", SANDBOX_READ | SANDBOX_WRITE },
			   { "/dev/urandom", SANDBOX_READ },
			   { ACMED_CA_DIR, SANDBOX_READ | SANDBOX_WRITE },
			   { ACMED_DIR, SANDBOX_READ | SANDBOX_WRITE } },
		.any_connect = true,
		.calls = SANDBOX_CALLS_FILES | SANDBOX_CALLS_NET | SANDBOX_CALLS_THREADS | SANDBOX_CALLS_SPAWN | SANDBOX_CALLS_NEST,
	};
	CLEANUP(event_unrefp) sd_event *event = NULL;
	int r;

	umask(0077);
	if ((r = self_find(self, e)) || (r = file_read(AT_FDCWD, AUTHORITIES "/" ACMED_CA_FILE, ACMED_CA_MAX, &ca, e)) || (r = authorities_bind(e)) ||
	    (r = become(UID_ACME, UID_ACME, e)) || (r = acme_dirs(e)))
		return r;
	o.ca = buf_str(&ca);
	if ((r = daemon_loop("gateway", &event, e)) || (r = acmed_init(&d, event, &o, e)) || (r = sandbox_enter(&box, e))) {
		acmed_deinit(&d);
		return r;
	}
	daemon_ready("gets certificates");
	r = daemon_run(event);
	acmed_deinit(&d);
	return r ? err_set(e, -EIO, "the loop has ended") : 0;
}

/* It has the account's key and a request, and may write what it got. What it says on its standard error is read by whoever started it. */
static int order_run(char **words, struct err *e)
{
	static char self[PATH_MAX];
	const char *const make[] = { UACME, "-n", "-y", "-a", words[1], "-c", (ACMED_CONF), "new", words[2], NULL };
	const char *const get[] = { UACME, "-n", "-f", "-i", "-o", "-a", words[1], "-c", (ACMED_CONF), "-h", self, "issue", words[2], NULL };
	const struct sandbox box = {
		.paths = { { "/usr", SANDBOX_READ | SANDBOX_EXEC },
			   { self, SANDBOX_READ | SANDBOX_EXEC },
			   { "/etc", SANDBOX_READ },
			   { AUTHORITIES, SANDBOX_READ },
			   { "/etc/resolv.conf", SANDBOX_READ }, /* a link to where the name servers are */
			   { "/dev/null", SANDBOX_READ | SANDBOX_WRITE },
			   { "/dev/urandom", SANDBOX_READ },
			   { ACMED_CONF, SANDBOX_READ },
			   { ACMED_WORK, SANDBOX_READ | SANDBOX_WRITE | SANDBOX_FLAT } },
		.any_connect = true,
		.calls = SANDBOX_CALLS_FILES | SANDBOX_CALLS_NET | SANDBOX_CALLS_THREADS | SANDBOX_CALLS_SPAWN,
		.files_max = 64,
		.file_size_max = 1 << 20,
	};
	static const char *const env[] = { NULL };
	int r = self_find(self, e);

	if (r || (r = sandbox_enter(&box, e)))
		return r;
	if (dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
		return err_set(e, -errno, "say why: %m");
	execve(UACME, (char **)(strcmp(words[0], "new") ? get : make), (char **)env);
	return err_set(e, -errno, "run " UACME ": %m");
}

/* uacme's question: 0 takes it. */
static int challenge(char **words)
{
	return !strcmp(words[0], "begin") && strcmp(words[1], "http-01") ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int in_namespace(const char *what, const char *netns, struct err *e)
{
	static const struct {
		const char *what;
		int (*run)(struct err *e);
	} runs[] = { { "web", web }, { "steer", steer_run }, { "acme", acme_run } };
	int r = enter(netns, e);

	for (size_t i = 0; i < ARRAY_LEN(runs) && !r; i++)
		if (!strcmp(what, runs[i].what))
			return runs[i].run(e);
	return r ? r : err_set(e, -EINVAL, "web, steer or acme, and the path of a network namespace");
}

int main(int argc, char **argv)
{
	struct err e = { 0 };
	int r;

	log_init("gateway", getenv("ZOS_DEBUG") != NULL);
	if (argc == HOOK_WORDS + 1)
		_exit(challenge(argv + 1)); /* it has touched nothing */
	if (argc > 3 && !strcmp(argv[1], "order"))
		r = order_run(argv + 2, &e);
	else if (argc == 3)
		r = in_namespace(argv[1], argv[2], &e);
	else
		r = err_set(&e, -EINVAL, "web, steer or acme, and the path of a network namespace");
	return r ? daemon_failed(&e) : EXIT_SUCCESS;
}
