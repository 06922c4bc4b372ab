/* Reliability by going back.
 *
 * NATS keeps the order of one sender's messages, so a hole means that something is lost for good (a hub died, a slow
 * consumer was cut) and everything after it may be thrown away: the receiver says where it stands (SYNC) and the
 * sender starts again from there. No map of holes, no per-message timers. Every frame carries the sender's offset, so
 * a lost last message shows when the next sign of life comes; a sender that waits for anything asks for one.
 *
 * FIN takes one place in the numbering, like a byte, so that its arrival is acknowledged the same way. */
#include "grid/link.h"

#include "base/err.h"

static const char *const end_texts[LINK_ENDS] = {
	[LINK_END_CLEAN] = "the session was finished by both sides",
	[LINK_END_UNKNOWN] = "the other side does not know this session (any more)",
	[LINK_END_REFUSED] = "the other side takes no more sessions at the moment",
	[LINK_END_ABORTED] = "the other side broke the session off",
	[LINK_END_SILENT] = "the other side has not been heard for 30 seconds",
	[LINK_END_ABSENT] = "nobody with that address is connected to the hub",
};

const char *link_end_text(enum link_end end)
{
	return end < LINK_ENDS ? end_texts[end] : end_texts[LINK_END_ABORTED];
}

void link_init(struct link *l, bool is_dialer, uint64_t session, uint64_t now_ms)
{
	*l = (struct link){
		.state = is_dialer ? LINK_OPENING : LINK_UP,
		.is_dialer = is_dialer,
		.session = session,
		.out.limit = LINK_WINDOW,
		.in.limit = LINK_WINDOW,
		.told_limit = LINK_WINDOW,
		.owe_ask = is_dialer,
		.owe_credit = !is_dialer,
		.ask_wait_ms = LINK_ASK_MS,
		.ask_at_ms = UINT64_MAX,
		.ack_at_ms = UINT64_MAX,
		.heard_ms = now_ms,
		.said_ms = now_ms,
	};
}

