#include "grid/mux.h"

#include "test/t.h"

static uint64_t draw(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed * 0x2545f4914f6cdd1dull >> 11;
}

enum { N_STREAMS = 5, BYTES_EACH = 900000 };

struct flow {
	uint32_t id;
	uint64_t sent[2], got[2];
};

static uint8_t byte_at(uint32_t id, int who, uint64_t at)
{
	return (uint8_t)(at * 2654435761u >> 9 ^ id * 37ull ^ (unsigned)who);
}

static void write_some(struct mux *m, struct flow *f, int who, uint64_t *seed)
{
	struct mux_stream *s = mux_find(m, f->id);
	uint8_t piece[20000];
	size_t n = draw(seed) % sizeof(piece);

	if (!s)
		return;
	if (n > BYTES_EACH - f->sent[who])
		n = (size_t)(BYTES_EACH - f->sent[who]);
	for (size_t i = 0; i < n; i++)
		piece[i] = byte_at(f->id, who, f->sent[who] + i);
	f->sent[who] += mux_write(s, piece, n);
	if (f->sent[who] == BYTES_EACH)
		mux_eof(s);
}

static bool read_some(struct mux *m, struct flow *f, int who, uint64_t *seed)
{
	struct mux_stream *s = mux_find(m, f->id);
	uint8_t piece[30000];
	size_t n;

	if (!s)
		return true;
	mux_attend(s);
	n = ring_copy(&s->in, 0, piece, draw(seed) % sizeof(piece));
	for (size_t i = 0; i < n; i++)
		if (piece[i] != byte_at(f->id, !who, f->got[who] + i))
			return false;
	f->got[who] += n;
	mux_drop(s, n);
	if (mux_stream_done(s) && !s->owe_reset && !s->owe_open)
		mux_forget(s);
	return true;
}

/* Moves frames over, cut at random places as TLS may do. */
static void pass(struct mux *from, struct mux *to, uint64_t *seed)
{
	uint8_t frame[MUX_FRAME_MAX];
	struct err e = { 0 };
	size_t n;

	for (int i = 0; i < 3 && (n = mux_output(from, frame)); i++)
		for (size_t at = 0, cut; at < n; at += cut) {
			cut = 1 + draw(seed) % MUX_FRAME_MAX;
			if (cut > n - at)
				cut = n - at;
			T_NEED(!mux_input(to, frame + at, cut, &e), "%s", e.msg);
		}
}

static bool all_done(const struct flow *f)
{
	for (int i = 0; i < N_STREAMS; i++)
		if (f[i].got[0] != BYTES_EACH || f[i].got[1] != BYTES_EACH)
			return false;
	return true;
}

static void streams_do_not_mix(void)
{
	static struct mux m[2];

	for (uint64_t first = 1; first <= 4; first++) {
		struct flow f[N_STREAMS] = { { 0 } };
		uint64_t seed = first * 0x9e3779b97f4a7c15ull;
		int rounds = 0;

		mux_init(&m[0], true);
		mux_init(&m[1], false);
		for (int i = 1; i < N_STREAMS; i++)
			T_NEED(!mux_open(&m[i % 2], &f[i].id), "open");
		for (; rounds < 5000 && !all_done(f); rounds++)
			for (int who = 0; who < 2; who++) {
				pass(&m[who], &m[!who], &seed);
				for (int i = 0; i < N_STREAMS; i++) {
					write_some(&m[who], &f[i], who, &seed);
					T_NEED(read_some(&m[who], &f[i], who, &seed), "seed %llu stream %u: wrong byte", (unsigned long long)first,
					       f[i].id);
				}
			}
		T_CHECK(all_done(f), "seed %llu: not whole", (unsigned long long)first);
		for (int who = 0; who < 8; who++)
			pass(&m[who % 2], &m[!(who % 2)], &seed);
		for (int who = 0; who < 2; who++) {
			for (int i = 0; i < N_STREAMS; i++)
				read_some(&m[who], &f[i], who, &seed);
			for (int i = 0; i < N_STREAMS; i++)
				T_CHECK(!mux_find(&m[who], f[i].id), "stream %u is still there", f[i].id);
			mux_deinit(&m[who]);
		}
	}
}

