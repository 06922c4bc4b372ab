/* Public addresses of machines. Each is one machine's alone: what comes to it goes to the machine, on every port, and what the machine sends leaves with it
 * (one to one by the node's filter, rules.h). No link of the node or the machine has it: the node answers for it on a card (proxy ARP), and listens there
 * to nothing.
 *
 * DIR/ID/public keeps it, so that filters are the same from the first moment after a restart of the engine. */
#pragma once
#include "network/rules.h"
#include "svc/provider.h"

struct public_address {
	struct public_address *next;
	char id[WORK_ID_LEN + 1]; /* the machine's; so the next */
	unsigned index;
	uint32_t address; /* host byte order */
	char card[16];
};

struct publics {
	const char *dir; /* borrowed */
	struct public_address *first;
};

enum { PUBLIC_CHANGED = 1 }; /* outcome: the filter has to hear of it */

/* Reads what is in P->dir, which is there. P is to be released whatever is returned. */
MUST_CHECK int publics_load(struct publics *p, struct err *e);
void publics_deinit(struct publics *p);

/* Makes the address of the machine W, whose link to the node stands and has INDEX, what W says, none included. PUBLIC_CHANGED; -EEXIST: another machine has
 * it. NETLINK: a socket of the node's namespace. */
MUST_CHECK int public_apply(struct publics *p, const struct work *w, unsigned index, int netlink, struct err *e);
/* The machine's link goes after it. PUBLIC_CHANGED; 0: it had none. */
MUST_CHECK int public_remove(struct publics *p, const char *id, int netlink, struct err *e);
/* What the filter says of them; returns how many. */
size_t publics_rules(const struct publics *p, struct rules_public ret[static RULES_PUBLIC_MAX]);
