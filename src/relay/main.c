/* relay -- passes on what nodes cannot send each other (relayd.h). Starts as root: its ports are the node's, and all else that it has is a directory
 * and a network namespace of its own, in which there is nothing. */
#include "base/log.h"
#include "relay/relayd.h"
#include "svc/daemon.h"
#include "sys/become.h"
#include "sys/sandbox.h"

#include <sched.h>

enum { UID_RELAY = 913 };

static int leave(struct err *e)
{
	if (unshare(CLONE_NEWNET))
		return err_set(e, -errno, "have a network namespace of one's own: %m");
	return become(UID_RELAY, UID_RELAY, e);
}

static int run(struct err *e)
{
	static const struct sandbox box = {
		.paths = { { RELAY_DIR, SANDBOX_READ | SANDBOX_WRITE } },
		.calls = SANDBOX_CALLS_FILES | SANDBOX_CALLS_NET,
	};
	static struct relayd d = RELAYD_NONE;
	CLEANUP(event_unrefp) sd_event *event = NULL;
	int r;

	if ((r = relayd_ports_open(&d, e)) || (r = leave(e)) || (r = daemon_loop("relay", &event, e)) ||
	    (r = relayd_init(&d, event, RELAY_TABLE, RELAY_SOCKET, e)) || (r = sandbox_enter(&box, e))) {
		relayd_deinit(&d);
		return r;
	}
	daemon_ready("relays");
	r = daemon_run(event);
	relayd_deinit(&d);
	return r ? err_set(e, -EIO, "the loop has ended") : 0;
}

int main(void)
{
	struct err e = { 0 };
	int r;

	log_init("relay", getenv("ZOS_DEBUG") != NULL);
	r = run(&e);
	return r ? daemon_failed(&e) : EXIT_SUCCESS;
}
