/* Who is relayed to whom: doc/network-peers.md, The relay. No I/O, no clock: a datagram goes in, where it is to go comes out.
 *
 * A pair is two ends of a private network, each a WireGuard key on a node. Either has a port here: what it sends there is for the other, which gets it
 * from its own port. WireGuard's messages stay as they are; of those that shake hands the first of two checks (mac1, of Donenfeld's paper, 5.4.4) is
 * looked at, which only who knows the public key of the other end can make. From nothing else an address is learned.
 *
 * The table lies in memory that outlives the process (relayd.c), so a killed relay goes on where it was: plain numbers, no pointers. One owner. */
#pragma once
#include "api/relay.h"

enum {
	RELAY_LIFE_MS = 600000,   /* of a pair that nobody asks for and nothing passes */
	RELAY_HEARD_MS = 200000,  /* an address that nothing came from for so long is nobody's: WireGuard shakes hands every 2 min */
	RELAY_NODE_MAX = 64,      /* pairs that one node may ask for */
	RELAY_DATAGRAM_MAX = 4096,
};

struct relay_end {
	struct key_pub node;
	uint8_t public_key[MEET_KEY_LEN];
	bool has_asked;
	struct endpoint at; /* where it was heard last; family 0 = not yet */
	uint8_t by[16];     /* our address that it sent to, IPv4 inside IPv6: what it gets comes from there */
	uint64_t heard_ms;  /* monotonic */
};
struct relay_pair {
	struct relay_end ends[2];
	uint64_t until_ms; /* monotonic; 0 = free */
};
struct relay_pairs {
	uint64_t version;                /* RELAY_VERSION: of what follows */
	uint64_t datagrams, bytes;       /* passed on */
	uint64_t dropped;                /* datagrams */
	struct relay_pair list[RELAY_PAIRS_MAX];
};
#define RELAY_VERSION (0x7a6f7372ull << 32 | sizeof(struct relay_pairs)) /* another layout is another version */

/* NODE's end with ENDS->public_key asks for the one of PEER. RET: its port, the same each time. -ENOSPC: RELAY_NODE_MAX, RELAY_PAIRS_MAX. */
MUST_CHECK int relay_pairs_ask(struct relay_pairs *p, const struct key_pub *node, const struct key_pub *peer, const struct relay_ends *ends,
			       uint64_t now_ms, uint16_t *ret, struct err *e);

struct relay_hop {
	struct endpoint at; /* of an end */
	uint8_t by[16];     /* of ours */
};
/* DATAGRAM came FROM an end to port RELAY_PORT_BASE + PORT. RELAY_PASS: it goes out of the port of the same pair that is PORT ^ 1, to *RET; else nowhere. */
enum { RELAY_PASS = 1 };
int relay_pairs_take(struct relay_pairs *p, size_t port, const struct relay_hop *from, struct str datagram, uint64_t now_ms, struct relay_hop *ret);

size_t relay_pairs_count(const struct relay_pairs *p, uint64_t now_ms);

/* mac.c: whether DATAGRAM, a handshake message of WireGuard's, is for who has PUBLIC_KEY, as its mac1 says. */
bool relay_mac_ok(const uint8_t public_key[static MEET_KEY_LEN], struct str datagram);
