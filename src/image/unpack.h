/* Streaming decompression of a layer: plain, gzip (any number of members) or zstd (any number of frames). */
#pragma once
#include "image/manifest.h"

struct unpack;
/* Takes each piece of what comes out; a non-zero result ends it. */
typedef int (*unpack_sink)(void *ctx, const uint8_t *p, size_t n, struct err *e);

/* Returns owned. */
MUST_CHECK int unpack_new(enum media media, uint64_t limit_bytes, unpack_sink sink, void *ctx, struct unpack **ret, struct err *e);
void unpack_freep(struct unpack **u);
MUST_CHECK int unpack_feed(struct unpack *u, const uint8_t *p, size_t n, struct err *e);
MUST_CHECK int unpack_finish(struct unpack *u, struct err *e); /* -EBADMSG when the input ended too early */
