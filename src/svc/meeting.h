/* Between what meets other nodes (node/meet.c) and what has networks: two ends of one interface, so that neither knows the other.
 *
 * Whoever has networks says which other nodes they name, and what their own ends are; it is told the other ends as they are met, and the keys. All calls
 * come in the loop's thread and return at once. */
#pragma once
#include "api/relay.h"

/* One network with one other node. */
struct meeting_with {
	struct key_pub owner, node;
	const char *network; /* "deployment/workload", borrowed */
};

/* What whoever meets gives. */
struct meetings {
	/* A network of this node names WITH's node as a peer, or does not any more. Known already, or not at all, is fine. -ENOSPC, -ELOOP (it is this node), -EINVAL. */
	int (*want)(void *ctx, const struct meeting_with *with, struct err *e);
	void (*forget)(void *ctx, const struct meeting_with *with);
	/* This node's end of the network is another now: the others are told. */
	void (*changed)(void *ctx, const struct key_pub *owner, const char *network);
	/* No straight way leads to WITH's node: its farm's relays are asked, and tell by relayed() what they say. Asked again soon is fine. FAMILY: of this
	 * node's addresses. */
	void (*relay)(void *ctx, const struct meeting_with *with, const struct relay_ends *ends, int family);
	/* WireGuard's private key of this node's end of the network: always the same, and kept nowhere. The caller wipes it. -ENOMEM */
	int (*private_key)(void *ctx, const struct key_pub *owner, const char *network, uint8_t ret[static MEET_KEY_LEN]);
	void *ctx;
};

/* What whoever has networks gives. */
struct meeting_ends {
	/* This node's end of the network, as it is now. -ENOENT when there is no such network, or it does not name that node. */
	int (*own)(void *ctx, const struct meeting_with *with, struct meet_end *ret);
	/* The other end was met, for the first time or again. PSK is borrowed for the call, and wiped after it: both nodes have it now. */
	void (*met)(void *ctx, const struct meeting_with *with, const struct meet_end *peer, const uint8_t psk[static MEET_KEY_LEN]);
	/* Relays lead to the other end by AT, N of them, in this order: all that there are now. */
	void (*relayed)(void *ctx, const struct meeting_with *with, const struct endpoint *at, size_t n);
	void *ctx;
};
