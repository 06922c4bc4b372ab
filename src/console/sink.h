/* A terminal that is written to and never read from. What it does not take at once waits; a screen is a few kilobytes,
 * so one wait is enough, and a terminal that takes nothing (scroll lock, a serial line that nobody drains) holds up
 * nothing else. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <systemd/sd-event.h>

typedef void sink_ready_fn(void *userdata);

struct sink {
	int fd; /* -1 = there is no such terminal */
	struct buf waiting;
	sd_event_source *source;
	sink_ready_fn *ready;
	void *userdata;
};
#define SINK_NONE { .fd = -1 }

/* Borrows FD; a descriptor that is no terminal makes a sink that swallows everything. RAW: no line discipline touches
 * what is written or echoes what somebody types. READY is called when all that waited is written. */
MUST_CHECK int sink_open(struct sink *ret, sd_event *event, int fd, bool raw, sink_ready_fn *ready, void *userdata, struct err *e);
void sink_close(struct sink *s);

bool sink_is_open(const struct sink *s);
bool sink_is_busy(const struct sink *s); /* something waits: write later */

/* Takes the content of B, which is empty afterwards. */
void sink_write(struct sink *s, struct buf *b);
