#include "node/meet.h"

#include "api/call.h"
#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "node/request.h"
#include "svc/daemon.h"

#include <stdio.h>
#include <time.h>

static uint64_t unix_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct meeting_with with_of(const struct peer *x)
{
	return (struct meeting_with){ .owner = x->owner, .node = x->node, .network = x->network };
}

static struct meet_about about_of(const struct peer *x)
{
	return (struct meet_about){ .owner = &x->owner, .network = x->network, .sequence = x->proposed };
}

static struct meet_flight *flight_find(struct meet *m, uint64_t id)
{
	for (size_t i = 0; i < PEERS_FLIGHT_MAX; i++)
		if (m->flights[i].id == id)
			return &m->flights[i];
	return NULL;
}

/* A place that is free, or whose order nobody waits for any more. */
static struct meet_flight *flight_new(struct meet *m)
{
	for (size_t i = 0; i < PEERS_FLIGHT_MAX; i++)
		if (!peers_under_way(&m->peers, m->flights[i].id))
			return &m->flights[i];
	return NULL;
}

static int own_end(struct meet *m, const struct peer *x, struct meet_end *ret, struct err *e)
{
	struct meeting_with with = with_of(x);

	if (m->ends && !m->ends->own(m->ends->ctx, &with, ret))
		return 0;
	return err_set(e, -ENOENT, "this node's end of the network is not there");
}

/* The order to meet X's node: signed, and its nonce remembered. Appends. */
static int order_make(struct meet *m, const struct peer *x, int64_t expires_s, struct buf *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *args = NULL, *envelope = NULL;
	struct engine *n = m->engine;
	struct meet_about about = about_of(x);
	struct meet_flight *f = flight_new(m);
	AUTO_ORDER struct order o = { 0 };
	struct meet_end own;
	int r = own_end(m, x, &own, e);

	if (r)
		return r;
	if (!f) /* orders of meetings that were overtaken hold all places: their answers free them */
		return err_set(e, -EBUSY, "%d meetings are under way already", PEERS_FLIGHT_MAX);
	if (meet_args_build(&about, &own, n->approval, &args) < 0 || order_sign(&n->identity, &x->node, CALL_MEET, args, expires_s, ret))
		return err_set(e, -ENOMEM, "sign a meeting: out of memory");
	if ((r = json_parse(buf_str(ret), &envelope, e)) || (r = order_open(envelope, &x->node, expires_s - MEET_LIFE_S, &o, e)))
		return r;
	f->id = x->id;
	snprintf(f->nonce, sizeof(f->nonce), "%s", o.nonce);
	return 0;
}

static int login_make(struct meet *m, const struct key_pub *node, int64_t expires_s, struct buf *ret, struct err *e)
{
	uint8_t tls_key[32];

	if (parse_hex(str_c(m->line->tls_key), tls_key, sizeof(tls_key)))
		return err_set(e, -EAGAIN, "gridd has not named its TLS key yet");
	return login_sign(&m->engine->identity, node, tls_key, expires_s, ret) ? err_set(e, -ENOMEM, "sign a login: out of memory") : 0;
}

int meet_errand(struct meet *m, uint64_t id, const struct key_pub *node, uint64_t tries, const struct buf *order, int64_t expires_s, struct err *e)
{
	AUTO_BUF struct buf login = { 0 };
	AUTO_JSON sd_json_variant *order_json = NULL, *login_json = NULL;
	char name[KEY_TEXT_SIZE], farm[KEY_TEXT_SIZE];
	int r;

	if ((r = login_make(m, node, expires_s, &login, e)) || (r = json_parse(buf_str(order), &order_json, e)) ||
	    (r = json_parse(buf_str(&login), &login_json, e)))
		return r;
	key_pub_format(name, node);
	key_pub_format(farm, &m->engine->farm->farm);
	r = sd_varlink_notifybo(m->link, SD_JSON_BUILD_PAIR_UNSIGNED("id", id), SD_JSON_BUILD_PAIR_STRING("node", name),
				SD_JSON_BUILD_PAIR_STRING("farm", farm), SD_JSON_BUILD_PAIR_UNSIGNED("tries", tries),
				SD_JSON_BUILD_PAIR_VARIANT("login", login_json), SD_JSON_BUILD_PAIR_VARIANT("order", order_json));
	return r < 0 ? err_set(e, r, "tell gridd: %s", strerror(-r)) : 0;
}

