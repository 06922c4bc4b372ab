/* From a descriptor to the hub and back:
 *
 *   fd <-> mux (streams, credit) <-> TLS <-> link (nothing lost) <-> hub (messages)
 *
 * Every event (message, descriptor, timer) only marks its session; session_run() then moves bytes in both directions until
 * nothing moves. So no callback runs inside another, and each layer's bound is what stops the one above it. */
#include "grid/session.h"

#include "base/file.h"
#include "base/log.h"
#include "grid/link.h"
#include "grid/pump.h"

#include <stdio.h>

enum { TLS_WAITING_MAX = 64 << 10, HOLD_MS = 100 };

enum phase {
	PHASE_SHAKING, /* link and TLS are getting up */
	PHASE_OPEN,
	PHASE_ENDING,  /* the other side has finished: what came still goes to the descriptors */
	PHASE_LEAVING, /* we have finished: what waits still goes out */
	PHASE_OVER,
};

struct session {
	struct grid *grid;
	struct session_callbacks cb;
	enum phase phase;
	struct link link;
	struct tls *tls;
	struct tls_ctx *own_ctx; /* a dialler's */
	struct mux mux;
	struct pumps pumps;
	size_t calls_max; /* 0 = any */
	sd_event_source *defer, *timer;
	uint8_t peer[32];
	char to[HUB_SUBJECT_MAX], from[HUB_SUBJECT_MAX]; /* subjects */
	int sub;
	uint64_t deadline_ms; /* of this phase; 0 = none */
	uint64_t sealed, keyed_ms; /* bytes written since the keys changed, and when that was */
	int asked; /* changes of ours: each may be answered with one */
	int unasked; /* the other side's, those answers apart, before this span of time, */
	uint64_t unasked_until_ms; /* which ends then */
	uint32_t seen_stream; /* the other side's streams up to this were announced */
	bool is_dialer, is_silent /* the owner does not want to hear */, tls_finished;
	struct err why;
};

struct grid {
	sd_event *event;
	struct hub *hub;
	struct hub_callbacks cb;
	struct session *sessions[GRID_SESSIONS_MAX];
	struct grid_rekey rekey;
	struct tls_ctx *ctx;
	grid_accept_fn *accept;
	void *accept_userdata;
	uint8_t scratch[PUMP_SCRATCH];
};

static void session_wake(struct session *s)
{
	sd_event_source_set_enabled(s->defer, SD_EVENT_ONESHOT);
}

/* Descriptors. */

int session_attach(struct session *s, uint32_t id, int fd, struct err *e)
{
	AUTO_FD int owned = fd;

	if (s->phase != PHASE_OPEN && s->phase != PHASE_ENDING)
		return err_set(e, -ENOTCONN, "attach to stream %u: the session is not open", id);
	return pump_attach(&s->pumps, id, take_fd(owned), e);
}

int session_open_stream(struct session *s, int fd, uint32_t *ret_id, struct err *e)
{
	AUTO_FD int owned = fd;
	uint32_t id;
	int r;

	if (s->phase != PHASE_OPEN)
		return err_set(e, -ENOTCONN, "open a stream: the session is not open");
	if (mux_open(&s->mux, &id))
		return err_set(e, -EMFILE, "open a stream: the session has %d streams already", MUX_STREAMS_MAX);
	r = session_attach(s, id, take_fd(owned), e);
	if (r)
		mux_reset(mux_find(&s->mux, id));
	else
		*ret_id = id;
	return r;
}

/* Phases. */

static void enter(struct session *s, enum phase phase, uint64_t limit_ms)
{
	s->phase = phase;
	s->deadline_ms = limit_ms ? log_now_ms() + limit_ms : 0;
	session_wake(s);
}

static bool move_down(struct session *s);
static void move_out(struct session *s);

/* The first reason stands. */
static void session_fail(struct session *s, enum link_end end)
{
	if (s->phase == PHASE_OVER)
		return;
	s->tls_finished = true; /* no more of ours: TLS may be broken, and the reason must not be overwritten */
	while (move_down(s)) /* the alert, so that the other side knows why */
		move_out(s);
	link_abort(&s->link, end);
	move_out(s);
	pumps_close(&s->pumps);
	enter(s, PHASE_OVER, 0);
}

