/* The node's packet filter: one nftables table, replaced whole. Default deny in both families; a machine reaches the outside and nothing
 * private, unless the farm opened the range; nothing reaches a machine or the node, but packets to WireGuard, which answers nobody that it does not
 * know, and what is sent to the public address of a machine that has one. */
#pragma once
#include "base/buf.h"
#include "base/endpoint.h"
#include "base/parse.h"

enum { RULES_RANGES_MAX = 16, RULES_RESOLVERS_MAX = 4, RULES_PUBLIC_MAX = 256 };

/* Every machine's device on the node starts with this, followed by its index; a private network's with the other. */
#define RULES_DEVICE "zm"
#define RULES_UPLINK "zn"
/* Beside a machine's device that has a limit of its bandwidth, with the same index (shape.h). */
#define RULES_SHAPER "zi"
/* Addresses of both: 100.127.0.0/16, two for each. */
#define RULES_MACHINES "100.127.0.0/16"
#define RULES_BASE_ADDRESS 0x647f0000u

/* In the gateway's namespace the links to private networks, which have addresses of their own: two for each. */
#define RULES_EDGE_LINK "gl"
#define RULES_EDGE_ADDRESSES "100.126.0.0/16"
#define RULES_EDGE_ADDRESS 0x647e0000u
#define RULES_EDGE_CARD "pub0"

struct rules_public {
	uint32_t address, machine; /* host byte order: what others know, and what its own link has */
};

struct rules {
	const char *open[RULES_RANGES_MAX];           /* IPv4 ranges, as the farm's document has them */
	size_t n_open;
	char resolvers[RULES_RESOLVERS_MAX][16];      /* IPv4: machines may ask them on port 53 wherever they are */
	size_t n_resolvers;
	const unsigned *cut;                          /* indices of machines that have no way out; borrowed */
	size_t n_cut;
	const uint16_t *tunnels;                      /* UDP ports of networks with peers (span.h); borrowed */
	size_t n_tunnels;
	const struct rules_public *public;            /* machines that are reached from outside; borrowed */
	size_t n_public;
	unsigned relay_port, n_relay_ports;           /* UDP, of a node that its farm made a relay; 0 = it is none */
	unsigned flows_max;                           /* connections at a time through each device of a machine, or of a private network */
	unsigned imaged_uid;                          /* may reach what machines may reach, and no more */
};

/* Appends the rulesets in nft's language: the table, and the one that counts connections, which stays what it is but for its rules. */
void rules_format(const struct rules *r, struct buf *ret);
/* The same for the namespace in which names are published (edge.h): the web's ports are open, and what listens there reaches public addresses and, over
 * the links, what the networks let in. */
void rules_edge_format(const struct rules *r, struct buf *ret);
/* Whether owners may have packets sent to AT: as a machine may, to nothing private that the farm did not open. */
bool rules_may_reach(const struct rules *r, const struct endpoint *at);
/* Reads up to RULES_RESOLVERS_MAX IPv4 name servers from text in resolv.conf(5) form; others are passed over. */
void rules_resolvers(struct rules *r, struct str resolv_conf);
