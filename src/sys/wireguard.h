/* The kernel's WireGuard devices, through its netlink family (include/uapi/linux/wireguard.h): a peer at a time, so that a change of one does
 * not touch what flows to another.
 *
 * A device is made in one namespace and lives in another: its UDP socket stays where it was made. All else is asked in the namespace
 * that it lives in. One owner, one thread. */
#pragma once
#include "base/endpoint.h"
#include "sys/genl.h"
#include "sys/netlink.h"

enum {
	WIREGUARD_KEY_LEN = 32,
	WIREGUARD_PEERS_MAX = 1024,
	WIREGUARD_ALLOWED_MAX = 64, /* ranges of one peer */
	WIREGUARD_OVERHEAD = 80,    /* bytes that a packet grows by, at most (IPv6 outside) */
};

/* A private or a pre-shared key. */
struct wireguard_key {
	uint8_t bytes[WIREGUARD_KEY_LEN];
};
#define AUTO_WIREGUARD_KEY CLEANUP(wireguard_key_wipe)
void wireguard_key_wipe(struct wireguard_key *k);

/* What a call changes; the rest stays as it is. */
struct wireguard_config {
	const struct wireguard_key *private_key; /* borrowed; NULL = as it is */
	bool has_port, has_fwmark;
	uint16_t port;   /* 0 = the kernel's choice */
	uint32_t fwmark; /* of the packets that leave; 0 = none */
};

enum wireguard_change {
	WIREGUARD_PRESHARED = 1,
	WIREGUARD_ENDPOINT = 2,
	WIREGUARD_KEEPALIVE = 4,
	WIREGUARD_ALLOWED = 8, /* all ranges anew: packets may be lost in that moment, of this peer alone */
	WIREGUARD_MAKE = 16,   /* where there is no such peer; without it an absent one stays absent, and that is fine */
};
struct wireguard_peer {
	uint8_t public_key[WIREGUARD_KEY_LEN];
	unsigned changes;                      /* enum wireguard_change: which of these count */
	const struct wireguard_key *preshared; /* borrowed; NULL = none any more. Counts from the next handshake on */
	struct endpoint endpoint;
	uint16_t keepalive_s; /* 0 = off */
	const struct netlink_net *allowed; /* borrowed. A range that another peer has moves to this one */
	size_t n_allowed;
};

struct wireguard_peer_state {
	uint8_t public_key[WIREGUARD_KEY_LEN];
	bool has_preshared;
	struct endpoint endpoint;
	uint16_t keepalive_s;
	int64_t handshake_s; /* Unix time of the last one; 0 = none yet */
	uint64_t rx_bytes, tx_bytes;
	struct netlink_net allowed[WIREGUARD_ALLOWED_MAX];
	size_t n_allowed;
};
struct wireguard_state {
	uint8_t public_key[WIREGUARD_KEY_LEN];
	bool has_key;
	uint16_t port;
	uint32_t fwmark;
	struct wireguard_peer_state *peers; /* owned */
	size_t n_peers;
};
#define WIREGUARD_STATE_NONE { .n_peers = 0 }
#define AUTO_WIREGUARD_STATE CLEANUP(wireguard_state_deinit)
void wireguard_state_deinit(struct wireguard_state *s);

/* Makes the device NAME where NETLINK_FD is, and moves it into the namespace NETNS_FD. -EEXIST when either has a NAME; nothing stays behind after a
 * failure. netlink_remove() there removes it. */
MUST_CHECK int wireguard_make(int netlink_fd, const char *name, int netns_fd, struct err *e);

/* A socket for the devices of the calling thread's namespace, also after the thread has left it. -EOPNOTSUPP. genl_close() releases it. */
MUST_CHECK int wireguard_open(struct genl *ret, struct err *e);

/* -EADDRINUSE when the device is up and somebody has the port. */
MUST_CHECK int wireguard_configure(const struct genl *g, const char *name, const struct wireguard_config *c, struct err *e);
/* -E2BIG beyond WIREGUARD_ALLOWED_MAX. The device's own public key is nobody's peer: the kernel leaves it out in silence. */
MUST_CHECK int wireguard_set_peer(const struct genl *g, const char *name, const struct wireguard_peer *p, struct err *e);
MUST_CHECK int wireguard_remove_peer(const struct genl *g, const char *name, const uint8_t public_key[static WIREGUARD_KEY_LEN],
				     struct err *e); /* absent is fine */
/* -ENODEV, -E2BIG beyond WIREGUARD_PEERS_MAX or, of one peer, WIREGUARD_ALLOWED_MAX. RET is untouched on failure. */
MUST_CHECK int wireguard_get(const struct genl *g, const char *name, struct wireguard_state *ret, struct err *e);

/* What the calls above are made of, for tests without such a kernel: the message of wireguard_set_peer(), and one message of the answer to
 * wireguard_get(), which may go on with the peer that the one before ended with. -EBADMSG, -E2BIG, -ENOMEM. */
void wireguard_encode_peer(struct nlmsg *q, const struct genl *g, const char *name, const struct wireguard_peer *p);
MUST_CHECK int wireguard_decode(struct rd body, struct wireguard_state *s);