/* Our side says good-bye; the link lingers until the other side has heard it. */
static void session_leave(struct session *s)
{
	pumps_close(&s->pumps);
	for (size_t i = 0; i < MUX_STREAMS_MAX; i++)
		if (s->mux.streams[i].used)
			mux_eof(&s->mux.streams[i]);
	enter(s, PHASE_LEAVING, GRID_LINGER_MS);
}

void session_close(struct session *s)
{
	s->is_silent = true;
	if (s->phase == PHASE_SHAKING) {
		err_set(&s->why, -ECANCELED, "closed");
		session_fail(s, LINK_END_ABORTED);
	} else if (s->phase != PHASE_OVER) {
		session_leave(s);
	}
}

void session_refuse(struct session *s)
{
	s->is_silent = true;
	session_fail(s, LINK_END_REFUSED);
}

unsigned session_streams(const struct session *s)
{
	return pumps_count(&s->pumps);
}

struct tls_updates session_updates(const struct session *s)
{
	return ident_tls_updates(s->tls);
}

int session_export(const struct session *s, const char *label, const void *context, size_t n, uint8_t ret[static 32], struct err *e)
{
	if (s->phase != PHASE_OPEN)
		return err_set(e, -ENOTCONN, "derive a key from the session: it is not open");
	return ident_tls_export(s->tls, label, context, n, ret, e);
}

void session_pace(struct session *s, uint32_t id)
{
	pump_pace(&s->pumps, id);
}

void session_calls_max(struct session *s, size_t n)
{
	s->calls_max = n;
}

void session_set_callbacks(struct session *s, const struct session_callbacks *cb)
{
	s->cb = *cb;
}

static void session_opened(struct session *s)
{
	struct grid *g = s->grid;

	ident_tls_peer(s->tls, s->peer);
	s->keyed_ms = log_now_ms();
	if (s->is_dialer) {
		enter(s, PHASE_OPEN, 0);
		if (s->cb.ready)
			s->cb.ready(s->cb.userdata, s);
		return;
	}
	enter(s, PHASE_OPEN, 0);
	if (g->accept(g->accept_userdata, s, s->peer) < 0)
		session_refuse(s);
}

static void handshake(struct session *s)
{
	int r = ident_tls_handshake(s->tls, &s->why);

	if (r == 0)
		session_opened(s);
	else if (r < 0)
		session_fail(s, LINK_END_ABORTED);
}

static void announce_streams(struct session *s)
{
	while (s->phase == PHASE_OPEN && s->seen_stream + 2 <= s->mux.next_theirs) {
		uint32_t id = s->seen_stream;

		s->seen_stream += 2;
		if (s->cb.stream && mux_find(&s->mux, id))
			s->cb.stream(s->cb.userdata, s, id);
	}
}

/* Whether the other side has changed its keys more often than it may in this span of time. */
static bool updates_flood(struct session *s, uint64_t now_ms)
{
	int unasked = (int)ident_tls_updates(s->tls).got - s->asked;

	if (now_ms >= s->unasked_until_ms) {
		s->unasked = unasked;
		s->unasked_until_ms = now_ms + GRID_UPDATES_MS;
	}
	return unasked - s->unasked > GRID_UPDATES_MAX;
}

/* TLS -> mux. */
static bool move_up(struct session *s)
{
	bool moved = false;

	while (s->phase == PHASE_OPEN || s->phase == PHASE_LEAVING) {
		size_t n;
		int r = ident_tls_read(s->tls, s->grid->scratch, PUMP_SCRATCH, &n, &s->why);

		if (updates_flood(s, log_now_ms()))
			r = err_set(&s->why, -EPROTO, "the other side changes its keys without need, more than %d times in %d s", GRID_UPDATES_MAX,
				    GRID_UPDATES_MS / 1000);
		if (r == TLS_AGAIN)
			break;
		if (r == TLS_END) {
			err_set(&s->why, -ECONNRESET, "the other side has finished");
			for (size_t i = 0; i < MUX_STREAMS_MAX; i++)
				mux_cut(&s->mux.streams[i]);
			if (s->phase == PHASE_OPEN)
				enter(s, PHASE_ENDING, GRID_LINGER_MS);
			return true;
		}
		if (!r)
			r = mux_input(&s->mux, s->grid->scratch, n, &s->why);
		if (r) {
			session_fail(s, LINK_END_ABORTED);
			return false;
		}
		moved = true;
	}
	return moved;
}

