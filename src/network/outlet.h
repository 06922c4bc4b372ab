/* A published name of this node's; where its backends are in a private network, what the network's filter lets in from the gateway's namespace (edge.h).
 *
 * DIR/ID/outlet keeps it, so that filters are the same from the first moment after a restart of the engine. */
#pragma once
#include "network/segment.h"

struct outlet {
	struct outlet *next;
	char id[WORK_ID_LEN + 1], network[WORK_ID_LEN + 1]; /* network "": its backends have public addresses, and the next is empty */
	struct endpoint to[GATEWAY_BACKENDS_MAX]; /* IPv4 */
	size_t n_to;
	struct work *waiting; /* to be told when the network's filter lets them in; NULL = none */
};

/* Lets W's backends be reached, and says by which device. PROVIDER_BUSY: S->done() tells. */
MUST_CHECK int outlet_apply(struct segments *s, struct work *w, struct err *e);
/* Absent is fine. */
MUST_CHECK int outlet_remove(struct segments *s, const char *id, struct err *e);
/* The filter of the network G is in force, or not. */
void outlets_loaded(struct segment *g, int r, const struct err *e);
/* Whether G has any; and those backends as the elements of a set "ipv4_addr . inet_service". */
bool outlets_has(const struct segment *g);
void outlets_format(const struct segment *g, struct buf *ret);

/* From DIR/ID/outlet. */
void outlet_load(struct segments *s, const char *id, struct str text);
void outlets_free(struct segments *s);
