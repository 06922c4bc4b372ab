/* Identities: Ed25519 key pairs in the nkey text form (a role letter, base32, CRC-16), https://github.com/nats-io/nkeys.
 *
 * An identity is its key. A secret lives in struct key only, is wiped by its clean-up and signs DSSE documents. A node's sealing key
 * (seal.h) and those of its private networks are derived from it; and a key made for a single TLS run never signs documents. */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

typedef struct evp_pkey_st EVP_PKEY;

enum key_role { KEY_FARM = 'A', KEY_NODE = 'N', KEY_USER = 'U', KEY_OPERATOR = 'O' }; /* O: a hub's root */
enum {
	KEY_TEXT_LEN = 56,
	KEY_TEXT_SIZE = KEY_TEXT_LEN + 1,
	KEY_SEED_LEN = 58,
	KEY_SEED_SIZE = KEY_SEED_LEN + 1,
	KEY_SIG_LEN = 64,
};

struct key_pub {
	char role; /* enum key_role; 0 = none */
	uint8_t bytes[32];
};

struct key {
	struct key_pub pub;
	uint8_t seed[32];
};
#define KEY_NONE { { 0 }, { 0 } }
#define AUTO_KEY CLEANUP(key_wipe)

MUST_CHECK int key_new(char role, struct key *ret);
void key_wipe(struct key *k);

/* -EINVAL: not a key of a known role, or its check sum is wrong. *ret is left alone then. */
MUST_CHECK int key_pub_parse(struct str s, struct key_pub *ret);
MUST_CHECK int key_seed_parse(struct str s, struct key *ret);
void key_pub_format(char ret[static KEY_TEXT_SIZE], const struct key_pub *k);
void key_seed_format(char ret[static KEY_SEED_SIZE], const struct key *k); /* secret: wipe it after use */

bool key_pub_eq(const struct key_pub *a, const struct key_pub *b);

MUST_CHECK int key_sign(const struct key *k, const void *p, size_t n, uint8_t ret[static KEY_SIG_LEN]);
MUST_CHECK bool key_verify(const struct key_pub *k, const void *p, size_t n, const uint8_t sig[static KEY_SIG_LEN]);

/* N secret bytes for the purpose LABEL that follow from K's seed: HKDF-SHA256 (RFC 5869) without a salt. -ENOMEM */
MUST_CHECK int key_derive(const struct key *k, const char *label, uint8_t *ret, size_t n);

/* For TLS contexts. Return owned; NULL when out of memory or when BYTES are no point of the curve. */
EVP_PKEY *key_evp(const struct key *k);
EVP_PKEY *key_pub_evp(const struct key_pub *k);
