/* Values that answers show where they lie, in the map of a data file, instead of copies: the kernel takes them from there. Only for as long as one client is
 * served: before anything else is done, what did not go out is copied. */
#pragma once
#include "base/buf.h"
#include "zdb/map.h"

#include <sys/uio.h>

enum {
	LENDING_FROM_BYTES = 8 << 10, /* a smaller one is copied sooner than it is sent in a part of its own */
	LENDING_BYTES = 128 << 10, /* then they are sent; about what a socket takes at once */
	LENDING_MAX = 16,
	LENDING_PARTS_MAX = 2 * LENDING_MAX + 1,
};

struct lending {
	struct {
		size_t at; /* it stands in front of the answers' byte of that number */
		struct map value;
	} lent[LENDING_MAX];
	size_t n, bytes; /* of values */
	int failed; /* -EIO: the disk did not give one any more; -ENOMEM; and answers end in front of it */
};

/* VALUE stands behind what is in OUT. There are fewer than LENDING_MAX. */
void lending_add(struct lending *l, const struct buf *out, struct map value);

/* All of OUT from byte FROM on with the values in between; returns how many parts. */
int lending_parts(const struct lending *l, const struct buf *out, size_t from, struct iovec ret[static LENDING_PARTS_MAX]);

/* Nothing is lent any more: OUT becomes what stands behind the first N bytes of those parts, as a copy. */
void lending_end(struct lending *l, struct buf *out, size_t from, size_t n);
