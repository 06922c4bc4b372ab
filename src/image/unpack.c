#include "image/unpack.h"

#include <zlib.h>
#include <zstd.h>

enum { OUT_BYTES = 128 << 10, ZSTD_WINDOW_LOG_MAX = 27, GZIP_ONLY = 16 + MAX_WBITS };

struct unpack_kind {
	enum media media;
	int (*feed)(struct unpack *u, const uint8_t *p, size_t n, struct err *e);
};

struct unpack {
	const struct unpack_kind *kind;
	unpack_sink sink;
	void *ctx;
	uint64_t left; /* of the limit */
	z_stream gzip;
	ZSTD_DStream *zstd;
	bool has_gzip, is_inside; /* of a member or a frame */
	uint8_t out[OUT_BYTES];
};

static int give(struct unpack *u, const uint8_t *p, size_t n, struct err *e)
{
	if (n > u->left)
		return err_set(e, -EBADMSG, "the layer unpacks to more than is taken (%llu GiB)", LAYER_BYTES_MAX >> 30);
	u->left -= n;
	return n ? u->sink(u->ctx, p, n, e) : 0;
}

static int gzip_feed(struct unpack *u, const uint8_t *p, size_t n, struct err *e)
{
	z_stream *z = &u->gzip;

	z->next_in = (uint8_t *)p;
	z->avail_in = (unsigned)n;
	do {
		int r, q;

		if (!u->is_inside && z->avail_in) {
			inflateReset(z);
			u->is_inside = true;
		}
		z->next_out = u->out;
		z->avail_out = OUT_BYTES;
		r = u->is_inside ? inflate(z, Z_NO_FLUSH) : Z_OK;
		if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
			return err_set(e, -EBADMSG, "the layer is not what gzip packs, or it is damaged");
		q = give(u, u->out, OUT_BYTES - z->avail_out, e);
		if (q)
			return q;
		if (r == Z_STREAM_END)
			u->is_inside = false;
	} while (z->avail_in || !z->avail_out);
	return 0;
}

static int zstd_feed(struct unpack *u, const uint8_t *p, size_t n, struct err *e)
{
	ZSTD_inBuffer in = { p, n, 0 };
	bool more = true;

	while (in.pos < in.size || more) {
		ZSTD_outBuffer out = { u->out, OUT_BYTES, 0 };
		size_t left = ZSTD_decompressStream(u->zstd, &out, &in);
		int r;

		if (ZSTD_isError(left))
			return err_set(e, -EBADMSG, "the layer is not what zstd packs, or it is damaged");
		if ((r = give(u, u->out, out.pos, e)))
			return r;
		u->is_inside = left != 0;
		more = out.pos == OUT_BYTES;
	}
	return 0;
}

static const struct unpack_kind kinds[] = {
	{ MEDIA_TAR, give },
	{ MEDIA_TAR_GZIP, gzip_feed },
	{ MEDIA_TAR_ZSTD, zstd_feed },
};

static bool kind_init(struct unpack *u)
{
	if (u->kind->media == MEDIA_TAR_GZIP)
		return u->has_gzip = inflateInit2(&u->gzip, GZIP_ONLY) == Z_OK;
	if (u->kind->media != MEDIA_TAR_ZSTD)
		return true;
	u->zstd = ZSTD_createDStream();
	return u->zstd && !ZSTD_isError(ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX));
}

int unpack_new(enum media media, uint64_t limit_bytes, unpack_sink sink, void *ctx, struct unpack **ret, struct err *e)
{
	CLEANUP(unpack_freep) struct unpack *u = calloc(1, sizeof(*u));

	BUG_ON(!u);
	u->sink = sink;
	u->ctx = ctx;
	u->left = limit_bytes;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].media == media)
			u->kind = &kinds[i];
	BUG_ON(!u->kind);
	if (!kind_init(u))
		return err_set(e, -ENOMEM, "unpack the layer: out of memory");
	*ret = take_ptr(u);
	return 0;
}

void unpack_freep(struct unpack **u)
{
	if (*u && (*u)->has_gzip)
		inflateEnd(&(*u)->gzip);
	if (*u)
		ZSTD_freeDStream((*u)->zstd);
	free(*u);
	*u = NULL;
}

int unpack_feed(struct unpack *u, const uint8_t *p, size_t n, struct err *e)
{
	return n ? u->kind->feed(u, p, n, e) : 0;
}

int unpack_finish(struct unpack *u, struct err *e)
{
	return u->is_inside ? err_set(e, -EBADMSG, "the layer ends too early: push the image again") : 0;
}
