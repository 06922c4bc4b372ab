/* An image as one file: a tar of an OCI layout, as `skopeo copy ... oci-archive:FILE` makes it.
 *
 * Read once, front to back, from a stream. Every blob is checked against the digest that it is named by; then the directory holds them as
 * blob-<64 hex>, and nothing else is kept but the index. */
#pragma once
#include "base/buf.h"
#include "image/manifest.h"

enum { ARCHIVE_BLOBS_MAX = 2 * MANIFEST_LAYERS_MAX, ARCHIVE_PATH_MAX = 400 };

/* INDEX gets index.json. -EBADMSG, -ENOSPC, -EIO. PROGRESS is told of bytes read. */
MUST_CHECK int archive_read(int fd, const char *dir, void (*progress)(void *ctx, uint64_t bytes), void *ctx, struct buf *index, struct err *e);

void archive_blob_path(const char *dir, const char *digest, char ret[static ARCHIVE_PATH_MAX]);
/* A small blob as text. -EBADMSG: the archive does not hold it, or not in that size. */
MUST_CHECK int archive_blob(const char *dir, const struct descriptor *d, struct buf *ret, struct err *e);
