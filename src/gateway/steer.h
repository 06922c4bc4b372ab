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
