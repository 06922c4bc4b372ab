/* The parts of a private network that others have: other nodes, whom this one meets (svc/meeting.h), whoever has a WireGuard key, and its owner's
 * devices, each of which has a key and one address of this node's own part.
 *
 * A network with such peers has a WireGuard device, wg0, in its namespace, with a peer for each; its UDP socket is in the node's namespace, on
 * a port of its own that no other network of this node has. Packets pass between wg0 and the bridge for the declared ranges alone. A peer
 * that is a node is nobody to WireGuard until it was met, and then never without a pre-shared key. What the filters need to know, and which
 * key belongs to which node, is in DIR/ID/span; keys of this node and pre-shared ones are in no file.
 *
 * One owner, the loop's thread. */
#pragma once
#include "api/meet.h"
#include "svc/path.h"
#include "svc/provider.h"
#include "sys/wireguard.h"

#define SPAN_DEVICE "wg0"
#define SEGMENT_BRIDGE "br0"
enum {
	SPAN_PORT_BASE = 28672, /* up to the first that the kernel gives to whoever asks for any: ip_local_port_range */
	SPAN_PORTS = 4096,
	SPAN_KEEPALIVE_S = 25,  /* what is between two ends forgets a flow after 30 s, or later */
};

struct span_peer {
	char device[37];         /* its name; "" = it is none */
	struct network_peer is;  /* of a node PUBLIC_KEY, too, once it was met */
	bool is_known;           /* its public key is */
	bool is_met;             /* in this run */
	bool has_preshared;      /* as the kernel says, at the last look */
	struct path path;
};

struct span {
	uint16_t port;           /* 0 = the network is on this node alone, and there is no device */
	struct genl wg;
	bool is_up;              /* the device is, with PUBLIC_KEY */
	uint8_t public_key[WIREGUARD_KEY_LEN];
	struct span_peer *peers; /* owned */
	size_t n_peers;
};
#define SPAN_NONE { .wg = GENL_NONE }

struct segment;
struct segments;

/* Makes G's device and peers what W asks for; of peers that are unchanged nothing is touched. NETLINK: a socket of the node's namespace. */
MUST_CHECK int span_apply(struct segment *g, const struct work *w, int netlink, struct err *e);
/* G's namespace goes, or its peers do: forgets them. The device is the caller's. */
void span_end(struct segment *g);
void span_deinit(struct span *s);
/* As people are told: an object with this node's end and the peers. Returns owned. */
MUST_CHECK int span_describe(struct segment *g, sd_json_variant **ret);

/* For all networks: looks at the ways to peers from time to time, and tells others when this node's addresses change. */
MUST_CHECK int spans_init(struct segments *s, struct err *e);
void spans_deinit(struct segments *s);

/* tunnel.c: the device in the kernel. All of it done already is fine, and absent when it is to go, too. */
MUST_CHECK int tunnel_make(struct segment *g, const struct wireguard_key *key, int netlink, struct err *e);
MUST_CHECK int tunnel_remove(struct segment *g, struct err *e);
MUST_CHECK int tunnel_route(const struct segment *g, const struct network_peer *p, bool is_there, struct err *e);
/* In the network's namespace: lets tunnel_stand_for() have an effect. */
MUST_CHECK int tunnel_proxies_allow(struct err *e);
/* The gateway answers for P, a device, whom machines look for on the bridge; or does not any more. */
MUST_CHECK int tunnel_stand_for(const struct segment *g, const struct network_peer *p, bool is_there, struct err *e);
/* The ranges of P, as WireGuard takes them; how many. */
size_t tunnel_ranges(const struct network_peer *p, struct netlink_net ret[static 2]);
