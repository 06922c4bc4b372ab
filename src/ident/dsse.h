/* Signed documents: DSSE envelopes (https://github.com/secure-systems-lab/dsse, protocol and envelope, version 1).
 *
 * The payload is kept and verified as the bytes that were sent. Nothing of it is parsed before dsse_verify() said yes. Keyids
 * are identities in nkey text; every signature that an envelope carries must hold, or the whole envelope is refused. */
#pragma once
#include "base/buf.h"
#include "ident/key.h"

typedef struct sd_json_variant sd_json_variant;

enum {
	DSSE_SIGNATURES_MAX = 8,
	DSSE_TYPE_MAX = 80,
	DSSE_PAYLOAD_MAX = 1024 * 1024, /* bytes */
	DSSE_TEXT_MAX = (DSSE_PAYLOAD_MAX + 2) / 3 * 4 + (8 << 10), /* of an envelope as text */
};

struct dsse_signature {
	struct key_pub by;
	uint8_t sig[KEY_SIG_LEN];
};

struct dsse {
	char type[DSSE_TYPE_MAX + 1];
	struct buf payload;
	struct dsse_signature signatures[DSSE_SIGNATURES_MAX];
	size_t n_signatures;
};
#define DSSE_NONE { .n_signatures = 0 }
#define AUTO_DSSE CLEANUP(dsse_deinit)

void dsse_deinit(struct dsse *d);

/* Takes an envelope apart: shape, base64, keyids and limits are checked, signatures are not yet. -EBADMSG or -EFBIG. RET is to be
 * released by dsse_deinit() whatever is returned. */
MUST_CHECK int dsse_decode(sd_json_variant *envelope, struct dsse *ret, struct err *e);
MUST_CHECK int dsse_decode_text(struct str json, struct dsse *ret, struct err *e);

/* 0 when the payload type is TYPE and all signatures hold; -EBADMSG or -EKEYREJECTED with a sentence. */
MUST_CHECK int dsse_verify(const struct dsse *d, const char *type, struct err *e);

bool dsse_is_signed_by(const struct dsse *d, const struct key_pub *k);

/* Appends the envelope's JSON text to RET. */
MUST_CHECK int dsse_sign(const char *type, struct str payload, const struct key *keys, size_t n_keys, struct buf *ret);

/* What is signed: PAE of the DSSE protocol. Both strings are preceded by their lengths, so no two documents share an encoding. Appends. For
 * what has no room for an envelope (api/diagnosis.h). */
void dsse_pae(struct buf *ret, const char *type, struct str payload);
