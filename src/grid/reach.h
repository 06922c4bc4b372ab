/* Why a hub cannot be reached, for people: while it is down, its name is resolved, its port is tried, and with tls://
 * its certificate, now and then.
 *
 * libnats tries by itself and keeps its reasons to itself. Resolving blocks, so each look is a thread of its own that
 * owns all it uses and writes one sentence into a pipe. */
#pragma once
#include "grid/addr.h"

#include <systemd/sd-event.h>

enum { REACH_FIRST_MS = 2000, REACH_AGAIN_MS = 5000, REACH_CONNECT_MS = 3000, REACH_WHY_MAX = 200 };

typedef void reach_fn(void *userdata, const char *why);

struct reach {
	sd_event *event;
	sd_event_source *timer, *answer; /* answer: while a look is under way */
	const struct hub_addr *hub;      /* borrowed */
	reach_fn *fn;
	void *userdata;
};

/* FN is told after every look; "" = the port takes connections, and its certificate is good. The first server of HUB is looked at. */
MUST_CHECK int reach_init(struct reach *ret, sd_event *event, const struct hub_addr *hub, reach_fn *fn, void *userdata, struct err *e);
void reach_deinit(struct reach *r);

void reach_start(struct reach *r); /* does nothing when it looks already */
void reach_stop(struct reach *r);
