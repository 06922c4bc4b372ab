/* The client's side of the grid, made synchronous: each call runs the loop until its answer is there or its deadline has passed. */
#pragma once
#include "cli/demand.h"
#include "cli/profile.h"
#include "grid/directory.h"
#include "grid/reach.h"
#include "grid/session.h"

#include <systemd/sd-event.h>
#include <systemd/sd-varlink.h>

enum {
	CLIENT_NODES_MAX = 10000,
	CLIENT_TIMEOUT_MS = 20000,
	CLIENT_GRACE_MS = 700, /* for the other hubs once one is there */
	DIAL_TIMEOUT_MS = 3000,
};

/* All hubs of the profile are tried at once; one that is down is done without. */
struct client_hub {
	struct client *client;
	struct hub_addr addr;
	struct grid *grid;
	struct reach reach;
	bool is_up, is_explained;
	char why[REACH_WHY_MAX];
};

/* A node on one hub: there it has an inbox of its own. */
struct client_place {
	struct key_pub node;
	size_t hub;
	uint64_t sequence;
	char inbox[KEY_TEXT_SIZE], tls_key[65];
};

struct client {
	struct profile profile;
	struct key key;              /* who orders: the user, or the farm */
	sd_event *event;
	struct client_hub hubs[HUBS_MAX];
	size_t n_hubs;
	struct record *nodes;        /* the newest valid record of each */
	size_t n_nodes;
	struct client_place *places;
	size_t n_places, max_places;
};
#define CLIENT_NONE { .profile = PROFILE_NONE, .key = KEY_NONE }
#define AUTO_CLIENT CLEANUP(client_close)

/* Opens the profile, the key of ROLE and the hubs, and reads their directories. */
MUST_CHECK int client_open(struct client *ret, char role, struct err *e);
void client_close(struct client *c);
MUST_CHECK int client_refresh(struct client *c, struct err *e); /* reads the directories again */

/* The node that WHICH means: its key or the start of it; NULL = the only one. UNAPPROVED: also nodes that the farm has not approved. Borrowed. */
MUST_CHECK int client_node(struct client *c, const char *which, bool unapproved, const struct record **ret, struct err *e);

/* Of the approved nodes of the profile's farm that have what D asks for, by the records in the directory, the one with the most memory free for workloads.
 * Borrowed. -ENOSPC, or as client_node(). */
MUST_CHECK int client_roomiest(struct client *c, const struct demand *d, const struct record **ret, struct err *e);

/* A session with one node, logged in. */
struct link {
	struct client *client;
	size_t hub;
	struct session *session;
	sd_varlink *varlink;
	struct key tls;
	struct key_pub node;
	bool ready, closed;
	char why[200];
	/* the call under way */
	bool answered;
	int result;
	struct err error;
	sd_json_variant *reply; /* owned */
	int (*on_more)(void *ctx, sd_json_variant *reply); /* non-zero ends the call with that result */
	void *more_ctx;
};
#define AUTO_LINK CLEANUP(link_close)
MUST_CHECK int link_open(struct client *c, const struct record *node, struct link *ret, struct err *e);
void link_close(struct link *l);

/* The node's sealing key, as it answers and as its signed record names it with DIGEST ("" = it names none); RET has SEAL_PUB_LEN bytes then. -EINVAL (its version
 * has none), -EKEYREJECTED (another key). */
MUST_CHECK int link_seal_key(struct link *l, const char *digest, struct buf *ret, struct err *e);

/* Sends an envelope as it is, as PARAMETER of METHOD; for tests, which send wrong ones. The reply is in l->reply. */
MUST_CHECK int link_send(struct link *l, const char *method, const char *parameter, struct str envelope, struct err *e);
/* Signs and sends an order; takes no reference to ARGUMENTS (NULL = none). Returns 0 and an owned reply (RET may be NULL), or the
 * error that the node or gridd answered with. Gives it CLIENT_TIMEOUT_MS, and what METHOD takes on the node (call_answer_ms()). */
MUST_CHECK int link_call(struct link *l, const char *method, sd_json_variant *arguments, sd_json_variant **ret, struct err *e);
/* Calls EACH for each reply until it returns non-zero (returned) or the link breaks. TIMEOUT_MS 0 = none. */
MUST_CHECK int link_watch(struct link *l, const char *method, sd_json_variant *arguments, uint64_t timeout_ms,
			  int (*each)(void *ctx, sd_json_variant *reply), void *ctx, struct err *e);
/* A call whose reply names a stream: FD (taken) carries its bytes. */
MUST_CHECK int link_stream(struct link *l, const char *method, sd_json_variant *arguments, int fd, struct err *e);

/* Runs the loop until *FLAG or the deadline; TIMEOUT_MS 0 = for ever. 0 or -ETIMEDOUT. */
MUST_CHECK int client_wait(struct client *c, const bool *flag, uint64_t timeout_ms);
