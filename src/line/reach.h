/* Why a hub cannot be reached, for people: while it is down, its name is resolved and its port is tried now and then.
 *
 * libnats tries by itself and keeps its reasons to itself. Resolving blocks, so each look is a thread of its own that
 * owns all it uses and writes one sentence into a pipe. */
#pragma once
#include "base/err.h"

#include <systemd/sd-event.h>

enum { REACH_FIRST_MS = 2000, REACH_AGAIN_MS = 5000, REACH_CONNECT_MS = 3000, REACH_WHY_MAX = 160 };

typedef void reach_fn(void *userdata, const char *why);

struct reach {
	sd_event *event;
	sd_event_source *timer, *answer; /* answer: while a look is under way */
	const char *url;                 /* borrowed */
	reach_fn *fn;
	void *userdata;
};

/* FN is told after every look; "" = the port takes connections. URL: the first of a list separated by commas. */
MUST_CHECK int reach_init(struct reach *ret, sd_event *event, const char *url, reach_fn *fn, void *userdata,
			  struct err *e);
void reach_deinit(struct reach *r);

void reach_start(struct reach *r); /* does nothing when it looks already */
void reach_stop(struct reach *r);

/* Takes host and port out of nats://host:port, also [v6]:port. -EINVAL. */
MUST_CHECK int reach_parse(const char *url, char ret_host[static 256], char ret_port[static 8]);