void link_deinit(struct link *l)
{
	ring_deinit(&l->out);
	ring_deinit(&l->in);
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Only one side asks when nothing happens; the other steps in when it does not. */
static uint64_t idle_ms(const struct link *l)
{
	return l->is_dialer ? LINK_IDLE_MS : LINK_IDLE_MS * 3 / 2;
}

static void link_close(struct link *l, enum link_end end)
{
	if (l->state == LINK_CLOSED)
		return;
	l->state = LINK_CLOSED;
	l->end = end;
	ring_deinit(&l->out);
	l->owe_credit = l->owe_sync = l->owe_ask = false;
}

/* Where the outgoing stream ends: behind the last byte. */
static uint64_t out_end(const struct link *l)
{
	return l->una + l->out.len;
}

/* Something was sent that is not acknowledged, something waits for leave to be sent, or the other side may be gone. */
static bool is_waiting(const struct link *l)
{
	return l->top > l->una || l->out.len || (l->finishing && !l->fin_acked) || l->doubt_ms;
}

static void take_ack(struct link *l, uint64_t ack)
{
	if (ack <= l->una || ack > l->top) /* the header is not authenticated: only what was sent can have arrived */
		return;
	l->ask_wait_ms = LINK_ASK_MS;
	l->ask_at_ms = UINT64_MAX; /* set anew by link_tick() when there is still something to wait for */
	if (ack > out_end(l)) {
		l->fin_acked = true;
		ring_drop(&l->out, l->out.len);
	} else {
		ring_drop(&l->out, (size_t)(ack - l->una));
	}
	l->una = ack;
	l->next = max_u64(l->next, ack);
}

static void take_data(struct link *l, const struct frame *f, const uint8_t *data)
{
	uint64_t skip = l->got - f->offset;

	if (l->fin_got || skip >= f->len) { /* all of it was here already: the acknowledgement was lost */
		l->owe_credit = true;
		return;
	}
	/* What does not fit was sent against our limit; it is not acknowledged, so nothing is lost. */
	l->got += ring_add(&l->in, data + skip, (size_t)(f->len - skip));
}

/* True when the frame fits on what has arrived; a gap is reported. */
static bool in_order(struct link *l, const struct frame *f, uint64_t now_ms)
{
	if (f->offset <= l->got)
		return true;
	if (now_ms >= l->sync_at_ms) {
		l->owe_sync = true;
		l->sync_at_ms = now_ms + LINK_SYNC_MS;
	}
	return false;
}

static void take_stream(struct link *l, const struct frame *f, const void *data, uint64_t now_ms)
{
	uint64_t before = l->got;

	if (!in_order(l, f, now_ms))
		return;
	if (f->type == FRAME_DATA)
		take_data(l, f, data);
	if (f->type == FRAME_FIN && f->offset == l->got && !l->fin_got) {
		l->fin_got = true;
		l->got++;
	}
	if (f->type == FRAME_FIN)
		l->owe_credit = true;
	if (l->got == before)
		return;
	l->sync_at_ms = 0;
	if (l->got - l->told_ack >= LINK_WINDOW / 4)
		l->owe_credit = true;
	if (l->ack_at_ms == UINT64_MAX)
		l->ack_at_ms = now_ms + LINK_ACK_MS;
}

void link_input(struct link *l, const struct frame *f, const void *data, uint64_t now_ms)
{
	if (l->state == LINK_CLOSED || f->session != l->session)
		return;
	l->heard_ms = now_ms;
	l->absent_ms = l->doubt_ms = 0;
	if (f->type == FRAME_RESET) {
		/* A side that knows both streams to be whole forgets the session first. */
		bool clean = l->fin_got && (l->fin_acked || (l->finishing && l->top > out_end(l)));

		link_close(l, clean ? LINK_END_CLEAN : (enum link_end)min_u64(f->len, LINK_END_ABORTED));
		return;
	}
	if (l->state == LINK_OPENING && f->type != FRAME_OPEN) {
		l->state = LINK_UP;
		l->ask_wait_ms = LINK_ASK_MS;
		l->ask_at_ms = UINT64_MAX;
	}
	take_ack(l, f->ack);
	if (f->limit > l->peer_limit)
		l->peer_limit = min_u64(f->limit, l->una + LINK_WINDOW * 4);
	if (f->type == FRAME_SYNC && f->ack >= l->una && f->ack < l->next)
		l->next = l->una;
	if (f->flags & FRAME_ASK || f->type == FRAME_OPEN)
		l->owe_credit = true;
	take_stream(l, f, data, now_ms);
}

static size_t emit(struct link *l, uint8_t *ret, enum frame_type type, uint32_t len, uint64_t now_ms)
{
	uint64_t limit = l->got + ring_room(&l->in);
	bool ask = l->owe_ask;
	struct frame f = {
		.type = type,
		.flags = ask && type != FRAME_RESET ? FRAME_ASK : 0,
		.len = len,
		.session = l->session,
		.offset = l->next,
		.ack = l->got,
		.limit = max_u64(limit, l->told_limit),
	};

	frame_encode(ret, &f);
	l->told_ack = f.ack;
	l->told_limit = f.limit;
	l->owe_credit = l->owe_ask = false;
	l->ack_at_ms = UINT64_MAX;
	l->said_ms = now_ms;
	return FRAME_HEAD;
}

static size_t emit_data(struct link *l, uint8_t *ret, uint64_t now_ms)
{
	uint64_t allowed = min_u64(out_end(l), l->peer_limit);
	size_t n;

	if (l->state != LINK_UP || l->next >= allowed)
		return 0;
	n = (size_t)min_u64(allowed - l->next, FRAME_DATA_MAX);
	ring_copy(&l->out, (size_t)(l->next - l->una), ret + FRAME_HEAD, n);
	emit(l, ret, FRAME_DATA, (uint32_t)n, now_ms);
	l->next += n;
	l->top = max_u64(l->top, l->next);
	return FRAME_HEAD + n;
}

static size_t emit_fin(struct link *l, uint8_t *ret, uint64_t now_ms)
{
	if (l->state != LINK_UP || !l->finishing || l->fin_acked || l->next != out_end(l))
		return 0;
	emit(l, ret, FRAME_FIN, 0, now_ms);
	l->next++;
	l->top = max_u64(l->top, l->next);
	return FRAME_HEAD;
}

static void link_settle(struct link *l)
{
	if (l->state == LINK_UP && l->fin_acked && l->fin_got && !l->in.len && !l->owe_credit)
		link_close(l, LINK_END_CLEAN);
}

size_t link_output(struct link *l, uint8_t ret[static FRAME_MAX], uint64_t now_ms)
{
	size_t n = 0;

	if (l->state == LINK_CLOSED) {
		if (!l->owe_reset)
			return 0;
		l->owe_reset = false;
		return emit(l, ret, FRAME_RESET, (uint32_t)l->end, now_ms);
	}
	if (l->owe_sync) {
		l->owe_sync = false;
		return emit(l, ret, FRAME_SYNC, 0, now_ms);
	}
	n = emit_data(l, ret, now_ms);
	if (!n)
		n = emit_fin(l, ret, now_ms);
	if (!n && l->state == LINK_OPENING && l->owe_ask)
		n = emit(l, ret, FRAME_OPEN, 0, now_ms);
	if (!n && l->state == LINK_UP && (l->owe_credit || l->owe_ask))
		n = emit(l, ret, FRAME_CREDIT, 0, now_ms);
	if (l->ask_at_ms == UINT64_MAX && (is_waiting(l) || l->state == LINK_OPENING))
		l->ask_at_ms = now_ms + l->ask_wait_ms;
	link_settle(l);
	return n;
}

size_t link_room(const struct link *l)
{
	return l->finishing || l->state == LINK_CLOSED ? 0 : ring_room(&l->out);
}

size_t link_write(struct link *l, const void *p, size_t n)
{
	return link_room(l) ? ring_add(&l->out, p, n) : 0;
}

size_t link_read(struct link *l, void *ret, size_t n)
{
	size_t done = ring_take(&l->in, ret, n);

	/* The other side hears of new room when it is worth a message. */
	if (done && l->state == LINK_UP && l->got + ring_room(&l->in) >= l->told_limit + LINK_WINDOW / 4)
		l->owe_credit = true;
	return done;
}

bool link_ended(const struct link *l)
{
	return l->fin_got && !l->in.len;
}

void link_finish(struct link *l)
{
	l->finishing = true;
}

void link_abort(struct link *l, enum link_end end)
{
	if (l->state == LINK_CLOSED)
		return;
	link_close(l, end);
	l->owe_reset = true;
}

void link_tick(struct link *l, uint64_t now_ms)
{
	if (l->state == LINK_CLOSED)
		return;
	if (now_ms - l->heard_ms >= LINK_DEAD_MS && now_ms > l->heard_ms) {
		link_close(l, LINK_END_SILENT);
		return;
	}
	if (l->ask_at_ms <= now_ms) {
		l->ask_at_ms = UINT64_MAX;
		if (l->state == LINK_OPENING || is_waiting(l)) {
			l->owe_ask = true;
			l->ask_wait_ms = min_u64(l->ask_wait_ms * 2, LINK_ASK_MAX_MS);
			l->ask_at_ms = now_ms + l->ask_wait_ms;
		}
	}
	if (l->ack_at_ms <= now_ms)
		l->owe_credit = true;
	if (now_ms - l->said_ms >= idle_ms(l))
		l->owe_ask = true;
}

void link_kick(struct link *l, uint64_t now_ms)
{
	if (l->state == LINK_CLOSED)
		return;
	l->owe_ask = true;
	l->ask_wait_ms = LINK_ASK_MS;
	l->ask_at_ms = now_ms + LINK_ASK_MS;
}

void link_absent(struct link *l, uint64_t now_ms)
{
	if (l->state != LINK_OPENING)
		return;
	if (!l->absent_ms)
		l->absent_ms = now_ms ? now_ms : 1;
	if (now_ms - l->absent_ms >= LINK_ABSENT_MS)
		link_close(l, LINK_END_ABSENT);
}

/* Who is there answers what is asked now; each question to who is not comes back as another doubt. */
void link_doubt(struct link *l, uint64_t now_ms)
{
	if (l->state == LINK_CLOSED || now_ms - l->heard_ms < LINK_ABSENT_MS)
		return;
	if (!l->doubt_ms) {
		l->doubt_ms = now_ms;
		link_kick(l, now_ms);
	} else if (now_ms - l->doubt_ms >= LINK_GONE_MS) {
		link_close(l, LINK_END_ABSENT);
	}
}

uint64_t link_due_ms(const struct link *l)
{
	uint64_t due = min_u64(l->heard_ms + LINK_DEAD_MS, l->said_ms + idle_ms(l));

	if (l->state == LINK_CLOSED)
		return UINT64_MAX;
	return min_u64(due, min_u64(l->ask_at_ms, l->ack_at_ms));
}
