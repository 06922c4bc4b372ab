/* Where published names are reached: a network namespace of its own, whose card pub0 has the public addresses that the farm gave this node, and
 * which passes nothing on. What listens there is the gateway's (src/gateway); the node itself has no part in it.
 *
 * It leads to private networks by a link for each that has backends of a published name: gl<N> here, N the network's number, and gw0 in the
 * network's namespace, a /31 of 100.126.0.0/16. Sockets here are bound to one of them, so that networks with the same addresses are apart; what
 * comes in there goes to the declared backends alone (segment_rules.c). */
#pragma once
#include "network/filter.h"
#include "network/rules.h"
#include "svc/provider.h"

#define EDGE_DIR "/run/zos/gateway"
#define EDGE_CARD RULES_EDGE_CARD
#define EDGE_DOOR "gw0"

struct edge {
	const char *dir;           /* EDGE_DIR, or a test's; borrowed. NULL = there are no gateways */
	char netns[64];
	bool has_role;             /* this node has one; with the next */
	char card[16];
	struct range4 address;     /* with the network's prefix */
	uint32_t router;
	struct range6 address6;    /* prefix 0 = none */
	uint8_t router6[16];
	const struct rules *rules; /* borrowed: which private ranges are open, and who answers for names */
	struct filter filter;
	const char *filter_program;
	sd_event *event;           /* borrowed */
};

/* An edge that edge_deinit() takes: O's rest is zero. */
void edge_deinit(struct edge *o);
/* What the farm says of this node; NULL = it is no gateway, and its card goes. What stands becomes that with the next edge_make(). */
void edge_configure(struct edge *o, const struct farm_gateway *g);
/* Its rules, or what they name, have changed. */
void edge_rules_changed(struct edge *o);

/* Makes all of it what it shall be. NETLINK: a socket of the node's namespace. -ENODEV: the farm has not made this node a gateway. */
MUST_CHECK int edge_make(struct edge *o, int netlink, struct err *e);
/* The last published name is gone. */
MUST_CHECK int edge_remove(struct edge *o, struct err *e);

/* A link to the network with INDEX, whose namespace is NETNS. Already there, or absent when it is to go, is fine. */
MUST_CHECK int edge_link(const struct edge *o, const char *netns, unsigned index, struct err *e);
MUST_CHECK int edge_unlink(const struct edge *o, unsigned index, struct err *e);
void edge_link_name(unsigned index, char ret[static 16]);
