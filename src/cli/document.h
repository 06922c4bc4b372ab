/* What the client makes of a deployment's file: sizes as bytes, who and where filled in, signed. */
#pragma once
#include "api/deployment.h"
#include "ident/seal.h"

/* Sizes written as text ("256MiB") become bytes. -EINVAL with the path. */
MUST_CHECK int document_resolve(sd_json_variant **doc, struct err *e);

/* Whether DOC has secrets that are not sealed yet. */
bool document_is_open(sd_json_variant *doc);
/* Seals them: {"env": NAME} and {"file": PATH}, from DIR_FD on, become what only the node can open. -EINVAL, -ENOENT with the path. */
MUST_CHECK int document_seal(sd_json_variant **doc, int dir_fd, const uint8_t seal_key[static SEAL_PUB_LEN], const struct key_pub *owner,
			     const struct key_pub *node, struct err *e);

/* Fills in owner, node and sequence, and signs. Returns owned: {document: envelope}, the arguments of a call. */
MUST_CHECK int document_sign(sd_json_variant **doc, const struct key *owner, const struct key_pub *node, uint64_t sequence,
			     sd_json_variant **ret_arguments, struct err *e);

/* The reverse, for `export`: what ENVELOPE holds, without what document_sign() fills in. Returns owned. */
MUST_CHECK int document_bare(sd_json_variant *envelope, sd_json_variant **ret, struct err *e);
