/* Text to numbers, sizes, durations, times, encodings: here and nowhere else.
 *
 * All return 0, -EINVAL (not that kind of thing) or -ERANGE (too large), and leave *ret alone on failure.
 * Nothing is skipped: no leading space, no sign, no trailing text. */
#pragma once
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/str.h"

#include <stdint.h>

MUST_CHECK int parse_u64(struct str s, uint64_t max, uint64_t *ret); /* decimal */
MUST_CHECK int parse_bytes(struct str s, uint64_t *ret_bytes);        /* 10, 4KiB, 10GiB, 1TiB: powers of 1024 */
MUST_CHECK int parse_duration(struct str s, uint64_t *ret_ms);       /* 250ms, 30s, 5m, 2h, 7d */
MUST_CHECK int parse_utc(struct str s, int64_t *ret_s);             /* RFC 3339 in UTC: 2026-01-31T12:00:00Z; Unix seconds */
MUST_CHECK int parse_hex(struct str s, uint8_t *ret, size_t n);      /* exactly 2n lower-case digits */
MUST_CHECK int parse_base64(struct str s, struct buf *ret);          /* RFC 4648 section 4, padded, canonical; appends */
MUST_CHECK int parse_base32(struct str s, uint8_t *ret, size_t n);   /* RFC 4648 section 6, no padding, canonical; exactly n bytes */

void format_hex(struct buf *b, const void *p, size_t n);
void format_base64(struct buf *b, const void *p, size_t n);
void format_base32(char *ret, const uint8_t *p, size_t n); /* with a NUL: (8n + 4) / 5 + 1 bytes */
void format_size(char ret[static 16], uint64_t size_bytes); /* "1.5 GiB" */
void format_time(char ret[static 24], int64_t time_s);      /* RFC 3339 in UTC */
void format_duration(char ret[static 16], uint64_t duration_s); /* "3d 4h", "12m 5s" */

/* [a-z0-9][a-z0-9-]{0,35}: names of deployments, workloads, farms. */
bool name_ok(struct str s);
