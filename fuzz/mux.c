/* Where TLS cuts the bytes must not matter: fed at once or one by one, the streams end up the same and within bounds.
 * A head that is taken has one spelling only. Whatever came, streams that break are done when what waits is sent. */
#include "grid/mux.h"

#include <stdlib.h>

static void check_same(const struct mux_stream *a, const struct mux_stream *b)
{
	if (a->used != b->used || a->in.len != b->in.len || a->may_send != b->may_send || a->eof_got != b->eof_got)
		abort();
	if (a->may_send > MUX_WINDOW || a->in.len + a->may_get > MUX_WINDOW)
		abort();
}

static void check_spelling(const uint8_t *data, size_t n)
{
	struct mux_frame f;
	uint8_t again[MUX_HEAD + 4];
	size_t used;

	if (!mux_decode(data, n, &f, &used) && (mux_encode(again, &f) != used || memcmp(again, data, used)))
		abort();
}

static void check_break(struct mux *m)
{
	uint8_t frame[MUX_FRAME_MAX];

	for (size_t i = 0; i < MUX_STREAMS_MAX; i++)
		if (m->streams[i].used)
			mux_break(&m->streams[i]);
	for (int i = 0; mux_output(m, frame); i++)
		if (i > 4 * MUX_STREAMS_MAX)
			abort();
	for (size_t i = 0; i < MUX_STREAMS_MAX; i++)
		if (m->streams[i].used && !mux_stream_done(&m->streams[i]))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct mux whole, pieces;
	int r, q = 0;

	check_spelling(data, n);
	mux_init(&whole, true);
	mux_init(&pieces, true);
	r = mux_input(&whole, data, n, NULL);
	for (size_t i = 0; i < n && !q; i++)
		q = mux_input(&pieces, data + i, 1, NULL);
	if (r != q)
		abort();
	for (size_t i = 0; i < MUX_STREAMS_MAX; i++)
		check_same(&whole.streams[i], &pieces.streams[i]);
	check_break(&whole);
	mux_deinit(&whole);
	mux_deinit(&pieces);
	return 0;
}
