/* One answer of a key-value store: a bulk string of redis' protocol, or an error's line (doc/zdb.md). Pure. */
#pragma once
#include "base/buf.h"

enum { BULK_MAX = 16 << 20 };

/* What stands in IN, which grows until it is all there: BULK_MORE. 0: RET is the string, borrowed. BULK_ERROR: it is what an error says. -EBADMSG:
 * something else, or longer than BULK_MAX. */
enum { BULK_MORE = 1, BULK_ERROR };
MUST_CHECK int bulk_read(struct str in, struct str *ret);
