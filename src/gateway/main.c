/* gateway web|steer NETNS -- what publishes names, in the namespace at the path NETNS: HAProxy, or the daemon that steers it (steerd.h). Each starts as root,
 * enters the namespace, and shuts itself in as a user of its own before it hears a word. */
#include "base/file.h"
#include "base/log.h"
#include "gateway/steerd.h"
#include "svc/daemon.h"
#include "sys/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define PROGRAM GATEWAY_PROGRAM
enum { UID_WEB = 909, UID_STEER = 911, CONF_MAX = 1 << 20 };

static int enter(const char *netns, struct err *e)
{
	AUTO_FD int fd = open(netns, O_RDONLY | O_CLOEXEC);

	return fd < 0 || setns(fd, CLONE_NEWNET) ? err_set(e, -errno, "enter the network namespace %s: %m", netns) : 0;
}

/* The steering one is in the group of the other, whose socket that may use. */
static int become(uid_t uid, struct err *e)
{
	for (int c = 0; c <= CAP_LAST_CAP; c++)
		if (prctl(PR_CAPBSET_DROP, c, 0, 0, 0) && errno != EINVAL)
			return err_set(e, -errno, "drop capabilities: %m");
	if (setgroups(0, NULL) || setresgid(UID_WEB, UID_WEB, UID_WEB) || setresuid(uid, uid, uid))
		return err_set(e, -errno, "become user %u: %m", uid);
	return 0;
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
	return r;
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

	if ((r = become(UID_WEB, e)) || (r = files_make(e)) || (r = sandbox_enter(&box, e)))
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

	if ((r = become(UID_STEER, e)) || (r = daemon_loop("gateway", &event, e)) || (r = steerd_init(&d, event, &o, e)) ||
	    (r = sandbox_enter(&box, e))) {
		steerd_deinit(&d);
		return r;
	}
	daemon_ready("steers");
	r = daemon_run(event);
	steerd_deinit(&d);
	return r ? err_set(e, -EIO, "the loop has ended") : 0;
}

int main(int argc, char **argv)
{
	struct err e = { 0 };
	int r;

	log_init("gateway", getenv("ZOS_DEBUG") != NULL);
	if (argc != 3 || (strcmp(argv[1], "web") && strcmp(argv[1], "steer")))
		r = err_set(&e, -EINVAL, "web or steer, and the path of a network namespace");
	else if (!(r = enter(argv[2], &e)))
		r = strcmp(argv[1], "web") ? steer_run(&e) : web(&e);
	return r ? daemon_failed(&e) : EXIT_SUCCESS;
}
