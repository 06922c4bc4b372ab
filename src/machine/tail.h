/* The last output of a machine, bounded, and whoever follows it. Owned by the runner, in its loop.
 *
 * Lines are stored as "TIME STREAM text", cut after TAIL_LINE_MAX bytes and marked then. A follower that reads too slowly loses lines, never the machine its time. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <systemd/sd-event.h>

enum { TAIL_BYTES = 256 * 1024, TAIL_LINE_MAX = 8192, TAIL_FOLLOWERS_MAX = 16 };

#define TAIL_CUT " [the rest of this line was cut]"

enum tail_stream { TAIL_OUT, TAIL_ERR, TAIL_NODE, TAIL_STREAMS }; /* NODE: what the node itself has to say */

struct tail;
struct tail_follower {
	struct tail *tail;
	sd_event_source *io;
	uint64_t at; /* offset of the next byte to send */
	bool stays;  /* goes on when it has caught up */
	int fd;
};

struct tail {
	sd_event *event;
	char *ring;
	uint64_t end; /* offset behind the newest byte; the oldest is end - TAIL_BYTES, or 0 */
	struct tail_part {
		struct buf text; /* an unfinished line */
		bool skips;      /* until its end: it is too long, or its middle is missing */
	} part[TAIL_STREAMS];
	struct tail_follower *followers[TAIL_FOLLOWERS_MAX];
};

void tail_init(struct tail *t, sd_event *event);
void tail_deinit(struct tail *t);

/* Output of STREAM at NOW_S. */
void tail_add(struct tail *t, enum tail_stream stream, struct str bytes, int64_t now_s);
/* Some of STREAM is missing from here on: what comes next belongs to no line before the next newline. */
void tail_gap(struct tail *t, enum tail_stream stream, int64_t now_s);
/* Bytes as they are, for a tail without lines. */
void tail_raw(struct tail *t, struct str bytes);
/* The program is over: what it left without a newline is a line too. */
void tail_end(struct tail *t, int64_t now_s);
/* The last whole line without its time, for a state's message; "" when there is none. */
void tail_last(const struct tail *t, char *ret, size_t size);
/* Sends what is there, and with FOLLOW what comes, to FD (takes). -EBUSY when too many follow. */
MUST_CHECK int tail_follow(struct tail *t, int fd, bool follow, struct err *e);