int meet_ready(const struct meet *m, struct err *e)
{
	if (!m->link)
		return err_set(e, -EHOSTUNREACH, "gridd is not there");
	if (!m->engine->farm || !m->engine->approval)
		return err_set(e, -EACCES, "this node is not approved by a farm");
	return 0;
}

static int dial(struct meet *m, const struct peer *x, struct err *e)
{
	AUTO_BUF struct buf order = { 0 };
	int64_t expires_s = time(NULL) + MEET_LIFE_S;
	int r;

	if ((r = meet_ready(m, e)) || (r = order_make(m, x, expires_s, &order, e)))
		return r;
	return meet_errand(m, x->id, &x->node, x->tries, &order, expires_s, e);
}

static void failed(struct meet *m, struct peer *x, const char *why)
{
	char node[KEY_TEXT_SIZE];

	key_pub_format(node, &x->node);
	if (strcmp(x->why, why))
		log_limited("meet %s for network %s: %s", node, x->network, why);
	peers_failed(&m->peers, x, why, log_now_ms());
}

/* Begins what is due, and waits for what is next. */
static void run(struct meet *m)
{
	struct peer *x;

	while ((x = peers_next(&m->peers, log_now_ms(), unix_ms()))) {
		struct err e = { 0 };

		if (dial(m, x, &e))
			failed(m, x, e.msg);
	}
	uint64_t due_ms = peers_due_ms(&m->peers);
	sd_event_source_set_enabled(m->timer, due_ms == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
	if (due_ms != UINT64_MAX)
		sd_event_source_set_time(m->timer, due_ms * 1000);
}

/* Not from within a call of whoever has networks: own() and met() would come back to it. */
static void run_soon(struct meet *m)
{
	sd_event_source_set_time(m->timer, 0);
	sd_event_source_set_enabled(m->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	run(userdata);
	return 0;
}

int meet_init(struct meet *ret, struct engine *engine, struct line *line, const struct peers_times *times, struct err *e)
{
	int r;

	*ret = (struct meet){ .engine = engine, .line = line };
	peers_init(&ret->peers, &engine->identity.pub, times ? times : &peers_times, random_u64());
	r = sd_event_add_time(engine->event, &ret->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timer, ret);
	if (r < 0)
		return err_set(e, r, "meet other nodes: %s", strerror(-r));
	sd_event_source_set_enabled(ret->timer, SD_EVENT_OFF);
	line->peers = &ret->peers;
	return 0;
}

void meet_deinit(struct meet *m)
{
	if (m->line)
		m->line->peers = NULL;
	sd_varlink_unref(m->link);
	sd_event_source_disable_unref(m->timer);
	peers_deinit(&m->peers);
	relays_deinit(&m->relays);
	*m = (struct meet)MEET_NONE;
}

void meet_attach(struct meet *m, const struct meeting_ends *ends)
{
	m->ends = ends;
}

int meet_want(struct meet *m, const struct meeting_with *with, struct err *e)
{
	int r = peers_want(&m->peers, &with->node, &with->owner, with->network, log_now_ms());

	if (r == -ENOSPC)
		return err_set(e, r, "this node's networks have %d peers on at most %d nodes", PEERS_MAX, PEERS_NODES_MAX);
	if (r)
		return err_set(e, r, "'%.80s' is no network with another node", with->network);
	engine_tell(m->engine); /* the nodes that have places kept are others now */
	run_soon(m);
	return 0;
}

void meet_forget(struct meet *m, const struct meeting_with *with)
{
	peers_forget(&m->peers, &with->node, &with->owner, with->network);
	engine_tell(m->engine);
	run_soon(m);
}

void meet_changed(struct meet *m, const struct key_pub *owner, const char *network)
{
	peers_changed(&m->peers, owner, network, log_now_ms());
	run_soon(m);
}

#define KEY_LABEL "zos network key 1"

static int private_key(void *ctx, const struct key_pub *owner, const char *network, uint8_t ret[static MEET_KEY_LEN])
{
	const struct meet *m = ctx;
	char text[KEY_TEXT_SIZE], label[sizeof(KEY_LABEL) + KEY_TEXT_SIZE + MEET_NETWORK_MAX + 2];

	key_pub_format(text, owner);
	snprintf(label, sizeof(label), KEY_LABEL " %s/%s", text, network);
	return key_derive(&m->engine->identity, label, ret, MEET_KEY_LEN);
}

static int want(void *ctx, const struct meeting_with *with, struct err *e)
{
	return meet_want(ctx, with, e);
}

static void forget(void *ctx, const struct meeting_with *with)
{
	meet_forget(ctx, with);
}

static void changed(void *ctx, const struct key_pub *owner, const char *network)
{
	meet_changed(ctx, owner, network);
}

struct meetings meet_meetings(struct meet *m)
{
	return (struct meetings){ .want = want, .forget = forget, .changed = changed, .relay = relays_need, .private_key = private_key, .ctx = m };
}

void meet_hurry(struct meet *m)
{
	peers_hurry(&m->peers, log_now_ms());
	run_soon(m);
}

int meet_watch(struct meet *m, sd_varlink *link)
{
	sd_varlink_unref(m->link);
	m->link = sd_varlink_ref(link);
	peers_line_down(&m->peers, log_now_ms()); /* the gridd before it took them along */
	meet_hurry(m);
	return 0;
}

void meet_gone(struct meet *m, sd_varlink *link)
{
	if (m->link != link)
		return;
	m->link = sd_varlink_unref(m->link);
	peers_line_down(&m->peers, log_now_ms());
	run_soon(m);
}

/* What gridd tells of a meeting. */

struct met_args {
	uint64_t id;
	sd_json_variant *reply;
	const char *psk, *error, *message;
};
static const struct json_field met_fields[] = {
	{ "id", JSON_U64, offsetof(struct met_args, id), .required = true },
	{ "reply", JSON_ANY, offsetof(struct met_args, reply) },
	{ "psk", JSON_TEXT, offsetof(struct met_args, psk), .min = MEET_KEY_TEXT_LEN, .max = MEET_KEY_TEXT_LEN },
	{ "error", JSON_TEXT, offsetof(struct met_args, error), .max = 80 },
	{ "message", JSON_TEXT, offsetof(struct met_args, message), .max = ERR_MSG_MAX },
};
const struct json_table meet_met_table = { met_fields, ARRAY_LEN(met_fields), sizeof(struct met_args), NULL };

struct reply_args {
	sd_json_variant *meeting;
};
static const struct json_field reply_fields[] = {
	{ "meeting", JSON_ANY, offsetof(struct reply_args, meeting), .required = true },
};
static const struct json_table reply_table = { reply_fields, ARRAY_LEN(reply_fields), 0, NULL };

static int psk_decode(const char *text, uint8_t ret[static MEET_KEY_LEN], struct err *e)
{
	struct buf raw = { 0 };
	int r = !text || parse_base64(str_c(text), &raw) || buf_check(&raw) || raw.len != MEET_KEY_LEN ? -EBADMSG : 0;

	if (!r)
		memcpy(ret, raw.p, MEET_KEY_LEN);
	if (raw.p)
		explicit_bzero(raw.p, raw.cap);
	buf_deinit(&raw);
	return r ? err_set(e, r, "a meeting came without its key") : 0;
}

/* The other end as NODE's engine signed it, whatever brought it here. */
static int answer_open(struct meet *m, const struct peer *x, const struct met_args *a, const char *nonce, struct meeting *ret, struct err *e)
{
	struct meeting_want want = { .node = &x->node, .peer = &m->engine->identity.pub, .nonce = nonce, .about = about_of(x) };
	struct reply_args reply = { 0 };
	int r;

	*ret = (struct meeting){ 0 };
	if (a->error)
		return err_set(e, call_error_code(a->error), "%s", a->message ? a->message : a->error);
	if (!m->engine->farm)
		return err_set(e, -EACCES, "this node has no farm");
	want.farm = &m->engine->farm->farm;
	if (!a->reply)
		return err_set(e, -EBADMSG, "neither an answer nor an error");
	if ((r = json_decode(a->reply, &reply_table, &reply, e)))
		return r;
	return meeting_open(reply.meeting, &want, time(NULL), ret, e);
}

static void met(struct meet *m, const struct peer *x, const struct meet_end *end, const uint8_t psk[static MEET_KEY_LEN])
{
	struct meeting_with with = with_of(x);
	char node[KEY_TEXT_SIZE];

	key_pub_format(node, &x->node);
	log_info("met %s for network %s", node, x->network);
	if (m->ends)
		m->ends->met(m->ends->ctx, &with, end, psk);
}

static void met_take(struct meet *m, const struct met_args *a, struct meet_flight *f)
{
	struct peer *x = peers_under_way(&m->peers, f->id);
	AUTO_MEETING struct meeting answer = { 0 };
	uint8_t psk[MEET_KEY_LEN] = { 0 };
	struct err e = { 0 };

	f->id = 0;
	if (!x) /* overtaken, or not wanted any more */
		return;
	if (answer_open(m, x, a, f->nonce, &answer, &e) || psk_decode(a->psk, psk, &e))
		failed(m, x, e.msg);
	else if (!peers_answered(&m->peers, x, log_now_ms(), unix_ms()))
		met(m, x, &answer.end, psk);
	explicit_bzero(psk, sizeof(psk));
	run_soon(m);
}

int meet_met(struct meet *m, sd_varlink *link, sd_json_variant *parameters)
{
	struct met_args a = { 0 };
	struct meet_flight *f;
	struct err e = { 0 };
	int r = json_decode(parameters, &meet_met_table, &a, &e);

	if (r)
		return daemon_reply_error(link, r, &e);
	f = a.id ? flight_find(m, a.id) : NULL;
	if (f)
		met_take(m, &a, f);
	else
		relays_answered(m, a.id, a.reply, a.error ? a.message ? a.message : a.error : NULL);
	return sd_varlink_reply(link, NULL);
}

/* Another node's order. */

static int offer_check(struct meet *m, struct peer *x, uint64_t sequence, struct err *e)
{
	switch (peers_offered(&m->peers, x, sequence, log_now_ms(), unix_ms())) {
	case PEERS_OLD:
		return err_set(e, -ESTALE, "a newer meeting for network %s was taken already", x->network);
	case PEERS_AHEAD:
		return err_set(e, -ETIME, "the meeting's sequence lies in the future: look at both clocks");
	}
	return 0;
}

int network_meet(struct request *q, struct err *e)
{
	AUTO_JSON sd_json_variant *answer = NULL;
	AUTO_BUF struct buf text = { 0 };
	const struct meet_args *a = &q->args.meet;
	struct meet *m = &q->s->meet;
	struct meet_about about = { .owner = &a->owner, .network = a->network, .sequence = a->sequence };
	struct peer *x = peers_find(&m->peers, &q->order->caller, &a->owner, a->network);
	struct meet_end other, own;
	uint8_t psk[MEET_KEY_LEN];
	int r;

	if (!x || own_end(m, x, &own, NULL))
		return err_set(e, -ENOENT, "no network of that owner names this node");
	if (!m->engine->approval)
		return err_set(e, -EACCES, "this node is not approved by its farm yet");
	if ((r = meet_end_decode(a, &other, e)) || (r = psk_decode(q->psk, psk, e)))
		return r;
	if (meeting_sign(&m->engine->identity, q->order, &about, &own, m->engine->approval, &text) || json_parse(buf_str(&text), &answer, NULL))
		r = err_set(e, -ENOMEM, "answer a meeting: out of memory");
	if (!r && !(r = offer_check(m, x, a->sequence, e)))
		met(m, x, &other, psk);
	explicit_bzero(psk, sizeof(psk));
	run_soon(m);
	return r ? r : sd_varlink_replybo(q->link, SD_JSON_BUILD_PAIR_VARIANT("meeting", answer));
}
