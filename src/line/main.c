/* gridd -- the node's line to its hub. Takes no arguments: the engine tells it what it needs. */
#include "line/gridd.h"
#include "svc/daemon.h"
#include "sys/sandbox.h"

/* All that a process that strangers speak to needs: sockets, libnats' threads, names and certificate authorities. */
static const struct sandbox gridd_sandbox = {
	.paths = {
		{ "/etc", SANDBOX_READ },
		{ "/run/zos", SANDBOX_READ }, /* resolv.conf is renamed into it; the rest is closed to this uid */
		{ "/usr/share/ca-certificates", SANDBOX_READ },
		{ "/usr/lib/x86_64-linux-gnu", SANDBOX_READ },
	},
	.any_connect = true,
	.calls = SANDBOX_CALLS_FILES | SANDBOX_CALLS_NET | SANDBOX_CALLS_THREADS,
};

int main(void)
{
	CLEANUP(event_unrefp) sd_event *event = NULL;
	struct gridd g = GRIDD_NONE;
	struct err e = { 0 };
	int r = daemon_loop("gridd", &event, &e);

	if (!r)
		r = sandbox_enter(&gridd_sandbox, &e);
	if (!r)
		r = gridd_init(&g, event, "/run/zos/noded/sock", &e);
	r = r ? daemon_failed(&e) : daemon_run(event);
	gridd_deinit(&g);
	hub_library_close();
	return r;
}
