/* Servers that a lease names: a stranger's words, of which only addresses pass. Pure. */
#pragma once
#include "base/buf.h"

enum { SERVERS_MAX = 3 }; /* resolv.conf(5): more than three are not asked */

/* Appends a line "WORD ADDRESS MORE" for each of the first addresses in LIST, which spaces separate; NULL = there is none. A link-local one of
 * IPv6 is followed by %INTERFACE. What is no address is left out. */
void servers_add(struct buf *ret, const char *word, const char *more, const char *list, const char *interface);
