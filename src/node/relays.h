/* Relays, from both sides: this node asks those of its farm where it reaches a peer by no straight way (meet.h carries that), and is one where the farm
 * says so, which another process does (relay/relayd.h). doc/network-peers.md, The relay.
 *
 * One owner, the loop's thread. */
#pragma once
#include "api/relay.h"
#include "svc/meeting.h"
#include "svc/path.h"
#include "sys/supervisor.h"

enum {
	RELAYS_ASKS_MAX = 512, /* peers that are asked for, as many as may be (node/peers.h) */
	RELAYS_FLIGHT_MAX = 16, /* orders under way at once; what is beyond waits for the next look */
	RELAYS_ANSWER_MS = 60000, /* for one that is under way */
	RELAYS_AGAIN_MS = 15000, /* between two asks for one peer */
};

/* One peer, and what relays say. */
struct relays_ask {
	struct key_pub owner, node;
	char network[MEET_NETWORK_MAX + 1]; /* "" = free */
	int family;
	uint64_t asked_ms, tries;
	struct {
		struct key_pub relay;
		uint64_t id; /* of the order under way; 0 = none */
		struct endpoint at; /* family 0 = it has none for us */
	} of[PATH_RELAYS_MAX];
	size_t n;
};

struct relays {
	struct relays_ask *list; /* owned, RELAYS_ASKS_MAX; NULL = nobody was asked yet */
	uint64_t last_id;
};

struct farm;
/* Those of FARM that A and B shall meet at, best first: both come to the same, and pairs are spread over all. Neither of the two is among them. How many. */
size_t relays_choose(const struct farm *farm, const struct key_pub *a, const struct key_pub *b, struct key_pub ret[static PATH_RELAYS_MAX]);

struct meet;
/* struct meetings, relay. CTX: a struct meet. */
void relays_need(void *ctx, const struct meeting_with *with, const struct relay_ends *ends, int family);
/* What gridd tells of an errand that is none of meet.h's. WHY: it failed; NULL = it did not. */
void relays_answered(struct meet *m, uint64_t id, sd_json_variant *reply, const char *why);
void relays_deinit(struct relays *r);

/* This node as a relay. */
struct relaying {
	const char *socket; /* of who does it; borrowed */
	struct supervisor supervisor;
	bool is_one;
};
#define RELAYING_NONE { .supervisor = SUPERVISOR_DEFAULT }

struct engine;
/* What the farm says has changed, or is known now. */
void relaying_configure(struct relaying *r, const struct engine *engine);

struct request;
/* Answers Q with INFO and, as `relay`, what this node's relay has passed on. -ENODEV: it is none, and Q is not answered. */
MUST_CHECK int relaying_info(struct request *q, sd_json_variant *info);
/* CALL_RELAY of another node. */
int network_relay(struct request *q, struct err *e);
