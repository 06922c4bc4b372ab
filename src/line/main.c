/* gridd -- the node's line to its hub. Takes no arguments: the engine tells it what it needs. */
#include "line/gridd.h"
#include "svc/daemon.h"

#include <nats/nats.h>

int main(void)
{
	CLEANUP(event_unrefp) sd_event *event = NULL;
	struct gridd g = GRIDD_NONE;
	struct err e = { 0 };
	int r = daemon_loop("gridd", &event, &e);

	if (!r)
		r = gridd_init(&g, event, "/run/zos/noded/sock", &e);
	r = r ? daemon_failed(&e) : daemon_run(event);
	gridd_deinit(&g);
	nats_CloseAndWait(2000);
	return r;
}
