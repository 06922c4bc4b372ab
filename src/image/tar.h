/* Looks through a layer's tar archive as it streams by, and refuses what mkfs.erofs would take wrongly or nobody should take.
 *
 * mkfs.erofs makes a file system out of the archive and unpacks nothing to disk, so a name cannot lead anywhere; it does not know
 * sparse files, though, and would write their maps as content. Names with a ".." in them are refused: nobody needs them. What passes is
 * given on as it came, but for an entry called "/", which several builders write and mkfs.erofs 1.8 dies of: it becomes "./". */
#pragma once
#include "base/err.h"
#include "base/ustar.h"

enum { TAR_BLOCK = USTAR_BLOCK, TAR_ENTRIES_MAX = 1000000, TAR_EXTENDED_MAX = 1 << 20 };

/* Takes what is to go on to mkfs.erofs; a non-zero result ends it. */
typedef int (*tar_sink)(void *ctx, const uint8_t *p, size_t n, struct err *e);
/* Hears of each entry before its content; SIZE is 0 but for files. */
typedef int (*tar_entry)(void *ctx, struct str name, char kind, uint64_t size, struct err *e);

struct tar {
	tar_sink sink;
	tar_entry entry; /* NULL = nobody wants to know */
	void *ctx;
	uint8_t block[TAR_BLOCK];
	size_t have;      /* bytes of the block so far */
	uint64_t skip;    /* bytes of content, and of what fills its last block, still to come */
	uint64_t fill;    /* the part of SKIP that only fills a block */
	uint64_t size_override; /* from a pax header, for the next entry */
	struct buf extended;    /* content of the pax header or long name that is being read */
	size_t extended_left;
	char extended_kind;     /* its typeflag, 0 = none */
	bool has_size, at_end;
	bool link_climbs; /* the long link name before the next entry has a ".." in it: fine for a symbolic link alone */
	bool is_content; /* what the sink gets is a file's, with what fills its last block */
	unsigned n_zero;
	uint64_t n_entries;
};
#define TAR_INIT(on_bytes, context)                                                            \
	{                                                                                      \
		.sink = (on_bytes), .ctx = (context), .extended = {.limit = TAR_EXTENDED_MAX } \
	}

MUST_CHECK int tar_feed(struct tar *t, const uint8_t *p, size_t n, struct err *e); /* -EBADMSG */
MUST_CHECK int
tar_finish(const struct tar *t,
	   struct err *e); /* -EBADMSG when it ended inside an entry; a last block that is not filled up is taken, as umoci writes such */
void tar_deinit(struct tar *t);
