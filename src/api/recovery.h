/* What lets the owner of a farm open a disk whose TPM is gone: a secret of that disk alone, sealed to the farm's recovery key while the farm document
 * names one (doc/disk.md), and sealed to the node once more when it comes back in an order. doc/sealed.md is the format of both.
 *
 * The recovery key is a key pair of its own, in the farm owner's keeping: it signs nothing, and its identity is used for nothing else. */
#pragma once
#include "base/err.h"
#include "ident/seal.h"

enum {
	RECOVERY_SECRET_LEN = 64,
	RECOVERY_PUB_TEXT_LEN = (SEAL_PUB_LEN + 2) / 3 * 4, /* the public key as base64 */
	RECOVERY_SEALED_TEXT_LEN = (RECOVERY_SECRET_LEN + SEAL_OVERHEAD + 2) / 3 * 4, /* the sealed secret as base64 */
};

/* Of a disk, and for whom. */
struct recovery_place {
	const struct key_pub *farm, *to; /* TO: the farm again for what lies on the disk; the node for what an order brings it */
	const char *uuid; /* of its header */
};

/* -EINVAL: TEXT is no base64 of a public key. */
MUST_CHECK int recovery_pub_parse(struct str text, uint8_t ret[static SEAL_PUB_LEN]);

/* Appends base64. -EINVAL (PUB is no key), -ENOMEM. */
MUST_CHECK int recovery_seal(const uint8_t pub[static SEAL_PUB_LEN], const struct recovery_place *at,
			     const uint8_t secret[static RECOVERY_SECRET_LEN], struct buf *ret);
/* -EBADMSG: it was not sealed for K and this place. RET is the caller's to wipe. */
MUST_CHECK int recovery_open(const struct seal_key *k, const struct recovery_place *at, struct str sealed, uint8_t ret[static RECOVERY_SECRET_LEN]);
