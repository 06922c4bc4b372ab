/* Writes what is in a directory as an archive, as it comes, in the process that is shut into it (stream.h). */
#pragma once
#include "storage/archive.h"

enum {
	DRAIN_DEPTH_MAX = 512,       /* directories in one another */
	DRAIN_LINKED_MAX = 1 << 17,  /* files with several names */
	DRAIN_XATTR_MAX = 64 << 10,  /* bytes: the kernel's */
};

struct drain {
	int (*put)(void *ctx, struct str bytes, struct err *e); /* takes what comes out */
	void *ctx;
	bool is_dry;           /* what is in files is not read: it counts as UNREAD, and all else is put */
	uint64_t unread;
	uint64_t left_out;     /* entries and attributes that an archive does not take: sockets, devices */
	struct buf name, head; /* of where it is */
	struct buf names, values; /* of attributes */
	void *linked;          /* tree of files with several names */
	size_t n_linked;
	unsigned depth;
};
#define DRAIN_INIT(on_bytes, context) { .put = (on_bytes), .ctx = (context) }

/* All that is in ROOT, which nobody changes meanwhile. */
MUST_CHECK int drain_all(struct drain *d, int root, struct err *e);
void drain_deinit(struct drain *d);
