/* gridd: the node's only line out. It keeps the hubs, the directory records and the sessions, and carries signed orders to the engine.
 *
 * It holds no identity and decides nothing that matters: the engine verifies every order again. What it adds is that strangers, floods
 * and malformed calls end here, in a process that may do nothing. */
#pragma once
#include "api/meet.h"
#include "grid/directory.h"
#include "grid/reach.h"
#include "grid/session.h"

#include <systemd/sd-varlink.h>

enum {
	CALLER_LINKS_MAX = 8,       /* varlink streams of one session */
	CALLER_ORDERS_BURST = 50,   /* orders at once, refilled 20 a second */
	CALLER_ORDERS_PER_S = 20,
};
/* Bytes of calls that have begun and not ended, of one session: an order as large as it may be; of a stranger's, which cannot deploy; a login. */
enum { CALLER_CALL_MAX = DSSE_TEXT_MAX + 1024 /* what a call has around it */, CALLER_STRANGER_CALL_MAX = 64 << 10, CALLER_LOGIN_MAX = 16 << 10 };

enum { GRIDD_LEAVE_MS = 1000 }; /* between a farm document with other hubs and a new start with them */
enum { GRIDD_TELL_MS = 1000 };  /* between two words to the engine about sessions */
enum { GRIDD_KNOWN_MAX = FARM_ALLOW_MAX + 1 }; /* keys that the farm names: those it allows, and its own */
enum { GRIDD_PEERS_MAX = 64 }; /* nodes that this node's networks have ends on */

/* What sessions may take of this node, on all hubs together. */
struct gridd_limits {
	unsigned sessions;         /* that have logged in */
	unsigned reserved;         /* of these, for keys that the farm names */
	unsigned per_key;          /* of one key */
	unsigned peers; /* beside those, for nodes that this node's networks name: owners choose these, so they get nobody else's place */
	unsigned nameless; /* that have not logged in yet: beyond it the oldest of them goes */
	uint64_t login_ms; /* to say who one is */
	uint64_t idle_ms; /* without a call or a stream, of a key that the farm names */
	uint64_t stranger_idle_ms; /* of any other */
	unsigned ways; /* sessions to other nodes */
	uint64_t way_ms; /* for each step of one: to find the node, to dial, to log in, to get an answer */
	uint64_t way_idle_ms; /* without a call */
	uint64_t way_age_ms; /* then it takes no new meeting: the next one gets new keys */
};
extern const struct gridd_limits gridd_limits;

/* One hub of the farm's. Each has its own connection, its own key and inbox there, and its own copy of the node's record; none of them
 * waits for another. */
struct gridd_hub {
	struct gridd *gridd;
	struct hub_addr addr;
	struct grid *grid;
	struct directory_own *record;
	struct reach reach;
	/* how things stand, for the engine and so for people */
	bool is_up, is_explained /* why is from reach */;
	uint64_t since_ms; /* monotonic */
	char why[REACH_WHY_MAX]; /* it is down */
};

struct caller;
struct way;
struct gridd {
	sd_event *event;
	const char *noded; /* socket of the engine, borrowed */
	sd_varlink *engine; /* the watch */
	sd_varlink *teller; /* the state of the hubs on its way to the engine */
	sd_event_source *again; /* when the engine went away */
	unsigned tries;
	struct key tls_key; /* of this run */
	struct key_pub node;
	struct gridd_limits limits;
	struct key_pub known[GRIDD_KNOWN_MAX]; /* whom the farm names */
	size_t n_known;
	struct key_pub peers[GRIDD_PEERS_MAX]; /* other nodes that meet this one */
	size_t n_peers;
	uint64_t n_refused; /* sessions, by a limit, since the start */
	sd_event_source *soon; /* to tell the engine how many sessions there are */
	struct gridd_hub hubs[HUBS_MAX];
	size_t n_hubs; /* 0 until the engine named one */
	sd_event_source *leave; /* the farm has named others */
	sd_event_source *routes; /* one has changed: the way to a hub may be there */
	sd_varlink_server *server;
	struct caller *callers;
	sd_varlink *work; /* the engine's orders to meet other nodes, ways.c */
	struct way *ways;
	uint64_t n_dialled;           /* sessions to other nodes, since the start */
	struct directory_query *looks[HUBS_MAX]; /* for the nodes that ways lead to */
	bool ready;
};
#define GRIDD_NONE { .tls_key = KEY_NONE }

void gridd_tell_soon(struct gridd *g);

MUST_CHECK int gridd_init(struct gridd *ret, sd_event *event, const char *noded, struct err *e);
void gridd_deinit(struct gridd *g);

/* caller.c */
extern const struct json_table gridd_order_table, gridd_login_table; /* arguments of its calls */
int caller_accept(void *gridd, struct session *s, const uint8_t peer[static 32]);
void caller_free_all(struct gridd *g);
unsigned caller_count(const struct gridd *g); /* that have logged in */
MUST_CHECK int caller_serve(struct gridd *g, struct err *e); /* makes the varlink server that sessions speak to */

/* ways.c: sessions to other nodes, on the engine's order */
extern const struct json_table gridd_errand_table; /* one of those */
MUST_CHECK int ways_watch(struct gridd *g, struct err *e); /* asks the engine for its orders, anew */
void ways_free_all(struct gridd *g);
/* The key of a meeting, as base64, from the session S that O was brought in, to LISTENER by its signer. -EBADMSG, -ENOTCONN, -EPROTO. */
MUST_CHECK int ways_psk(const struct session *s, const struct order *o, const struct key_pub *listener, char ret[static MEET_KEY_TEXT_LEN + 1],
			struct err *e);
