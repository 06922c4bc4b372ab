/* By which way packets go to one peer of a private network: straight to where it says that it is, to where it was heard from, or through a relay.
 * doc/network-peers.md, Paths. No I/O, no clock.
 *
 * WireGuard has one endpoint a peer, so a way is tried by using it; and it follows by itself when the other end is heard from elsewhere. So a way
 * that works is left alone while anything flows. */
#pragma once
#include "base/endpoint.h"

#include <stddef.h>

enum {
	PATH_CANDIDATES_MAX = 8, /* without relays */
	PATH_RELAYS_MAX = 2,     /* where one of them is gone, the other is there */
	PATH_TRY_MS = 7000,      /* for one: a lost handshake is sent again after 5 s */
	PATH_SILENT_MS = 195000, /* the other end sends a keep-alive every 25 s and shakes hands every 2 min; WireGuard itself gives up after 3 */
	PATH_RELAY_SILENT_MS = 80000, /* three keep-alives: a relay that is gone has no other end that would shake hands anew */
	PATH_IDLE_MS = 60000,    /* nothing but keep-alives flows: no flow breaks when another way is tried */
	PATH_LOST_MS = 30000,    /* between two rounds through all ways */
	PATH_AGAIN_MS = 600000,  /* between two looks for a better way than the relay */
	PATH_KEEPALIVE_BYTES = 256, /* in one look, no more than handshakes and keep-alives are */
};

enum path_state { PATH_TRYING, PATH_SETTLED, PATH_LOST, PATH_STATES };
enum path_event {
	PATH_HEARD,   /* something came since the last look */
	PATH_SILENT,  /* nothing came for as long as the state allows */
	PATH_CHANGED, /* the candidates are others */
	PATH_IDLE,    /* on a relay for long, and nothing flows */
	PATH_RELAYED, /* the relays are others */
	PATH_EVENTS,
};
enum path_act {
	PATH_ACT_NONE, /* nobody wrote this cell: a bug */
	PATH_ACT_IGNORE,
	PATH_ACT_KEEP,  /* this way works */
	PATH_ACT_FIRST, /* begin with the first */
	PATH_ACT_NEXT,  /* the next, or none is left */
	PATH_ACT_LOOK,  /* this way works: leave it alone, a relay until nothing flows */
	PATH_ACT_RELAY, /* the straight ways were tried: the first relay */
	PATH_ACTS,
};
struct path_step {
	enum path_act act;
	enum path_state next;
};
extern const struct path_step path_steps[PATH_STATES][PATH_EVENTS];

enum path_kind { PATH_KIND_NONE, PATH_KIND_DIRECT, PATH_KIND_LEARNED, PATH_KIND_RELAY };
extern const char *const path_kind_names[];

/* What WireGuard says of the peer (sys/wireguard.h). */
struct path_seen {
	int64_t handshake_s;
	uint64_t rx_bytes, tx_bytes;
	struct endpoint endpoint; /* that it uses */
};

struct path {
	enum path_state state;
	struct endpoint ways[PATH_CANDIDATES_MAX + PATH_RELAYS_MAX]; /* relays last */
	size_t n_ways, n_relays, at; /* AT == n_ways: none of them */
	struct path_seen seen;
	uint64_t since_ms;   /* of this state, or of this try */
	uint64_t heard_ms, flowed_ms;
};
#define PATH_NEW { .state = PATH_LOST }

/* The other end says that it is at ENDPOINTS, best first; those beyond PATH_CANDIDATES_MAX are left out. Whatever is unchanged is left alone. */
void path_candidates(struct path *p, const struct endpoint *endpoints, size_t n, uint64_t now_ms);
/* The same of relays that lead to it, at most PATH_RELAYS_MAX. */
void path_relays(struct path *p, const struct endpoint *relays, size_t n, uint64_t now_ms);
/* Whether no straight way has worked until now, or none works any more: so a relay is needed, or the relay anew. */
bool path_needs_relay(const struct path *p);

/* Looks at what WireGuard says, some seconds after the last look. PATH_SET: *RET is to be its endpoint now. */
enum { PATH_SET = 1 };
int path_look(struct path *p, const struct path_seen *seen, uint64_t now_ms, struct endpoint *ret);

/* For people. */
enum path_kind path_kind(const struct path *p);
