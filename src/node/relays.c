#include "node/relays.h"

#include "base/file.h"
#include "base/log.h"
#include "node/meet.h"
#include "node/request.h"
#include "relay/relayd.h"
#include "svc/daemon.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#define SERVICE "relay@udp"

/* Asking. */

/* How far RELAY is from the two, as Kademlia has it: no clock, no load, and the same for both. */
static uint64_t distance(const struct key_pub *relay, const struct key_pub *a, const struct key_pub *b)
{
	uint64_t ret = 0;

	for (size_t i = 0; i < sizeof(ret); i++)
		ret = ret << 8 | (uint8_t)(relay->bytes[i] ^ a->bytes[i] ^ b->bytes[i]);
	return ret;
}

size_t relays_choose(const struct farm *farm, const struct key_pub *a, const struct key_pub *b, struct key_pub ret[static PATH_RELAYS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < farm->n_relays; i++) {
		struct key_pub one = farm->relays[i].node;

		if (key_pub_eq(&one, a) || key_pub_eq(&one, b))
			continue;
		for (size_t k = 0; k < n; k++)
			if (distance(&one, a, b) < distance(&ret[k], a, b)) {
				struct key_pub other = ret[k];

				ret[k] = one;
				one = other;
			}
		if (n < PATH_RELAYS_MAX)
			ret[n++] = one;
	}
	return n;
}

static bool is_of(const struct relays_ask *x, const struct meeting_with *with)
{
	return !strcmp(x->network, with->network) && key_pub_eq(&x->node, &with->node) && key_pub_eq(&x->owner, &with->owner);
}

/* That of WITH, or the oldest, which becomes it. */
static struct relays_ask *ask_of(struct relays *r, const struct meeting_with *with)
{
	struct relays_ask *oldest;

	if (!r->list) {
		r->list = calloc(RELAYS_ASKS_MAX, sizeof(*r->list));
		BUG_ON(!r->list);
		r->last_id = 1ull << 62 | random_u64() >> 3; /* meetings' are lower; ids of an earlier run are nobody's */
	}
	oldest = r->list;
	for (size_t i = 0; i < RELAYS_ASKS_MAX; i++) {
		if (is_of(&r->list[i], with))
			return &r->list[i];
		if (r->list[i].asked_ms < oldest->asked_ms)
			oldest = &r->list[i];
	}
	*oldest = (struct relays_ask){ .owner = with->owner, .node = with->node };
	snprintf(oldest->network, sizeof(oldest->network), "%s", with->network);
	return oldest;
}

static size_t flying(const struct relays *r, uint64_t now_ms)
{
	size_t n = 0;

	for (size_t i = 0; i < RELAYS_ASKS_MAX; i++)
		for (size_t k = 0; k < r->list[i].n; k++)
			n += r->list[i].of[k].id && now_ms - r->list[i].asked_ms < RELAYS_ANSWER_MS;
	return n;
}

static int ask_send(struct meet *m, struct relays_ask *x, size_t i, const struct relay_ends *ends, struct err *e)
{
	AUTO_JSON sd_json_variant *args = NULL;
	AUTO_BUF struct buf order = { 0 };
	int64_t expires_s = time(NULL) + MEET_LIFE_S;
	const struct key_pub *relay = &x->of[i].relay;

	if (relay_args_build(ends, &x->node, m->engine->approval, &args) ||
	    order_sign(&m->engine->identity, relay, CALL_RELAY, args, expires_s, &order))
		return err_set(e, -ENOMEM, "sign an order: out of memory");
	x->of[i].id = ++m->relays.last_id;
	return meet_errand(m, x->of[i].id, relay, x->tries, &order, expires_s, e);
}

static void said(const struct key_pub *relay, const struct relays_ask *x, const char *why)
{
	char name[KEY_TEXT_SIZE];

	key_pub_format(name, relay);
	log_limited("ask relay %s for network %s: %s", name, x->network, why);
}

void relays_need(void *ctx, const struct meeting_with *with, const struct relay_ends *ends, int family)
{
	struct key_pub chosen[PATH_RELAYS_MAX];
	struct meet *m = ctx;
	struct relays_ask *x;
	size_t n;

	if (meet_ready(m, NULL) || !(n = relays_choose(m->engine->farm, &m->engine->identity.pub, &with->node, chosen)))
		return;
	x = ask_of(&m->relays, with);
	if ((x->asked_ms && log_now_ms() - x->asked_ms < RELAYS_AGAIN_MS) || flying(&m->relays, log_now_ms()) >= RELAYS_FLIGHT_MAX)
		return;
	x->asked_ms = log_now_ms();
	x->tries++;
	x->family = family;
	for (size_t i = 0; i < n; i++) {
		struct err e = { 0 };

		if (i >= x->n || !key_pub_eq(&x->of[i].relay, &chosen[i]))
			x->of[i].at = (struct endpoint){ 0 };
		x->of[i].relay = chosen[i];
		if (ask_send(m, x, i, ends, &e))
			said(&chosen[i], x, e.msg);
	}
	x->n = n;
}

static void tell(const struct meet *m, const struct relays_ask *x)
{
	const struct meeting_with with = { .owner = x->owner, .node = x->node, .network = x->network };
	struct endpoint at[PATH_RELAYS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < x->n; i++)
		if (x->of[i].at.family)
			at[n++] = x->of[i].at;
	if (m->ends && m->ends->relayed)
		m->ends->relayed(m->ends->ctx, &with, at, n);
}

