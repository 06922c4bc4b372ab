/* Headers of tar archives, as POSIX.1-2001 (pax) and GNU tar write them: fields of a block, and the records of an extended header. Pure. */
#pragma once
#include "base/buf.h"
#include "base/cleanup.h"

#include <stdint.h>

enum { USTAR_BLOCK = 512 };
/* Offsets and lengths in a header, which is a block. */
enum {
	USTAR_AT_NAME = 0,
	USTAR_AT_MODE = 100,
	USTAR_AT_UID = 108,
	USTAR_AT_GID = 116,
	USTAR_AT_SIZE = 124,
	USTAR_AT_MTIME = 136,
	USTAR_AT_SUM = 148,
	USTAR_AT_TYPE = 156,
	USTAR_AT_LINK = 157,
	USTAR_AT_MAGIC = 257,
	USTAR_AT_PREFIX = 345,
};
enum { USTAR_NAME_LEN = 100, USTAR_ID_LEN = 8, USTAR_SIZE_LEN = 12, USTAR_SUM_LEN = 8, USTAR_PREFIX_LEN = 155 };
#define USTAR_SIZE_MAX (1ull << 42) /* no number in an archive is larger */

/* Octal digits between spaces, or GNU's base 256 when the first bit is set. -EBADMSG. */
MUST_CHECK int ustar_number(const uint8_t *p, size_t n, uint64_t *ret);
/* What stands there up to a NUL or MAX. */
struct str ustar_field(const uint8_t *p, size_t max);
bool ustar_sum_ok(const uint8_t block[static USTAR_BLOCK]);
void ustar_sum_set(uint8_t block[static USTAR_BLOCK]);
bool ustar_is_zero(const uint8_t block[static USTAR_BLOCK]);
/* N bytes of content, and what fills its last block. */
uint64_t ustar_padded(uint64_t n);

enum { PAX_END = 0, PAX_RECORD = 1 };
/* Takes one "LENGTH KEY=VALUE\n" off the front of *REST. -EBADMSG. */
MUST_CHECK int pax_next(struct str *rest, struct str *ret_key, struct str *ret_value);
/* Appends one. */
void pax_put(struct buf *ret, const char *key, struct str value);
