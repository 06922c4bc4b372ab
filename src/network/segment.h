/* The private networks on this node and the machines in them.
 *
 * Each network is a network namespace with a bridge (br0), whose address is the gateway, a packet filter of its own, and, where it leads outside,
 * a link to the node (up0) for the names there. A machine's port on the bridge is called by its index, as its own link to the node is. What
 * the filters need to know is in DIR (ID/bridge, ID/links, ID/span), so that they are the same from the first moment after a restart. */
#pragma once
#include "network/filter.h"
#include "network/names.h"
#include "network/rules.h"
#include "network/span.h"
#include "svc/meeting.h"
#include "svc/provider.h"

struct member { /* a machine that is in networks */
	struct member *next;
	char id[WORK_ID_LEN + 1], family[WORK_ID_LEN + 1];
	unsigned index;
	struct member_link {
		char network[WORK_ID_LEN + 1];
		uint8_t mac[6], address6[16];
		uint32_t address;
	} links[ZMACHINE_NETWORKS_MAX];
	size_t n_links;
};

struct segments;
struct segment { /* a network */
	struct segment *next;
	struct segments *all;
	char id[WORK_ID_LEN + 1], family[WORK_ID_LEN + 1];
	char netns[64];
	struct key_pub owner;
	char name[MEET_NETWORK_MAX + 1]; /* deployment/workload; "" = it was not applied in this run */
	unsigned index;
	bool outgoing;
	struct range4 gateway; /* with the subnet's prefix */
	struct range6 gateway6;
	struct span span;
	struct filter filter;
	struct work *waiting; /* to be told when the filter is in force; NULL = none */
};

struct outlet;
struct edge;
struct segments {
	sd_event *event;
	const char *dir, *filter; /* borrowed */
	struct names names;
	uid_t tap_uid;
	struct segment *first;
	struct member *members;
	struct outlet *outlets;          /* names that are published (outlet.h) */
	const struct edge *edge;         /* where; borrowed */
	const struct meetings *meetings; /* NULL = other nodes are not met; borrowed */
	struct meeting_ends ends;        /* for whoever meets */
	struct endpoint own[MEET_ENDPOINTS_MAX]; /* this node's addresses; ports mean nothing */
	size_t n_own;
	int addresses_fd;
	sd_event_source *addresses, *look;
	/* The filter of a network that was applied is in force, or not. */
	void (*done)(void *ctx, struct work *w, int r, const struct err *e);
	void *ctx;
};
#define SEGMENTS_NONE { .addresses_fd = -1 }

/* Reads what is in S->dir, which is there. S is to be released whatever is returned. */
MUST_CHECK int segments_init(struct segments *s, struct err *e);
void segments_deinit(struct segments *s);

/* Makes W's network; INDEX: of its own on this node. NETLINK: a socket of the node's namespace. PROVIDER_BUSY: done() tells. */
MUST_CHECK int segment_apply(struct segments *s, struct work *w, unsigned index, int netlink, struct err *e);
/* 1 when it was a network, 0 when there is none of that name. */
MUST_CHECK int segment_remove(struct segments *s, const char *id, int netlink, struct err *e);
/* S->names asks others from now on. */
void segments_resolvers_changed(struct segments *s);

/* Makes W's ports what W's links say, and says where they are; CONTAINER: the path of its namespace, "" for a virtual machine. */
MUST_CHECK int member_apply(struct segments *s, struct work *w, unsigned index, const char *container, struct err *e);
MUST_CHECK int member_remove(struct segments *s, const char *id, struct err *e);

/* Whether the machine M is in networks, and none of them leads outside. */
bool member_is_cut(const struct segments *s, const struct member *m);

/* segment_rules.c: the network's filter, in nft's language. */
void segment_rules_format(const struct segment *g, struct buf *ret);

/* segment_state.c: what is kept in DIR. */
struct segment *segment_find(const struct segments *s, const char *id); /* NULL = none; so the next */
struct member *member_find(const struct segments *s, const char *id);
MUST_CHECK int segment_save(const struct segment *g, struct err *e);
MUST_CHECK int member_save(const struct segments *s, const struct member *m, struct err *e);
MUST_CHECK int segment_span_save(const struct segment *g, struct err *e);
MUST_CHECK int segments_load(struct segments *s, struct err *e);