static void an_unread_stream_holds_little(void)
{
	struct mux m[2];
	uint8_t frame[MUX_FRAME_MAX] = { 0 };
	uint64_t seed = 7;
	uint32_t id;

	mux_init(&m[0], true);
	mux_init(&m[1], false);
	T_NEED(!mux_open(&m[0], &id), "open");
	for (int i = 0; i < 200; i++) {
		mux_write(mux_find(&m[0], id), frame, sizeof(frame));
		pass(&m[0], &m[1], &seed);
		pass(&m[1], &m[0], &seed);
	}
	T_CHECK(mux_find(&m[1], id)->in.len == MUX_FIRST, "holds %zu", mux_find(&m[1], id)->in.len);
	mux_attend(mux_find(&m[1], id));
	for (int i = 0; i < 200; i++) {
		mux_write(mux_find(&m[0], id), frame, sizeof(frame));
		pass(&m[0], &m[1], &seed);
		pass(&m[1], &m[0], &seed);
	}
	T_CHECK(mux_find(&m[1], id)->in.len == MUX_WINDOW, "holds %zu", mux_find(&m[1], id)->in.len);
	mux_deinit(&m[0]);
	mux_deinit(&m[1]);
}

static void a_reset_ends_both_directions(void)
{
	struct mux m[2];
	uint64_t seed = 9;
	uint32_t id;

	mux_init(&m[0], true);
	mux_init(&m[1], false);
	T_NEED(!mux_open(&m[0], &id), "open");
	pass(&m[0], &m[1], &seed);
	mux_write(mux_find(&m[0], id), "late", 4);
	mux_reset(mux_find(&m[1], id));
	pass(&m[0], &m[1], &seed); /* crosses the reset */
	pass(&m[1], &m[0], &seed);
	T_CHECK(mux_stream_done(mux_find(&m[0], id)) && mux_stream_done(mux_find(&m[1], id)), "still open");
	mux_forget(mux_find(&m[1], id));
	mux_deinit(&m[0]);
	mux_deinit(&m[1]);
}

static void what_waits_goes_before_a_break(void)
{
	struct mux m[2];
	uint8_t bytes[20000] = { 0 };
	uint64_t seed = 5;
	struct mux_stream *a, *b;
	uint32_t id;

	mux_init(&m[0], true);
	mux_init(&m[1], false);
	T_NEED(!mux_open(&m[0], &id), "open");
	pass(&m[0], &m[1], &seed);
	a = mux_find(&m[0], id);
	b = mux_find(&m[1], id);
	mux_attend(a);
	mux_attend(b);
	T_CHECK(mux_write(a, bytes, sizeof(bytes)) == sizeof(bytes) && mux_write(b, bytes, 1000) == 1000, "write");
	mux_break(a);
	T_CHECK(!mux_write(a, bytes, 1), "nothing more is taken");
	mux_eof(b);
	pass(&m[1], &m[0], &seed); /* written before it could know */
	T_CHECK(!a->in.len && !mux_stream_done(a), "what comes is lost, what waits is not: %zu", a->in.len);
	for (int i = 0; i < 4; i++)
		pass(&m[0], &m[1], &seed);
	T_CHECK(mux_stream_done(a), "the broken side is done");
	T_CHECK(b->is_reset && b->in.len == sizeof(bytes), "the other side knows, and has what came before: %zu", b->in.len);
	for (int who = 0; who < 2; who++)
		mux_deinit(&m[who]);
}

static void too_many_streams_are_refused(void)
{
	static struct mux m[2];
	uint64_t seed = 11;
	uint32_t id;

	mux_init(&m[0], true);
	mux_init(&m[1], false);
	for (int i = 1; i < MUX_STREAMS_MAX; i++)
		T_NEED(!mux_open(&m[0], &id), "open %d", i);
	T_CHECK(mux_open(&m[0], &id) == -EMFILE, "one too many");
	T_CHECK(!mux_open(&m[1], &id) && id == 1, "the other side does not know yet");
	for (int i = 0; i < 30; i++) {
		pass(&m[0], &m[1], &seed);
		pass(&m[1], &m[0], &seed);
	}
	T_CHECK(mux_stream_done(mux_find(&m[1], 1)), "stream 1 was not refused");
	mux_deinit(&m[0]);
	mux_deinit(&m[1]);
}

