/* The stream of changes from one store to others that keep a copy (MIRROR), and back in (MASTER). Pure.
 *
 * A change is told as it was asked for, behind its time, its namespace and its owner: the number (instance_id) of the store that a client asked
 * it of. A master says the owner as the last word of each command, so that a change that has gone round is known. */
#pragma once
#include "zdb/resp.h"

enum { MIRROR_OUT_BYTES = 64 << 20 /* that wait for one who reads the stream; with more it is closed */ };

void mirror_put(struct buf *out, int64_t time_s, const char *space, uint32_t owner, const struct resp_command *c);

/* Takes the owner off the end of C. -EBADMSG: none stands there. */
MUST_CHECK int mirror_owner(struct resp_command *c, uint32_t *ret);
