/* Frames come one after the other in a reliable order, so the decoder is a small machine: a head, then its body.
 * Stream numbers only grow: a number below the next one was known once and may still have frames under way, a number
 * beyond it is a lie. */
#include "grid/mux.h"

#include "base/rd.h"

static unsigned payload_size(enum mux_type type)
{
	return type == MUX_CREDIT ? 4 : 0;
}

int mux_decode(const void *p, size_t n, struct mux_frame *ret, size_t *ret_used)
{
	struct rd r = rd_over(p, n);
	struct mux_frame f = { .type = (enum mux_type)rd_le(&r, 1) };
	uint8_t zero = (uint8_t)rd_le(&r, 1);

	f.len = (uint16_t)rd_le(&r, 2);
	f.stream = (uint32_t)rd_le(&r, 4);
	if (r.bad)
		return 1;
	if (f.type < MUX_OPEN || f.type > MUX_RESET || zero)
		return -EBADMSG;
	if (f.type == MUX_DATA ? !f.len || f.len > MUX_DATA_MAX : f.len != payload_size(f.type))
		return -EBADMSG;
	if (f.type == MUX_OPEN && !f.stream)
		return -EBADMSG;
	if (f.type == MUX_CREDIT) {
		f.credit = (uint32_t)rd_le(&r, 4);
		if (r.bad)
			return 1;
		if (!f.credit || f.credit > MUX_WINDOW)
			return -EBADMSG;
	}
	*ret = f;
	*ret_used = n - rd_left(&r);
	return 0;
}

size_t mux_encode(uint8_t ret[static MUX_HEAD + 4], const struct mux_frame *f)
{
	uint64_t words[] = { f->type | (uint64_t)f->len << 16 | (uint64_t)f->stream << 32, f->credit };
	size_t n = f->type == MUX_CREDIT ? MUX_HEAD + 4 : MUX_HEAD;

	for (size_t i = 0; i < n; i++)
		ret[i] = (uint8_t)(words[i / 8] >> (i % 8 * 8));
	return n;
}

static void stream_init(struct mux_stream *s, uint32_t id)
{
	*s = (struct mux_stream){
		.id = id,
		.used = true,
		.may_send = MUX_FIRST,
		.may_get = MUX_FIRST,
		.out.limit = MUX_OUT,
		.in.limit = MUX_WINDOW,
	};
}

void mux_init(struct mux *m, bool is_server)
{
	*m = (struct mux){ .is_server = is_server, .next_mine = is_server ? 2 : 1, .next_theirs = is_server ? 1 : 2 };
	stream_init(&m->streams[0], 0);
}

void mux_deinit(struct mux *m)
{
	for (size_t i = 0; i < MUX_STREAMS_MAX; i++) {
		ring_deinit(&m->streams[i].in);
		ring_deinit(&m->streams[i].out);
	}
}

struct mux_stream *mux_find(struct mux *m, uint32_t id)
{
	for (size_t i = 0; i < MUX_STREAMS_MAX; i++)
		if (m->streams[i].used && m->streams[i].id == id)
			return &m->streams[i];
	return NULL;
}

static struct mux_stream *free_place(struct mux *m)
{
	for (size_t i = 0; i < MUX_STREAMS_MAX; i++)
		if (!m->streams[i].used)
			return &m->streams[i];
	return NULL;
}

int mux_open(struct mux *m, uint32_t *ret)
{
	struct mux_stream *s = free_place(m);

	if (!s || m->next_mine > UINT32_MAX - 2)
		return -EMFILE;
	stream_init(s, m->next_mine);
	s->owe_open = true;
	m->next_mine += 2;
	*ret = s->id;
	return 0;
}

/* Was this number in use, so that late frames for it mean nothing? */
static bool was_known(const struct mux *m, uint32_t id)
{
	bool mine = (id % 2 == 0) == m->is_server;

	return !id || id < (mine ? m->next_mine : m->next_theirs);
}

static int take_open(struct mux *m, uint32_t id, struct err *e)
{
	struct mux_stream *s = free_place(m);

	if (id != m->next_theirs || id > UINT32_MAX - 2)
		return err_set(e, -EPROTO, "the other side opened stream %u instead of %u", id, m->next_theirs);
	m->next_theirs += 2;
	if (s) {
		stream_init(s, id);
		return 0;
	}
	if (m->n_refused == ARRAY_LEN(m->refused))
		return err_set(e, -EPROTO, "the other side opens streams faster than they can be refused");
	m->refused[m->n_refused++] = id;
	return 0;
}

static int take_control(struct mux *m, const struct mux_frame *f, struct err *e)
{
	struct mux_stream *s;

	if (f->type == MUX_OPEN)
		return take_open(m, f->stream, e);
	s = mux_find(m, f->stream);
	if (s ? s->is_reset : was_known(m, f->stream))
		return 0;
	if (!s)
		return err_set(e, -EPROTO, "the other side used stream %u, which nobody opened", f->stream);
	if (f->type == MUX_CREDIT) {
		if (f->credit > MUX_WINDOW - s->may_send)
			return err_set(e, -EPROTO, "the other side gave stream %u too much credit", f->stream);
		s->may_send += f->credit;
	} else if (s->is_broken && f->type == MUX_EOF) {
		return 0;
	} else if (s->eof_got && f->type == MUX_EOF) {
		return err_set(e, -EPROTO, "the other side ended stream %u twice", f->stream);
	} else if (f->type == MUX_EOF) {
		s->eof_got = true;
	} else {
		mux_cut(s); /* what came before it is whole */
		s->is_reset = true;
	}
	return 0;
}