/* The farm says where its relay is; that says by which port. */
static int answer_take(const struct meet *m, struct relays_ask *x, size_t i, sd_json_variant *reply, struct err *e)
{
	const struct farm_relay *relay = m->engine->farm ? farm_relay_find(m->engine->farm, &x->of[i].relay) : NULL;
	uint16_t port;
	int r;

	if (!relay)
		return err_set(e, -ENOENT, "it is no relay of this farm any more");
	if (!reply)
		return err_set(e, -EBADMSG, "neither an answer nor an error");
	if ((r = relay_answer_decode(reply, &port, e)))
		return r;
	x->of[i].at = farm_relay_at(relay, x->family, port);
	if (!x->of[i].at.family)
		x->of[i].at = farm_relay_at(relay, x->family == AF_INET ? AF_INET6 : AF_INET, port);
	return 0;
}

void relays_answered(struct meet *m, uint64_t id, sd_json_variant *reply, const char *why)
{
	struct relays *r = &m->relays;

	for (size_t i = 0; r->list && id && i < RELAYS_ASKS_MAX; i++)
		for (size_t k = 0; k < r->list[i].n; k++) {
			struct relays_ask *x = &r->list[i];
			struct err e = { 0 };

			if (x->of[k].id != id)
				continue;
			x->of[k].id = 0;
			if (why || answer_take(m, x, k, reply, &e)) {
				x->of[k].at = (struct endpoint){ 0 };
				said(&x->of[k].relay, x, why ? why : e.msg);
			}
			tell(m, x);
			return;
		}
}

void relays_deinit(struct relays *r)
{
	free(r->list);
	*r = (struct relays){ 0 };
}

/* Being one. */

static const char *socket_of(const struct relaying *r)
{
	return r->socket ? r->socket : RELAY_SOCKET;
}

void relaying_configure(struct relaying *r, const struct engine *engine)
{
	bool is_one = engine->farm && farm_relay_find(engine->farm, &engine->identity.pub);
	struct err e = { 0 };
	int got = 0;

	if (is_one && !r->is_one)
		got = supervisor_start(&r->supervisor, SERVICE, &e);
	else if (!is_one && (r->is_one || !access(socket_of(r), F_OK))) /* an engine before this one may have started it */
		got = supervisor_stop(&r->supervisor, SERVICE, &e);
	if (got < 0)
		log_err("the relay: %s", e.msg);
	r->is_one = is_one;
}

struct telling {
	sd_varlink *caller;
	sd_json_variant *info;
};

static int on_counted(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct telling *t = userdata;

	(void)flags;
	if (!error_id && sd_json_variant_set_field(&t->info, "relay", v) < 0)
		log_limited("describe the relay: out of memory");
	sd_varlink_reply(t->caller, t->info);
	sd_varlink_unref(t->caller);
	sd_json_variant_unref(t->info);
	free(t);
	sd_varlink_close_unref(link);
	return 0;
}

int relaying_info(struct request *q, sd_json_variant *info)
{
	const struct relaying *relaying = &q->s->relaying;
	struct telling *t;
	sd_varlink *link;
	struct err e;

	if (!relaying->is_one)
		return -ENODEV;
	t = malloc(sizeof(*t));
	BUG_ON(!t);
	if (daemon_connect(q->s->engine->event, socket_of(relaying), t, on_counted, &link, &e)) {
		free(t);
		return -ENODEV;
	}
	if (sd_varlink_invoke(link, RELAY_COUNT, NULL) < 0) {
		sd_varlink_close_unref(link);
		free(t);
		return -ENODEV;
	}
	*t = (struct telling){ sd_varlink_ref(q->link), sd_json_variant_ref(info) };
	return 0;
}

static int on_held(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	sd_varlink *caller = userdata;
	struct err e = { 0 };

	(void)flags;
	if (error_id)
		daemon_reply_error(caller, daemon_error_of(error_id, v, &e), &e);
	else
		sd_varlink_reply(caller, v);
	sd_varlink_unref(caller);
	sd_varlink_close_unref(link);
	return 0;
}

int network_relay(struct request *q, struct err *e)
{
	AUTO_JSON sd_json_variant *hold = NULL;
	const struct relaying *relaying = &q->s->relaying;
	struct relay_ends ends;
	char node[KEY_TEXT_SIZE];
	sd_varlink *link = NULL;
	int r;

	if (!relaying->is_one)
		return err_set(e, -ENOENT, "this node is no relay of its farm, which makes one with 'zos farm relay'");
	if ((r = relay_ends_decode(&q->args.relay, &q->order->caller, &ends, e)))
		return r;
	key_pub_format(node, &q->order->caller);
	r = sd_json_buildo(&hold, SD_JSON_BUILD_PAIR_STRING("node", node), SD_JSON_BUILD_PAIR_VARIANT("ask", q->order->arguments));
	if (r < 0)
		return err_set(e, r, "ask the relay: %s", strerror(-r));
	if (daemon_connect(q->s->engine->event, socket_of(relaying), q->link, on_held, &link, e))
		return err_set(e, -EHOSTUNREACH, "the relay of this node starts: try again in a moment");
	if ((r = sd_varlink_invoke(link, RELAY_HOLD, hold)) < 0) {
		sd_varlink_close_unref(link);
		return err_set(e, r, "ask the relay: %s", strerror(-r));
	}
	sd_varlink_ref(q->link);
	return 0;
}
