/* Whom this node's networks want to meet, and when: doc/network-peers.md, rules D to F. No I/O, no clock: time goes in, what to do comes out.
 *
 * One row for each pair of a network and another node. A row's life is a table of states and events (peers.c); what it says to dial is dialled by
 * meet.c, which tells how it went. */
#pragma once
#include "api/meet.h"

enum {
	PEERS_MAX = 512,        /* rows */
	PEERS_NODES_MAX = 64,   /* different nodes among them */
	PEERS_FLIGHT_MAX = 16,  /* under way at once */
	PEERS_AHEAD_MS = CLOCK_SLACK_S * 1000, /* how far a sequence may be ahead of our clock */
};

enum peer_state {
	PEER_WANTED,   /* never met, or not since the last start */
	PEER_DIALLING, /* a meeting is under way, and there is no key yet */
	PEER_MET,      /* both ends have the same key */
	PEER_STALE,    /* they have one that should have been renewed */
	PEER_RENEWING, /* a meeting is under way, and the old key is in use */
	PEER_STATES,
};
enum peer_event {
	PEER_DUE,      /* its time has come */
	PEER_TAKEN,    /* a meeting, whoever dialled, was taken */
	PEER_FAILED,   /* ours was not */
	PEER_CHANGED,  /* our own end has other things to say */
	PEER_EVENTS,
};
enum peer_act {
	PEER_ACT_NONE, /* nobody wrote this cell: a bug */
	PEER_ACT_IGNORE,
	PEER_ACT_DIAL,
	PEER_ACT_NOTE,    /* taken: the next one is a renewal */
	PEER_ACT_BACK_OFF,
	PEER_ACT_AT_ONCE, /* the next one is due now */
	PEER_ACT_AGAIN,   /* once more after the one under way */
	PEER_ACTS,
};
struct peer_step {
	enum peer_act act;
	enum peer_state next;
};
extern const struct peer_step peer_steps[PEER_STATES][PEER_EVENTS];

struct peers_times {
	uint64_t first_ms; /* the higher key's, for the lower to dial, where they have not met: it may not know yet that there is somebody to meet */
	uint64_t patience_ms; /* the same for a renewal, which the other knows of as well */
	uint64_t answer_ms; /* for a meeting under way */
	uint64_t renew_ms; /* from a meeting to the next, at most; an eighth of it at random less */
	uint64_t pause_min_ms, pause_max_ms; /* after failures, doubling, a quarter more or less at random */
};
extern const struct peers_times peers_times;

struct peer {
	struct key_pub node, owner;
	char network[MEET_NETWORK_MAX + 1];
	enum peer_state state;
	uint64_t due_ms; /* monotonic */
	uint64_t taken; /* highest sequence that was taken; 0 = none */
	uint64_t proposed; /* sequence of our last meeting, taken or not; 0 = none */
	uint64_t id; /* of the meeting under way, never used again; 0 = none */
	unsigned tries; /* since the last that was taken */
	bool again;
	char why[160]; /* it failed last; "" = it did not */
};

struct peers {
	struct key_pub self;
	struct peers_times times;
	struct peer *list; /* owned, PEERS_MAX */
	size_t n;
	uint64_t last_id, seed;
};
#define PEERS_NONE { .n = 0 }

void peers_init(struct peers *ret, const struct key_pub *self, const struct peers_times *times, uint64_t seed);
void peers_deinit(struct peers *p);

/* NULL = no such row. Good until the next peers_want() or peers_forget(). */
struct peer *peers_find(struct peers *p, const struct key_pub *node, const struct key_pub *owner, const char *network);
struct peer *peers_under_way(struct peers *p, uint64_t id);

/* Whether no row before row I has its node. */
bool peers_node_is_new(const struct peers *p, size_t i);

/* There already is fine. -ENOSPC (PEERS_MAX, PEERS_NODES_MAX), -ELOOP (NODE is this one), -EINVAL (no name of a network). */
MUST_CHECK int peers_want(struct peers *p, const struct key_pub *node, const struct key_pub *owner, const char *network, uint64_t now_ms);
void peers_forget(struct peers *p, const struct key_pub *node, const struct key_pub *owner, const char *network); /* absent is fine */

/* The next meeting to begin, its `id` and `proposed` new, or NULL. UNIX_MS is the clock that sequences are made from. Ask until NULL. */
struct peer *peers_next(struct peers *p, uint64_t now_ms, uint64_t unix_ms);
uint64_t peers_due_ms(const struct peers *p); /* when to ask again; UINT64_MAX = there is nothing to wait for */

/* How the meeting of X went. PEERS_LATE: a newer one was taken meanwhile, so its key is to be thrown away. */
enum { PEERS_LATE = 1 };
MUST_CHECK int peers_answered(struct peers *p, struct peer *x, uint64_t now_ms, uint64_t unix_ms);
void peers_failed(struct peers *p, struct peer *x, const char *why, uint64_t now_ms);
void peers_line_down(struct peers *p, uint64_t now_ms); /* all under way have failed */

void peers_hurry(struct peers *p, uint64_t now_ms); /* what failed is due now, as if for the first time */

/* X's node proposes SEQUENCE. 0: taken. PEERS_OLD: not above what was taken, or what we proposed. PEERS_AHEAD: too far ahead of our clock. */
enum { PEERS_OLD = 1, PEERS_AHEAD = 2 };
MUST_CHECK int peers_offered(struct peers *p, struct peer *x, uint64_t sequence, uint64_t now_ms, uint64_t unix_ms);

/* Our end of NETWORK says something else now. */
void peers_changed(struct peers *p, const struct key_pub *owner, const char *network, uint64_t now_ms);
