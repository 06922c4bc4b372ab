/* gridd: the node's only line out. It keeps the hub, the directory record and the sessions, and carries signed orders to the engine.
 *
 * It holds no identity and decides nothing that matters: the engine verifies every order again. What it adds is that strangers, floods
 * and malformed calls end here, in a process that may do nothing. */
#pragma once
#include "grid/directory.h"
#include "grid/session.h"
#include "line/reach.h"

#include <systemd/sd-varlink.h>

enum {
	CALLER_LOGIN_MS = 10000,    /* to say who one is */
	CALLER_LINKS_MAX = 8,       /* varlink streams of one session */
	CALLER_ORDERS_BURST = 50,   /* orders at once, refilled 20 a second */
	CALLER_ORDERS_PER_S = 20,
};

/* How things stand with the hub, for the engine and so for people. */
struct gridd_state {
	bool is_up;
	uint64_t since_ms; /* monotonic */
	char why[REACH_WHY_MAX]; /* it is down */
};

struct caller;
struct gridd {
	sd_event *event;
	const char *noded;            /* socket of the engine, borrowed */
	sd_varlink *engine;           /* the watch */
	sd_varlink *teller;           /* the state of the hub on its way to the engine */
	sd_event_source *again;       /* when the engine went away */
	unsigned tries;
	struct key tls_key;           /* of this run */
	struct key_pub node;
	struct grid *grid;            /* NULL until the engine named a hub */
	struct hub_addr hub;
	struct gridd_state state;
	struct reach reach;
	struct directory_own *record;
	sd_varlink_server *server;
	struct caller *callers;
	bool ready;
};
#define GRIDD_NONE { .tls_key = KEY_NONE }

MUST_CHECK int gridd_init(struct gridd *ret, sd_event *event, const char *noded, struct err *e);
void gridd_deinit(struct gridd *g);

/* caller.c */
int caller_accept(void *gridd, struct session *s, const uint8_t peer[static 32]);
void caller_free_all(struct gridd *g);
MUST_CHECK int caller_serve(struct gridd *g, struct err *e); /* makes the varlink server that sessions speak to */
