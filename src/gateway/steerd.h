/* The daemon that makes HAProxy what the engine says: looks at what it has, tells it what it lacks, and looks again, at once after a change and now and
 * then without one. What HAProxy lost when it was started anew is told again that way. */
#pragma once
#include "gateway/ask.h"
#include "gateway/steer.h"

#include <systemd/sd-varlink.h>

struct steerd_options {
	const char *socket, *haproxy; /* listens there; where HAProxy does. Borrowed */
};

struct steerd {
	sd_event *event;
	struct steerd_options o;
	sd_varlink_server *server;
	sd_varlink *engine; /* who hears how names do; NULL = nobody now */
	bool has_word; /* somebody said what is wanted: until then all stays as it is */
	struct routes wanted;
	struct ask *asking;
	sd_event_source *timer; /* the next look */
	unsigned n_looks; /* since something changed */
	sd_json_variant *told; /* the last report; NULL = none of this call */
};
#define STEERD_NONE { 0 }

/* D is to be released whatever is returned. */
MUST_CHECK int steerd_init(struct steerd *d, sd_event *event, const struct steerd_options *o, struct err *e);
void steerd_deinit(struct steerd *d);
