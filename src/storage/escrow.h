/* What a disk keeps for the owner of its farm while the farm document names a recovery key: a key slot of its own, whose secret lies in a token of type
 * `zos-recovery`, sealed to that key (doc/disk.md). The node that writes it forgets the secret at once. */
#pragma once
#include "api/json.h"
#include "api/recovery.h"

#include <stdbool.h>

enum { ESCROW_VERSION = 1, ESCROW_MAX = 4096 /* bytes of the token */ };
#define ESCROW_TYPE "zos-recovery"

struct escrow {
	bool is_there; /* something of it is; without a key below it is of no use, such as when writing it was cut off */
	char key[SEAL_DIGEST_LEN + 1]; /* whom it is sealed to: SHA-256 of the public key, hex digits; "" = nobody knows */
	char sealed[RECOVERY_SEALED_TEXT_LEN + 1]; /* base64; "" = none */
};

/* Whether it is as the farm wants it: sealed to the key with the digest WANTED, or with "" not there at all. */
bool escrow_is(const struct escrow *x, const char *wanted);

/* The token. -EBADMSG: none that this node knows. */
MUST_CHECK int escrow_decode(struct str text, struct escrow *ret, struct err *e);
/* X's key and sealed, with SLOT for its key slot. */
MUST_CHECK int escrow_encode(const struct escrow *x, const char *slot, struct buf *ret);

/* As a part of what a child says (answer.h). Not there: *ret is NULL. Returns owned. */
MUST_CHECK int escrow_answer_json(const struct escrow *x, sd_json_variant **ret);
MUST_CHECK int escrow_answer_decode(sd_json_variant *v, struct escrow *ret, struct err *e);
