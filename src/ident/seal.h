/* Values that an owner seals to a node's key, under a name: doc/sealed.md is the format.
 *
 * HPKE (RFC 9180) in PSK mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM. The PSK is what ML-KEM-768 (FIPS 203) agreed
 * on for the same value, so that both have to fall before it can be read. A value opens for the node, the owner and the name that it was
 * sealed for, and for no other. */
#pragma once
#include "base/buf.h"
#include "ident/key.h"

enum {
	SEAL_X25519_LEN = 32,
	SEAL_MLKEM_LEN = 1184,        /* its public key */
	SEAL_MLKEM_TEXT_LEN = 1088,   /* its ciphertext */
	SEAL_PUB_LEN = SEAL_X25519_LEN + SEAL_MLKEM_LEN,
	SEAL_DIGEST_LEN = 64,         /* hex digits */
	SEAL_OVERHEAD = 1 + SEAL_X25519_LEN + SEAL_MLKEM_TEXT_LEN + 16,
	SEAL_CLEAR_MAX = 16384,       /* bytes of a value; none is empty */
	SEAL_TEXT_MAX = (SEAL_CLEAR_MAX + SEAL_OVERHEAD + 2) / 3 * 4, /* as base64 */
	SEAL_MARK_LEN = 32,           /* hex digits */
};

/* A node's: derived from its identity, which is kept anyway. */
struct seal_key {
	uint8_t x25519[32], mlkem[64], mark[32];
	uint8_t pub[SEAL_PUB_LEN];
};
#define AUTO_SEAL_KEY CLEANUP(seal_key_wipe)
MUST_CHECK int seal_key_derive(const struct key *node, struct seal_key *ret); /* -ENOMEM */
void seal_key_wipe(struct seal_key *k);

/* What a value is bound to. */
struct seal_place {
	const struct key_pub *owner, *node;
	const char *name;
};

/* Appends the sealed bytes. -EINVAL (empty, too long, or PUB is no key), -ENOMEM. */
MUST_CHECK int seal_value(const uint8_t pub[static SEAL_PUB_LEN], const struct seal_place *at, struct str clear, struct buf *ret);
/* Appends the clear bytes: wipe them with buf_wipe(). -EBADMSG when it is no sealed value for this place. */
MUST_CHECK int seal_open(const struct seal_key *k, const struct seal_place *at, struct str sealed, struct buf *ret);

/* SHA-256 of a public key: how a directory record names it. */
void seal_digest(const uint8_t pub[static SEAL_PUB_LEN], char ret[static SEAL_DIGEST_LEN + 1]);
/* Tells equal values from others, and nothing else to whoever lacks the key. */
void seal_mark(const struct seal_key *k, struct str clear, char ret[static SEAL_MARK_LEN + 1]);