static bool move_in(struct session *s)
{
	size_t n = link_read(&s->link, s->grid->scratch, PUMP_SCRATCH);

	if (!n)
		return false;
	BUG_ON(ident_tls_feed(s->tls, s->grid->scratch, n)); /* bounded by the link's window */
	if (s->phase == PHASE_SHAKING)
		handshake(s);
	if (s->phase == PHASE_OPEN || s->phase == PHASE_LEAVING)
		move_up(s);
	announce_streams(s);
	return true;
}

static uint64_t rekey_due_ms(const struct session *s)
{
	return s->phase == PHASE_OPEN && s->sealed ? s->keyed_ms + s->grid->rekey.ms : UINT64_MAX;
}

static void rekey(struct session *s, uint64_t now_ms)
{
	if (s->phase != PHASE_OPEN || (s->sealed < s->grid->rekey.bytes && now_ms < rekey_due_ms(s)))
		return;
	s->sealed = 0;
	s->keyed_ms = now_ms;
	s->asked++;
	if (ident_tls_update(s->tls, &s->why))
		session_fail(s, LINK_END_ABORTED);
}

/* When the first paced stream will have been stuck for as long as it may. */
static uint64_t unread_due_ms(const struct session *s)
{
	uint64_t since_ms = pumps_stuck_ms(&s->pumps);

	return since_ms == UINT64_MAX ? UINT64_MAX : since_ms + GRID_UNREAD_MS;
}

static void unread_look(struct session *s, uint64_t now_ms)
{
	pumps_look(&s->pumps, now_ms);
	if (s->phase != PHASE_OPEN || unread_due_ms(s) > now_ms)
		return;
	err_set(&s->why, -ETIMEDOUT, "the other side calls and reads no answers");
	session_fail(s, LINK_END_ABORTED);
}

/* Whoever reads calls keeps them until they end. */
static void calls_look(struct session *s)
{
	if (s->phase != PHASE_OPEN || !s->calls_max || pumps_begun(&s->pumps) <= s->calls_max)
		return;
	err_set(&s->why, -EFBIG, "the other side's calls are larger than %zu bytes", s->calls_max);
	session_fail(s, LINK_END_ABORTED);
}

/* mux -> TLS -> link. */
static bool move_down(struct session *s)
{
	uint8_t frame[MUX_FRAME_MAX];
	bool moved = false;
	size_t n;

	while ((s->phase == PHASE_OPEN || s->phase == PHASE_ENDING || s->phase == PHASE_LEAVING) && !s->tls_finished &&
	       ident_tls_pending(s->tls) < TLS_WAITING_MAX && (n = mux_output(&s->mux, frame))) {
		if (ident_tls_write(s->tls, frame, n, &s->why)) {
			s->phase = PHASE_OVER;
			link_abort(&s->link, LINK_END_ABORTED);
			return false;
		}
		s->sealed += n;
		moved = true;
	}
	while ((n = link_room(&s->link)) && (n = ident_tls_drain(s->tls, s->grid->scratch, n < PUMP_SCRATCH ? n : PUMP_SCRATCH))) {
		link_write(&s->link, s->grid->scratch, n);
		moved = true;
	}
	return moved;
}

static void move_out(struct session *s)
{
	uint8_t frame[FRAME_MAX];
	size_t n;

	while (hub_has_room(s->grid->hub) && (n = link_output(&s->link, frame, log_now_ms())))
		if (hub_publish(s->grid->hub, s->to, s->from, frame, n))
			return;
}

static bool any_stream(const struct session *s)
{
	for (size_t i = 0; i < MUX_STREAMS_MAX; i++)
		if (s->mux.streams[i].used)
			return true;
	return false;
}

static bool all_sent(const struct session *s)
{
	for (size_t i = 0; i < MUX_STREAMS_MAX; i++)
		if (s->mux.streams[i].used && !s->mux.streams[i].eof_sent)
			return false;
	return true;
}

