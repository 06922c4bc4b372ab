/* A tar archive of what is in a volume: decoded as it streams by, and encoded, one entry at a time. Pure. doc/volume-archive.md.
 *
 * The archive is a stranger's. What comes out has no name that begins with '/' or climbs out, owners that a volume has, and the number of
 * bytes that was said. */
#pragma once
#include "base/err.h"
#include "base/ustar.h"

enum {
	ARCHIVE_EXTENDED_MAX = 1 << 20, /* bytes of one entry's extended header */
	ARCHIVE_NAME_MAX = 4095,        /* bytes */
	ARCHIVE_XATTRS_MAX = 64,        /* of one entry */
	ARCHIVE_OWNER_MAX = 65535,
};

enum archive_kind {
	ARCHIVE_FILE = '0',
	ARCHIVE_HARDLINK = '1', /* another name of the file LINK, which came before */
	ARCHIVE_SYMLINK = '2',
	ARCHIVE_CHAR = '3', /* devices: named, with nothing of what they are */
	ARCHIVE_BLOCK = '4',
	ARCHIVE_DIR = '5',
	ARCHIVE_FIFO = '6',
};

struct archive_xattr {
	struct str name, value;
};

struct archive_entry {
	struct str name, link; /* NAME, and the LINK of a hard link: without "./" and '/' at the end; "" = the volume itself */
	enum archive_kind kind;
	uint32_t mode, uid, gid;
	uint64_t size; /* of a file */
	int64_t mtime_s;
	uint32_t mtime_ns;
	struct archive_xattr xattrs[ARCHIVE_XATTRS_MAX];
	size_t n_xattrs;
};

/* A name in a sentence, for "%.*s": its begin, as it came. */
#define ARCHIVE_SHOWN(name) (int)((name).n < 80 ? (name).n : 80), (name).p

/* Each ends the decoding with what is not 0. Of each entry first BEGIN, then its CONTENT in pieces, then END; it is valid until then. */
struct archive_ops {
	int (*begin)(void *ctx, const struct archive_entry *en, struct err *e);
	int (*content)(void *ctx, const uint8_t *p, size_t n, struct err *e);
	int (*end)(void *ctx, const struct archive_entry *en, struct err *e);
};

struct archive {
	const struct archive_ops *ops;
	void *ctx;
	uint8_t block[USTAR_BLOCK];
	size_t have;             /* bytes of the block so far */
	uint64_t content, fill;  /* bytes of the content, and of what fills its last block, still to come */
	char extended_kind;      /* of the extended header whose content comes; 0 = it is an entry's */
	struct buf extended;     /* what it says */
	struct buf pax, long_name, long_link; /* for the next entry */
	struct buf name, link;   /* of the entry, cleaned */
	struct archive_entry entry;
	bool in_entry, at_end;
	unsigned n_zero;
};

void archive_init(struct archive *a, const struct archive_ops *ops, void *ctx);
void archive_deinit(struct archive *a);
/* -EBADMSG, or what the ops return. What follows the end of the archive is passed over. */
MUST_CHECK int archive_feed(struct archive *a, const uint8_t *p, size_t n, struct err *e);
/* -EBADMSG unless all of it was there. */
MUST_CHECK int archive_finish(const struct archive *a, struct err *e);

/* Appends the headers of EN; its content and archive_put_fill() follow. */
void archive_put_head(struct buf *ret, const struct archive_entry *en);
void archive_put_fill(struct buf *ret, uint64_t size);
void archive_put_end(struct buf *ret);