/* What a client must never do; the server says no. */
static void lies_end_the_session(void)
{
	static const struct {
		const char *what;
		uint8_t bytes[40];
		size_t n;
		int r;
	} rows[] = {
		{ "open 1", { 1, 0, 0, 0, 1 }, 8, 0 },
		{ "eof 0", { 4, 0, 0, 0, 0 }, 8, 0 },
		{ "credit 1 byte", { 3, 0, 4, 0, 0, 0, 0, 0, 1 }, 12, 0 },
		{ "data 'A'", { 2, 0, 1, 0, 0, 0, 0, 0, 'A' }, 9, 0 },
		{ "reset 0", { 5 }, 8, 0 },
		{ "half a head", { 2, 0, 1 }, 3, 0 },
		{ "type 0", { 0 }, 8, -EPROTO },
		{ "type 6", { 6 }, 8, -EPROTO },
		{ "second byte", { 4, 1 }, 8, -EPROTO },
		{ "open 0", { 1 }, 8, -EPROTO },
		{ "open 3 first", { 1, 0, 0, 0, 3 }, 8, -EPROTO },
		{ "open an even one", { 1, 0, 0, 0, 2 }, 8, -EPROTO },
		{ "open twice", { 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1 }, 16, -EPROTO },
		{ "open with payload", { 1, 0, 1, 0, 1, 0, 0, 0, 0 }, 9, -EPROTO },
		{ "data for nobody", { 2, 0, 1, 0, 5, 0, 0, 0, 1 }, 9, -EPROTO },
		{ "empty data", { 2, 0, 0, 0, 0 }, 8, -EPROTO },
		{ "data too long", { 2, 0, 0xf9, 0x3f, 0 }, 8, -EPROTO },
		{ "no credit", { 3, 0, 4 }, 12, -EPROTO },
		{ "credit beyond the window", { 3, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4 }, 12, -EPROTO },
		{ "too much credit", { 3, 0, 4, 0, 0, 0, 0, 0, 1, 0x80, 3 }, 12, -EPROTO },
		{ "eof twice", { 4, 0, 0, 0, 0, 0, 0, 0, 4 }, 16, -EPROTO },
		{ "data after eof", { 4, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0, 'A' }, 17, -EPROTO },
	};
	static struct mux m;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };
		int r;

		mux_init(&m, true);
		r = mux_input(&m, rows[i].bytes, rows[i].n, &e);
		T_CHECK(r == rows[i].r && (!r || e.msg[0]), "%s: %d %s", rows[i].what, r, e.msg);
		mux_deinit(&m);
	}
}

static void data_without_credit_ends_it(void)
{
	static struct mux m;
	static uint8_t frame[MUX_FRAME_MAX];
	struct err e = { 0 };

	mux_encode(frame, &(struct mux_frame){ MUX_DATA, MUX_DATA_MAX, 0, 0 });
	mux_init(&m, true);
	T_CHECK(!mux_input(&m, frame, sizeof(frame), &e) && !mux_input(&m, frame, sizeof(frame), &e), "%s", e.msg);
	T_CHECK(mux_input(&m, frame, sizeof(frame), &e) == -EPROTO, "48 KiB on a credit of 32");
	mux_deinit(&m);
}

int main(void)
{
	T_RUN(streams_do_not_mix);
	T_RUN(an_unread_stream_holds_little);
	T_RUN(a_reset_ends_both_directions);
	T_RUN(what_waits_goes_before_a_break);
	T_RUN(too_many_streams_are_refused);
	T_RUN(lies_end_the_session);
	T_RUN(data_without_credit_ends_it);
	return T_END();
}
