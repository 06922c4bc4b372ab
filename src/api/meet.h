/* Two nodes that meet for a private network: what each says of its end, signed, and the context of the key that they share. doc/network-peers.md. */
#pragma once
#include "api/doc.h"
#include "base/endpoint.h"

#define CALL_MEET "zos.Network.Meet"
#define API_TYPE_MEETING "application/vnd.zos.meeting+json"
#define MEET_LABEL "EXPERIMENTAL zos network psk 1"

enum {
	MEET_KEY_LEN = 32,
	MEET_KEY_TEXT_LEN = 44, /* base64 */
	MEET_ENDPOINTS_MAX = 8,
	MEET_NETWORK_MAX = 2 * 36 + 1,
	MEET_CONTEXT_MAX = 3 * 33 + 8 + 1 + MEET_NETWORK_MAX,
	MEET_LIFE_S = 60, /* of the documents */
};

/* One end of a network, as WireGuard's other end needs it. */
struct meet_end {
	uint8_t public_key[MEET_KEY_LEN];
	uint16_t port; /* 0 = it does not say */
	struct endpoint endpoints[MEET_ENDPOINTS_MAX]; /* best first */
	size_t n_endpoints;
};

/* The arguments of the order, and what the answer repeats of them. Texts are borrowed. */
struct meet_args {
	struct key_pub owner;
	const char *network, *public_key;
	uint64_t sequence, port;
	sd_json_variant *endpoints, *approval;
};
extern const struct json_table meet_table;

/* What of ARGS is not a text any more. -EBADMSG. */
MUST_CHECK int meet_end_decode(const struct meet_args *args, struct meet_end *ret, struct err *e);

/* NETWORK: "deployment/workload". */
bool meet_network_ok(struct str network);

/* 0 when APPROVAL is FARM's for NODE; -EACCES with a sentence. */
MUST_CHECK int meet_approval_check(sd_json_variant *approval, const struct key_pub *farm, const struct key_pub *node, struct err *e);

/* What a meeting is about, whoever says it. */
struct meet_about {
	const struct key_pub *owner;
	const char *network;
	uint64_t sequence;
};

/* The order's arguments. APPROVAL: this node's. Returns owned. */
MUST_CHECK int meet_args_build(const struct meet_about *about, const struct meet_end *own, sd_json_variant *approval, sd_json_variant **ret);

/* The answer. */
struct meeting {
	struct doc doc;
	struct meet_args args;
	struct key_pub node, peer;
	const char *nonce;
	int64_t expires_s;
	struct meet_end end;
};
#define AUTO_MEETING CLEANUP(meeting_deinit)
/* NODE answers ORDER, whose arguments are ABOUT's. Appends the envelope. */
MUST_CHECK int meeting_sign(const struct key *node, const struct order *order, const struct meet_about *about, const struct meet_end *own,
			    sd_json_variant *approval, struct buf *ret);
/* What has to hold of an answer. */
struct meeting_want {
	const struct key_pub *node, *peer, *farm; /* who was asked, who asked, whose nodes both are */
	const char *nonce;
	struct meet_about about;
};
/* -EBADMSG, -EKEYREJECTED, -EXDEV (it answers something else), -ETIME, -EACCES (not of the farm). */
MUST_CHECK int meeting_open(sd_json_variant *envelope, const struct meeting_want *want, int64_t now_s, struct meeting *ret, struct err *e);
void meeting_deinit(struct meeting *m);

/* What the pre-shared key is bound to; how many bytes of RET. NETWORK is meet_network_ok(). */
size_t meet_context(const struct key_pub *dialler, const struct key_pub *listener, const struct meet_about *about,
		    uint8_t ret[static MEET_CONTEXT_MAX]);
