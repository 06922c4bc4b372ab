/* Meetings with other nodes, for the private networks that have ends on both: peers.h says when, gridd carries, this signs and checks.
 *
 * doc/network-peers.md. One owner, the loop's thread. */
#pragma once
#include "node/engine.h"
#include "node/line.h"
#include "node/peers.h"
#include "node/relays.h"
#include "svc/meeting.h"

struct meet_flight { /* an order under way */
	uint64_t id; /* of the peer; 0 = free */
	char nonce[ORDER_NONCE_LEN + 1];
};

struct request;
struct meet {
	struct engine *engine;
	struct line *line;
	const struct meeting_ends *ends; /* NULL = there are no networks */
	struct peers peers;
	struct meet_flight flights[PEERS_FLIGHT_MAX];
	sd_varlink *link;                /* gridd's, NULL = none */
	struct relays relays;
	sd_event_source *timer;
};
#define MEET_NONE { .ends = NULL }

/* TIMES NULL = peers_times. RET is to be released whatever is returned. */
MUST_CHECK int meet_init(struct meet *ret, struct engine *engine, struct line *line, const struct peers_times *times, struct err *e);
void meet_deinit(struct meet *m);

/* ENDS is borrowed; NULL detaches. Without it every meeting is refused. */
void meet_attach(struct meet *m, const struct meeting_ends *ends);
/* For whoever has networks, which it may keep as long as M is there. */
struct meetings meet_meetings(struct meet *m);
/* As struct meetings has it. */
MUST_CHECK int meet_want(struct meet *m, const struct meeting_with *with, struct err *e);
void meet_forget(struct meet *m, const struct meeting_with *with);
void meet_changed(struct meet *m, const struct key_pub *owner, const char *network);
/* What stood in the way of meetings may be gone (gridd, an approval): those that failed are tried now. */
void meet_hurry(struct meet *m);

/* Whether errands can be sent: -EHOSTUNREACH, -EACCES with why not. */
MUST_CHECK int meet_ready(const struct meet *m, struct err *e);
/* Has gridd bring ORDER to NODE of this farm; it tells how that went with ID. TRIES: from hub to hub. */
MUST_CHECK int meet_errand(struct meet *m, uint64_t id, const struct key_pub *node, uint64_t tries, const struct buf *order, int64_t expires_s,
			   struct err *e);

/* gridd's methods: zos.Line.Meetings, which it observes, and zos.Line.Met. */
int meet_watch(struct meet *m, sd_varlink *link);
extern const struct json_table meet_met_table;
int meet_met(struct meet *m, sd_varlink *link, sd_json_variant *parameters);
void meet_gone(struct meet *m, sd_varlink *link);

/* The call zos.Network.Meet of another node. */
int network_meet(struct request *q, struct err *e);
