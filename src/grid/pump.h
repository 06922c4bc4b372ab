/* The descriptors behind a session's streams: bytes go from each into its stream of the mux and back, as far as both take them.
 *
 * Edge-triggered: flags say what a descriptor would take or give, until it says EAGAIN. An event only sets them and wakes the session,
 * which then calls pumps_move(). Owned by its session; one thread. */
#pragma once
#include "grid/mux.h"

#include <systemd/sd-event.h>

enum { PUMP_SCRATCH = 64 << 10 }; /* bytes that whoever owns the pumps lends them */

struct pumps;
struct pump {
	struct pumps *all;
	sd_event_source *io;
	uint32_t id; /* of its stream */
	int fd;
	bool used, readable, writable, is_socket, may_read, may_write, shut;
	bool is_paced;
	size_t n_begun; /* paced: bytes that went to the descriptor behind the end of the last call */
	uint64_t n_read, stuck_n, stuck_ms; /* read from the descriptor; paced: that number since stuck_ms, 0 = it is not stuck */
	bool is_cut; /* it took a write no more: what comes is thrown away, what it still gives is sent */
};

struct pumps {
	sd_event *event; /* borrowed, as the next three */
	struct mux *mux;
	uint8_t *scratch;
	sd_event_source *wake; /* of the session: switched on when a descriptor has something */
	struct pump at[MUX_STREAMS_MAX];
};

/* FD, taken also on failure, becomes the end of stream ID. -ENOENT, -EBUSY, -EMFILE. */
MUST_CHECK int pump_attach(struct pumps *all, uint32_t id, int fd, struct err *e);
/* From now on nothing is taken from stream ID's other side while its own answers wait to be read. What comes are calls, which end with a zero. */
void pump_pace(struct pumps *all, uint32_t id);

bool pumps_move(struct pumps *all); /* true when something moved, and may again */
void pumps_close(struct pumps *all);
unsigned pumps_count(const struct pumps *all);
bool pumps_are_empty(struct pumps *all); /* all that came for a descriptor has gone there */

/* Bytes of calls that have begun and not ended, of all paced streams together. */
size_t pumps_begun(const struct pumps *all);

/* Looks which paced streams are stuck: their other side calls and reads no answers. */
void pumps_look(struct pumps *all, uint64_t now_ms);
uint64_t pumps_stuck_ms(const struct pumps *all); /* since when the first of them is; UINT64_MAX = none */
