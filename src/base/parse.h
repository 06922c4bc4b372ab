/* Text to numbers, sizes, durations, times, encodings: here and nowhere else.
 *
 * All return 0, -EINVAL (not that kind of thing) or -ERANGE (too large), and leave *ret alone on failure.
 * Nothing is skipped: no leading space, no sign, no trailing text. */
#pragma once
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/str.h"

#include <stdint.h>

/* Addresses of which the first PREFIX bits are the same. */
struct range4 {
	uint32_t address; /* host byte order */
	unsigned prefix;
};
struct range6 {
	uint8_t address[16];
	unsigned prefix;
};

MUST_CHECK int parse_u64(struct str s, uint64_t max, uint64_t *ret); /* decimal */
MUST_CHECK int parse_bytes(struct str s, uint64_t *ret_bytes);        /* 10, 4KiB, 10GiB, 1TiB: powers of 1024 */
MUST_CHECK int parse_duration(struct str s, uint64_t *ret_ms);       /* 250ms, 30s, 5m, 2h, 7d */
MUST_CHECK int parse_utc(struct str s, int64_t *ret_s);             /* RFC 3339 in UTC: 2026-01-31T12:00:00Z; Unix seconds */
MUST_CHECK int parse_hex(struct str s, uint8_t *ret, size_t n);      /* exactly 2n lower-case digits */
MUST_CHECK int parse_base64(struct str s, struct buf *ret);          /* RFC 4648 section 4, padded, canonical; appends */
MUST_CHECK int parse_base32(struct str s, uint8_t *ret, size_t n);   /* RFC 4648 section 6, no padding, canonical; exactly n bytes */

MUST_CHECK int parse_ip4(struct str s, uint32_t *ret);              /* host byte order */
MUST_CHECK int parse_ip6(struct str s, uint8_t ret[static 16]);
MUST_CHECK int parse_range4(struct str s, struct range4 *ret);      /* 10.20.1.0/24 */
MUST_CHECK int parse_range6(struct str s, struct range6 *ret);      /* fd00:1:2::/48 */

MUST_CHECK int parse_mac(struct str s, uint8_t ret[static 6]);      /* 52:54:00:12:34:56, in letters of either case */

void format_hex(struct buf *b, const void *p, size_t n);
void format_base64(struct buf *b, const void *p, size_t n);
void format_base32(char *ret, const uint8_t *p, size_t n); /* with a NUL: (8n + 4) / 5 + 1 bytes */
void format_size(char ret[static 16], uint64_t size_bytes); /* "1.5 GiB" */
void format_time(char ret[static 24], int64_t time_s);      /* RFC 3339 in UTC */
void format_duration(char ret[static 16], uint64_t duration_s); /* "3d 4h", "12m 5s" */

enum { IP4_TEXT_SIZE = 16, IP6_TEXT_SIZE = 46, RANGE4_TEXT_SIZE = 19, RANGE6_TEXT_SIZE = 50 };
void format_ip4(char ret[static IP4_TEXT_SIZE], uint32_t address);
void format_ip6(char ret[static IP6_TEXT_SIZE], const uint8_t address[static 16]);
void format_range4(char ret[static RANGE4_TEXT_SIZE], const struct range4 *r);
void format_range6(char ret[static RANGE6_TEXT_SIZE], const struct range6 *r);
/* Whether no bit is set behind the prefix. */
bool range4_is_whole(const struct range4 *r);
bool range6_is_whole(const struct range6 *r);
/* Whether all of INNER is in OUTER. */
bool range4_has(const struct range4 *outer, const struct range4 *inner);
/* What nobody outside a farm is reached by: private, shared, link-local, loopback, multicast, reserved. */
enum { RANGE4_PRIVATE = 11 };
extern const char *const range4_private[RANGE4_PRIVATE];
/* Whether R holds an address of one of them. */
bool range4_is_private(const struct range4 *r);
bool range6_has(const struct range6 *outer, const struct range6 *inner);

/* [a-z0-9][a-z0-9-]{0,35}: names of deployments, workloads, farms. */
bool name_ok(struct str s);