static int take_data_head(struct mux *m, const struct mux_frame *f, struct err *e)
{
	struct mux_stream *s = mux_find(m, f->stream);

	if (!s && !was_known(m, f->stream))
		return err_set(e, -EPROTO, "the other side used stream %u, which nobody opened", f->stream);
	if (s && s->eof_got && !s->is_reset && !s->is_broken)
		return err_set(e, -EPROTO, "the other side wrote to stream %u after its end", f->stream);
	if (s && !s->eof_got) {
		if (f->len > s->may_get)
			return err_set(e, -EPROTO, "the other side wrote to stream %u without credit", f->stream);
		s->may_get -= f->len;
	}
	m->body_stream = f->stream;
	m->body_left = f->len;
	return 0;
}

static size_t take_body(struct mux *m, const uint8_t *p, size_t n)
{
	struct mux_stream *s = mux_find(m, m->body_stream);

	if (n > m->body_left)
		n = m->body_left;
	if (s && !s->eof_got)
		BUG_ON(ring_add(&s->in, p, n) != n); /* credit never exceeds the queue */
	m->body_left -= n;
	return n;
}

int mux_input(struct mux *m, const void *p, size_t n, struct err *e)
{
	const uint8_t *at = p, *end = at + n;

	while (at < end) {
		struct mux_frame f;
		size_t used;
		int r;

		if (m->body_left) {
			at += take_body(m, at, (size_t)(end - at));
			continue;
		}
		m->part[m->n_part++] = *at++; /* heads are short and rare beside the bytes they announce */
		r = mux_decode(m->part, m->n_part, &f, &used);
		if (r > 0)
			continue;
		if (r < 0)
			return err_set(e, -EPROTO, "the other side sent something that is no frame");
		m->n_part = 0;
		r = f.type == MUX_DATA ? take_data_head(m, &f, e) : take_control(m, &f, e);
		if (r)
			return r;
	}
	return 0;
}

static size_t emit(uint8_t *ret, enum mux_type type, uint32_t id, uint64_t credit)
{
	return mux_encode(ret, &(struct mux_frame){ type, (uint16_t)payload_size(type), id, (uint32_t)credit });
}

static size_t emit_data(struct mux_stream *s, uint8_t *ret)
{
	size_t n = s->out.len < s->may_send ? s->out.len : (size_t)s->may_send;

	if (!n || s->eof_sent)
		return 0;
	n = ring_take(&s->out, ret + MUX_HEAD, n < MUX_DATA_MAX ? n : MUX_DATA_MAX);
	s->may_send -= n;
	mux_encode(ret, &(struct mux_frame){ MUX_DATA, (uint16_t)n, s->id, 0 });
	return MUX_HEAD + n;
}

static size_t stream_output(struct mux_stream *s, uint8_t *ret)
{
	size_t n;

	if (s->owe_open) {
		s->owe_open = false;
		return emit(ret, MUX_OPEN, s->id, 0);
	}
	if (s->owe_reset) {
		s->owe_reset = false;
		return emit(ret, MUX_RESET, s->id, 0);
	}
	if (s->owe_credit >= MUX_WINDOW / 4 && !s->eof_got) {
		s->may_get += s->owe_credit;
		n = emit(ret, MUX_CREDIT, s->id, s->owe_credit);
		s->owe_credit = 0;
		return n;
	}
	n = emit_data(s, ret);
	if (!n && s->eof_asked && !s->eof_sent && !s->out.len) {
		s->eof_sent = true;
		s->is_reset = s->is_broken;
		return emit(ret, s->is_broken ? MUX_RESET : MUX_EOF, s->id, 0);
	}
	return n;
}

size_t mux_output(struct mux *m, uint8_t ret[static MUX_FRAME_MAX])
{
	if (m->n_refused)
		return emit(ret, MUX_RESET, m->refused[--m->n_refused], 0);
	for (size_t i = 0; i < MUX_STREAMS_MAX; i++) {
		struct mux_stream *s = &m->streams[m->turn++ % MUX_STREAMS_MAX]; /* each stream gets its turn */
		size_t n = s->used ? stream_output(s, ret) : 0;

		if (n)
			return n;
	}
	return 0;
}

void mux_attend(struct mux_stream *s)
{
	if (s->reading)
		return;
	s->reading = true;
	s->owe_credit += MUX_WINDOW - MUX_FIRST;
}

size_t mux_write(struct mux_stream *s, const void *p, size_t n)
{
	return s->eof_asked ? 0 : ring_add(&s->out, p, n);
}

void mux_drop(struct mux_stream *s, size_t n)
{
	ring_drop(&s->in, n);
	s->owe_credit += n;
}

void mux_eof(struct mux_stream *s)
{
	s->eof_asked = true;
}

void mux_reset(struct mux_stream *s)
{
	s->owe_reset = !mux_stream_done(s);
	s->is_reset = true;
	s->eof_asked = s->eof_sent = s->eof_got = true;
	ring_drop(&s->in, s->in.len);
	ring_drop(&s->out, s->out.len);
}

/* Its reader and writer is gone: the other side learns it behind the last byte. */
void mux_break(struct mux_stream *s)
{
	s->is_broken = !s->eof_sent;
	s->eof_asked = s->eof_got = true;
	ring_drop(&s->in, s->in.len);
}

void mux_cut(struct mux_stream *s)
{
	s->eof_asked = s->eof_sent = s->eof_got = true;
	s->owe_open = s->owe_reset = false;
	ring_drop(&s->out, s->out.len);
}

bool mux_stream_done(const struct mux_stream *s)
{
	return s->eof_sent && s->eof_got && !s->in.len;
}

void mux_forget(struct mux_stream *s)
{
	BUG_ON(!mux_stream_done(s) || s->owe_reset || s->owe_open);
	ring_deinit(&s->in);
	ring_deinit(&s->out);
	s->used = false;
}
