/* A relay between two ends of a private network: what an end asks of the node that the farm made one, and what that answers. doc/network-peers.md, The relay. */
#pragma once
#include "api/meet.h"

#define CALL_RELAY "zos.Network.Relay"

enum {
	RELAY_PAIRS_MAX = 256,
	RELAY_PORT_BASE = 28160, /* UDP, two for each pair, up to the first of networks (network/span.h) */
	RELAY_PORTS = 2 * RELAY_PAIRS_MAX,
};

/* The arguments of the order. Texts are borrowed. */
struct relay_args {
	const char *public_key, *peer_key; /* WireGuard's, base64: of the signer's end and of the other */
	struct key_pub peer; /* the other node */
	sd_json_variant *approval; /* the farm's, of the signer */
};
extern const struct json_table relay_table;

/* What of ARGS is not a text any more. -EBADMSG: both ends are one. */
struct relay_ends {
	uint8_t public_key[MEET_KEY_LEN], peer_key[MEET_KEY_LEN];
};
MUST_CHECK int relay_ends_decode(const struct relay_args *args, const struct key_pub *signer, struct relay_ends *ret, struct err *e);
/* Returns owned. */
MUST_CHECK int relay_args_build(const struct relay_ends *ends, const struct key_pub *peer, sd_json_variant *approval, sd_json_variant **ret);

/* The answer: the port of the relay that is the signer's. -EBADMSG. */
MUST_CHECK int relay_answer_decode(sd_json_variant *v, uint16_t *ret, struct err *e);
