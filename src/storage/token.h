/* What a node remembers of a disk of its own, in the disk's LUKS2 header: a token of type `zos` (doc/disk.md). */
#pragma once
#include "storage/answer.h"

#include <stdint.h>

enum {
	TOKEN_VERSION = 1,
	TOKEN_MAX = 4096,    /* bytes of its JSON */
	TOKEN_SECRET_LEN = 64,
	TOKEN_SEALED_MAX = 1024,
};

struct token {
	char farm[ANSWER_FARM_SIZE];      /* the key of the farm whose node made it; "" = it had none */
	bool is_rotational;               /* as the kernel said then */
	enum answer_key key;              /* never ANSWER_KEY_NONE */
	uint8_t secret[TOKEN_SECRET_LEN]; /* what opens the disk: ANSWER_KEY_DISK */
	uint8_t sealed[TOKEN_SEALED_MAX]; /* the same as the TPM keeps it: ANSWER_KEY_TPM */
	size_t sealed_len;
};
#define AUTO_TOKEN CLEANUP(token_deinit)
void token_deinit(struct token *t); /* wipes it */

/* -EBADMSG: not such a token, or of a version that this node does not know. */
MUST_CHECK int token_decode(struct str text, struct token *ret, struct err *e);
MUST_CHECK int token_encode(const struct token *t, struct buf *ret);
