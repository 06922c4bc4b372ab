/* The text form of keys (https://github.com/nats-io/nkeys): bytes and their CRC-16 in base32, the first of them the role.
 *
 * The role stands in the upper five bits of the first byte, so that the text starts with its letter; a seed starts with "S" and carries
 * its role across two bytes. Apart from key.c because most programs read keys and only few use them: these need no libcrypto. */
#pragma once
#include "ident/key.h"

enum { NKEY_CRC_LEN = 2, NKEY_PREFIX_SEED = 18 << 3 };

/* Exactly N bytes and their check sum; RET has room for NKEY_CRC_LEN more. */
MUST_CHECK int nkey_decode(struct str s, uint8_t *ret, size_t n);
/* Writes the check sum behind the N bytes, for which there is room, and the text of both with a NUL. */
void nkey_encode(char *ret, uint8_t *bytes, size_t n);

uint8_t nkey_prefix(char role);
MUST_CHECK int nkey_role(uint8_t prefix, char *ret);
