/* What a machine says, on its way from pipes and sockets to the two tails, held to a rate (flood.h). Owned by the
 * runner, in its loop. */
#pragma once
#include "machine/flood.h"
#include "machine/tail.h"

enum output_stream { OUTPUT_OUT = TAIL_OUT, OUTPUT_ERR = TAIL_ERR, OUTPUT_CONSOLE };

struct output_source;
struct output {
	sd_event *event;
	sd_event_source *timer;        /* due while reading rests, and when something dropped is to be told */
	struct output_source *sources; /* owned */
	struct flood flood;
	struct tail tail, console; /* what it said, by lines; the same and a virtual machine's serial console, as it came */
	/* All that comes on OUTPUT_CONSOLE, kept or not; may be NULL. */
	void (*heard)(void *ctx, struct str bytes);
	void *ctx;
};

MUST_CHECK int output_init(struct output *ret, sd_event *event, struct err *e);
void output_deinit(struct output *o);

/* Makes a pipe whose lines go to the log as STREAM; returns the end to write to, for a child. */
MUST_CHECK int output_pipe(struct output *o, enum output_stream stream, int *ret_fd, struct err *e);
/* The same from a stream that there is already: takes FD, which must not block. */
MUST_CHECK int output_listen(struct output *o, enum output_stream stream, int fd, struct err *e);
/* A line of the node's own in the machine's log. */
void output_note(struct output *o, const char *sentence);
/* The program is over: what it left without a newline is a line too, and what was dropped is told. */
void output_end(struct output *o);
