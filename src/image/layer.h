/* One layer: from the packed tar archive of the registry to an EROFS file. */
#pragma once
#include "image/manifest.h"

struct layer_work {
	const char *dir;  /* of this pull alone, absolute; holds a FIFO called "fifo" that was made beforehand */
	const char *mkfs; /* the program */
	void (*progress)(void *ctx, uint64_t bytes); /* more of BLOB was used */
	void *ctx;
};

/* Bytes that one file below DIR may take: what is free, less a reserve for whoever else writes there. */
uint64_t layer_room(const char *dir);

/* Unpacks BLOB (of kind MEDIA), looks through the archive, checks that its digest is DIFF_ID, and has mkfs.erofs, in a sandbox of
 * its own, write OUT. -EBADMSG, -ENOSPC, -EIO. The file at OUT is to be removed by the caller, whatever the result. */
MUST_CHECK int layer_convert(const struct layer_work *w, int blob, enum media media, const char *diff_id, const char *out, struct err *e);
