/* gridd's own line to the engine: it names its inboxes, one on each hub, and the TLS key of its run and gets, again at every change, a
 * signed record to publish for each and the hubs to connect to. At most one gridd is served: the newest. */
#pragma once
#include "grid/addr.h"
#include "node/engine.h"
#include "node/peers.h"

enum { RECORD_LIFE_S = 300, RECORD_RENEW_S = 100 };

/* How gridd stands with a hub, as it told last. */
struct line_hub {
	char url[HUB_URL_MAX];
	bool is_up;
	uint64_t since_ms; /* monotonic; 0 = it told nothing yet */
	char why[160];     /* it is down; "" = not known */
};

struct line {
	struct engine *engine;
	uint64_t boot_s;
	sd_varlink *link; /* NULL = no gridd */
	char inboxes[HUBS_MAX][65], tls_key[65];
	size_t n_inboxes;
	uint64_t sequence;
	struct line_hub hubs[HUBS_MAX];
	size_t n_hubs; /* 0 = it told nothing yet */
	uint64_t sessions, sessions_max, sessions_refused;
	sd_event_source *renew;
	const struct peers *peers; /* other nodes that meet this one; NULL = none */
};

MUST_CHECK int line_init(struct line *ret, struct engine *engine, uint64_t boot_s, struct err *e);
void line_deinit(struct line *l);
/* The method zos.Line.Watch {inboxes, tls_key} -> {records: [{inbox, record}], node, hubs: [{url, key, ca}], known: [key], peers: [key]} ...; no
 * inboxes and then no records for a gridd that does not know its hubs yet. `known` are the keys that the farm names: its own and whom it allows;
 * `peers` the nodes that this node's networks name. */
extern const struct json_table line_watch_table, line_state_table;
int line_watch(struct line *l, sd_varlink *link, sd_json_variant *parameters);
/* The method zos.Line.State {hubs: [{url, up, since, why}], sessions, sessions_max, sessions_refused}: how gridd stands with its hubs, and
 * how many sessions there are, may be, and were refused by a limit since it started. */
int line_state(struct line *l, sd_varlink *link, sd_json_variant *parameters);
void line_gone(struct line *l, sd_varlink *link);

/* [{url, up, since, why}], what the farm document says as long as gridd told nothing. Returns owned. */
MUST_CHECK int line_hubs_json(const struct line *l, sd_json_variant **ret);
/* {open, max, refused}. Returns owned. */
MUST_CHECK int line_sessions_json(const struct line *l, sd_json_variant **ret);