static void next_phase(struct session *s, uint64_t now_ms)
{
	bool late = s->deadline_ms && now_ms >= s->deadline_ms;

	if (s->phase == PHASE_SHAKING && late) {
		s->is_silent |= !s->is_dialer;
		err_set(&s->why, -ETIMEDOUT, "the other side does not finish the handshake");
		session_fail(s, LINK_END_ABORTED);
	}
	if (s->phase == PHASE_OPEN && !any_stream(s)) {
		err_set(&s->why, -ESHUTDOWN, "all streams of the session have ended");
		session_leave(s);
	}
	if (s->phase == PHASE_ENDING && (late || pumps_are_empty(&s->pumps)))
		session_leave(s);
	if (s->phase == PHASE_LEAVING && all_sent(s) && !s->tls_finished) {
		s->tls_finished = true;
		ident_tls_finish(s->tls);
		session_wake(s);
	}
	if (s->phase == PHASE_LEAVING && s->tls_finished && !ident_tls_pending(s->tls))
		link_finish(&s->link);
	if (s->phase == PHASE_LEAVING && late)
		session_fail(s, LINK_END_ABORTED);
}

static void notice_link(struct session *s)
{
	if (s->link.state != LINK_CLOSED || s->link.in.len || s->phase == PHASE_OVER)
		return;
	if (!s->why.code)
		err_set(&s->why, -ECONNRESET, "%s", link_end_text(s->link.end));
	pumps_close(&s->pumps);
	enter(s, PHASE_OVER, 0);
}

