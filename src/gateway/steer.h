/* What to tell HAProxy so that it has what it shall: a pure function of what is wanted and of what it has.
 *
 * A name that stays keeps its backend and servers that stay, and whoever is connected notices nothing. A server comes before the name that
 * leads to it, and goes after it. What has to wait for something is told at a later look. */
#pragma once
#include "gateway/haproxy.h"

enum { STEER_TEXT_MAX = 8192 }; /* bytes of one line of commands: HAProxy reads 16 KiB */

/* Appends commands, "" when there is nothing left to do; notes in WANTED what was seen of each. No more than STEER_TEXT_MAX bytes: what is left is
 * for the next look. -ENOSPC: more names than there are backends for. */
MUST_CHECK int steer(struct routes *wanted, const struct haproxy_seen *seen, struct buf *ret, struct err *e);

/* The same about certificates, once the rest is as it shall be: lines for HAProxy's prompt, "" when there is nothing to do; of STEER_CERTS_MAX at most. A new one is
 * there before an old one goes, whose connections stay. What is in RET is to be wiped. */
enum { STEER_CERTS_MAX = 64 };
MUST_CHECK int steer_certs(const struct routes *wanted, const struct haproxy_seen *seen, struct buf *ret);
