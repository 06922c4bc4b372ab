/* gridd's own line to the engine: it names the inbox and the TLS key of its run and gets, again at every change, the signed record to
 * publish and the hubs to connect to. At most one gridd is served: the newest. */
#pragma once
#include "node/engine.h"

enum { RECORD_LIFE_S = 300, RECORD_RENEW_S = 100 };

/* How gridd stands with its hub, as it told last. */
struct line_hub {
	bool is_up;
	uint64_t since_ms; /* monotonic; 0 = it told nothing yet */
	char why[160];     /* it is down; "" = not known */
};

struct line {
	struct engine *engine;
	uint64_t boot_s;
	sd_varlink *link; /* NULL = no gridd */
	char inbox[65], tls_key[65];
	uint64_t sequence;
	struct line_hub hub;
	sd_event_source *renew;
};

MUST_CHECK int line_init(struct line *ret, struct engine *engine, uint64_t boot_s, struct err *e);
void line_deinit(struct line *l);
/* The method zos.Line.Watch {inbox, tls_key} -> {record, node, hubs: [{url, key}]} ...; inbox and then record are "" for a gridd that does
 * not know its hub yet. */
int line_watch(struct line *l, sd_varlink *link, sd_json_variant *parameters);
/* The method zos.Line.State {up, since, why}: how gridd stands with its hub. */
int line_hub(struct line *l, sd_varlink *link, sd_json_variant *parameters);
void line_gone(struct line *l, sd_varlink *link);
