/* The gateway provider: publishes the names that owners ask for, on a node that its farm made a gateway.
 *
 * HAProxy does the work, a service of PID 1 (gateway@web) in the namespace that network/edge.h makes. A daemon beside it (gateway@steer) makes
 * it what the engine says, through HAProxy's own socket, so that nobody who is connected notices a change (doc/gateway.md). This provider
 * hands the daemon all published names whenever they change, and hears how they do. Where the farm says so, another daemon (gateway@acme) gets certificates for
 * them; the engine keeps what that got, and hands it to the first with the names. */
#pragma once
#include "svc/provider.h"
#include "sys/supervisor.h"

#include <systemd/sd-event.h>

#define GATEWAY_PROGRAM "/usr/sbin/haproxy"
#define GATEWAY_STEER_DIR "/run/zos/gateway-steer"
#define GATEWAY_SOCKET GATEWAY_STEER_DIR "/sock"
#define GATEWAY_ACME_SOCKET "/run/zos/gateway-acme/sock"
enum { GATEWAY_ROUTES_MAX = 256, GATEWAY_ID_SIZE = WORK_ID_LEN + 1 };

struct gateway_options {
	const char *socket;            /* GATEWAY_SOCKET, or a test's; borrowed */
	const char *acme_socket;       /* GATEWAY_ACME_SOCKET, or a test's; borrowed */
	const char *program; /* GATEWAY_PROGRAM, without which nothing can be published; NULL: nobody starts or stops services, but a test */
	struct supervisor supervisor;
};

/* Returns owned. */
MUST_CHECK int gateway_provider_new(sd_event *event, const struct gateway_options *o, struct provider **ret, struct err *e);
void gateway_provider_free(struct provider *p);