static void arm_timer(struct session *s, uint64_t now_ms)
{
	uint64_t due = link_due_ms(&s->link);

	if (due < now_ms + HOLD_MS && !hub_has_room(s->grid->hub)) /* what is due cannot be sent now */
		due = now_ms + HOLD_MS;
	if (rekey_due_ms(s) < due)
		due = rekey_due_ms(s);
	if (unread_due_ms(s) < due)
		due = unread_due_ms(s);
	if (s->deadline_ms && s->deadline_ms < due)
		due = s->deadline_ms;
	sd_event_source_set_time(s->timer, due == UINT64_MAX ? 0 : due * 1000);
	sd_event_source_set_enabled(s->timer, due == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static void session_run(struct session *s)
{
	uint64_t now = log_now_ms();
	bool moved = true;

	link_tick(&s->link, now);
	if (s->phase == PHASE_SHAKING && s->is_dialer && !ident_tls_pending(s->tls) && !s->link.top)
		handshake(s);
	for (int round = 0; moved && round < 8; round++) { /* other sessions want their turn too */
		moved = move_in(s);
		if (s->phase == PHASE_OPEN || s->phase == PHASE_ENDING)
			moved |= pumps_move(&s->pumps);
		calls_look(s);
		rekey(s, now);
		moved |= move_down(s);
		move_out(s);
	}
	unread_look(s, now);
	next_phase(s, now);
	move_out(s);
	notice_link(s);
	if (moved)
		session_wake(s);
	arm_timer(s, now);
}

static void session_free(struct session *s)
{
	struct grid *g = s->grid;

	for (size_t i = 0; i < GRID_SESSIONS_MAX; i++)
		if (g->sessions[i] == s)
			g->sessions[i] = NULL;
	pumps_close(&s->pumps);
	hub_unsubscribe(g->hub, s->sub);
	sd_event_source_disable_unref(s->defer);
	sd_event_source_disable_unref(s->timer);
	ident_tls_free(s->tls);
	ident_tls_ctx_free(s->own_ctx);
	link_deinit(&s->link);
	mux_deinit(&s->mux);
	free(s);
}

static int on_defer(sd_event_source *source, void *userdata)
{
	struct session *s = userdata;

	(void)source;
	session_run(s);
	if (s->phase != PHASE_OVER)
		return 0;
	if (!s->is_silent && s->cb.closed)
		s->cb.closed(s->cb.userdata, s, s->why.msg);
	session_free(s);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	session_wake(userdata);
	return 0;
}

static int session_new(struct grid *g, bool is_dialer, uint64_t id, struct session **ret, struct err *e)
{
	struct session *s;
	size_t at = 0;
	int r;

	while (at < GRID_SESSIONS_MAX && g->sessions[at])
		at++;
	if (at == GRID_SESSIONS_MAX)
		return err_set(e, -EMFILE, "there are %d sessions already", GRID_SESSIONS_MAX);
	s = calloc(1, sizeof(*s));
	BUG_ON(!s);
	*s = (struct session){ .grid = g, .is_dialer = is_dialer, .sub = -1, .seen_stream = is_dialer ? 2 : 1 };
	link_init(&s->link, is_dialer, id, log_now_ms());
	mux_init(&s->mux, !is_dialer);
	g->sessions[at] = s;
	r = sd_event_add_defer(g->event, &s->defer, on_defer, s);
	s->pumps = (struct pumps){ .event = g->event, .mux = &s->mux, .scratch = g->scratch, .wake = s->defer };
	if (r >= 0)
		r = sd_event_add_time(g->event, &s->timer, CLOCK_MONOTONIC, 0, 5000, on_timer, s);
	if (r < 0) {
		session_free(s);
		return err_set(e, r, "start a session: %s", strerror(-r));
	}
	sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
	*ret = s;
	return 0;
}

/* Messages. */

static void session_message(struct session *s, const struct frame *f, const void *data)
{
	link_input(&s->link, f, (const uint8_t *)data + FRAME_HEAD, log_now_ms());
	session_wake(s);
}

static void on_dialer_message(void *userdata, const char *reply, const void *data, size_t n, bool nobody)
{
	struct session *s = userdata;
	struct frame f;

	if (nobody) {
		link_absent(&s->link, log_now_ms());
		session_wake(s);
	} else if (reply && !strcmp(reply, s->to) && !frame_decode(data, n, &f)) {
		session_message(s, &f, data);
	}
}

/* n.<56 letters>.d.<session in hex>: nothing else may make us send something somewhere. */
static bool reply_ok(const char *reply, uint64_t session)
{
	char want[32];

	snprintf(want, sizeof(want), ".d.%016llx", (unsigned long long)session);
	if (strlen(reply) != 2 + KEY_TEXT_LEN + strlen(want) || strncmp(reply, "n.", 2))
		return false;
	return strspn(reply + 2, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == KEY_TEXT_LEN && !strcmp(reply + 2 + KEY_TEXT_LEN, want);
}

static void refuse(struct grid *g, const char *to, const struct frame *f, enum link_end end)
{
	uint8_t out[FRAME_HEAD];

	if (f->type == FRAME_RESET)
		return;
	frame_encode(out, &(struct frame){ .type = FRAME_RESET, .len = end, .session = f->session });
	(void)!hub_publish(g->hub, to, NULL, out, sizeof(out)); /* lost or not: they ask again */
}

/* Makes place for one more handshake: a stranger that begins many and finishes none loses them to those who come after. */
static bool half_open_room(struct grid *g, uint64_t now_ms)
{
	struct session *oldest = NULL;
	unsigned n = 0;

	for (size_t i = 0; i < GRID_SESSIONS_MAX; i++) {
		struct session *s = g->sessions[i];

		if (!s || s->is_dialer || s->phase != PHASE_SHAKING)
			continue;
		n++;
		if (!oldest || s->deadline_ms < oldest->deadline_ms)
			oldest = s;
	}
	if (n < GRID_HALF_OPEN_MAX)
		return true;
	if (oldest->deadline_ms + GRID_HANDSHAKE_MIN_MS > now_ms + GRID_HANDSHAKE_MS)
		return false;
	session_refuse(oldest);
	return true;
}

static struct session *session_accept(struct grid *g, const char *reply, uint64_t id)
{
	struct session *s;

	if (!half_open_room(g, log_now_ms()) || session_new(g, false, id, &s, NULL))
		return NULL;
	snprintf(s->to, sizeof(s->to), "%s", reply);
	snprintf(s->from, sizeof(s->from), "n.%s.i", hub_key(g->hub));
	enter(s, PHASE_SHAKING, GRID_HANDSHAKE_MS);
	if (ident_tls_new_server(g->ctx, &s->tls, NULL)) {
		session_free(s);
		return NULL;
	}
	return s;
}

/* One of our messages found nobody: the hub does not say which. */
static void doubt_all(struct grid *g)
{
	uint64_t now_ms = log_now_ms();

	for (size_t i = 0; i < GRID_SESSIONS_MAX; i++)
		if (g->sessions[i] && !g->sessions[i]->is_dialer) {
			link_doubt(&g->sessions[i]->link, now_ms);
			session_wake(g->sessions[i]);
		}
}

static void on_inbox(void *userdata, const char *reply, const void *data, size_t n, bool nobody)
{
	struct grid *g = userdata;
	struct session *s = NULL;
	struct frame f;

	if (nobody)
		doubt_all(g);
	if (nobody || !reply || frame_decode(data, n, &f) || !reply_ok(reply, f.session))
		return;
	for (size_t i = 0; i < GRID_SESSIONS_MAX && !s; i++)
		if (g->sessions[i] && g->sessions[i]->link.session == f.session && !strcmp(g->sessions[i]->to, reply))
			s = g->sessions[i];
	if (!s && f.type != FRAME_OPEN) {
		refuse(g, reply, &f, LINK_END_UNKNOWN);
		return;
	}
	if (!s)
		s = session_accept(g, reply, f.session);
	if (s)
		session_message(s, &f, data);
	else
		refuse(g, reply, &f, LINK_END_REFUSED);
}

/* The grid. */

static void on_state(void *userdata, bool is_up, const char *why)
{
	struct grid *g = userdata;

	for (size_t i = 0; i < GRID_SESSIONS_MAX; i++)
		if (g->sessions[i] && is_up) {
			link_kick(&g->sessions[i]->link, log_now_ms());
			session_wake(g->sessions[i]);
		}
	if (g->cb.state)
		g->cb.state(g->cb.userdata, is_up, why);
}

static void on_writable(void *userdata)
{
	struct grid *g = userdata;

	for (size_t i = 0; i < GRID_SESSIONS_MAX; i++)
		if (g->sessions[i])
			session_wake(g->sessions[i]);
}

int grid_new(sd_event *event, const struct hub_options *o, const struct hub_callbacks *cb, struct grid **ret, struct err *e)
{
	struct grid *g = calloc(1, sizeof(*g));
	int r;

	BUG_ON(!g);
	g->event = sd_event_ref(event);
	g->cb = *cb;
	g->rekey = (struct grid_rekey)GRID_REKEY;
	r = hub_new(event, o, &(struct hub_callbacks){ on_state, on_writable, g }, &g->hub, e);
	if (r)
		grid_free(g);
	else
		*ret = g;
	return r;
}

void grid_free(struct grid *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < GRID_SESSIONS_MAX; i++)
		if (g->sessions[i]) {
			link_abort(&g->sessions[i]->link, LINK_END_ABORTED);
			move_out(g->sessions[i]);
			session_free(g->sessions[i]);
		}
	hub_free(g->hub);
	ident_tls_ctx_free(g->ctx);
	sd_event_unref(g->event);
	free(g);
}

struct hub *grid_hub(struct grid *g)
{
	return g->hub;
}

void grid_set_rekey(struct grid *g, const struct grid_rekey *r)
{
	g->rekey = *r;
}

int grid_listen(struct grid *g, const struct key *own, grid_accept_fn *fn, void *userdata, struct err *e)
{
	char inbox[HUB_SUBJECT_MAX];
	int r;

	if (g->ctx)
		return err_set(e, -EALREADY, "this process listens already");
	r = ident_tls_ctx_new(own, &g->ctx, e);
	if (r)
		return r;
	g->accept = fn;
	g->accept_userdata = userdata;
	snprintf(inbox, sizeof(inbox), "n.%s.i", hub_key(g->hub));
	r = hub_subscribe(g->hub, inbox, on_inbox, g);
	return r < 0 ? err_set(e, r, "listen on the hub: too many subscriptions") : 0;
}

int session_dial(struct grid *g, const char *peer_hub_key, const struct key *own, const uint8_t expected[static 32],
		 const struct session_callbacks *cb, struct session **ret, struct err *e)
{
	struct session *s;
	struct key_pub peer;
	uint64_t id = random_u64() | 1;
	int r;

	if (key_pub_parse(str_c(peer_hub_key), &peer))
		return err_set(e, -EINVAL, "'%.60s' is no address on a hub", peer_hub_key);
	r = session_new(g, true, id, &s, e);
	if (r)
		return r;
	s->cb = *cb;
	snprintf(s->to, sizeof(s->to), "n.%s.i", peer_hub_key);
	snprintf(s->from, sizeof(s->from), "n.%s.d.%016llx", hub_key(g->hub), (unsigned long long)id);
	r = ident_tls_ctx_new(own, &s->own_ctx, e);
	if (!r)
		r = ident_tls_new_client(s->own_ctx, expected, &s->tls, e);
	if (!r) {
		s->sub = hub_subscribe(g->hub, s->from, on_dialer_message, s);
		r = s->sub < 0 ? err_set(e, s->sub, "open a session: too many subscriptions") : 0;
	}
	if (r) {
		session_free(s);
		return r;
	}
	enter(s, PHASE_SHAKING, LINK_DEAD_MS + GRID_HANDSHAKE_MS);
	*ret = s;
	return 0;
}
