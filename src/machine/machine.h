/* The machine provider: hands each machine to a runner of its own, which PID 1 starts, and listens to what the runners say.
 *
 * Finds running machines again after a restart of the engine: a runner whose spec is the same, byte by byte, is left alone. */
#pragma once
#include "svc/provider.h"

#include <systemd/sd-event.h>

struct machine_options {
	const char *dir;         /* /run/zos/machines */
	const char *resolv_conf; /* whose name servers machines get */
};

/* Returns owned. */
MUST_CHECK int machine_provider_new(sd_event *event, const struct machine_options *o, struct provider **ret, struct err *e);
void machine_provider_free(struct provider *p);
