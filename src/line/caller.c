/* One caller is one session. Stream 0, and every stream the client opens, is a varlink link of its own with one call at a time; each
 * call is carried to the engine on a link of its own too, so that a slow answer holds up nobody else. A reply that brings a descriptor
 * becomes a new stream, which the reply to the client names. */
#include "api/call.h"
#include "api/doc.h"
#include "base/log.h"
#include "line/gridd.h"
#include "svc/daemon.h"

#include <sys/socket.h>
#include <time.h>

struct relay;
struct caller { /* lives as long as its session, its links and its calls */
	struct caller *next;
	struct gridd *gridd;
	struct session *session;   /* NULL = closed */
	unsigned refs;
	sd_event_source *deadline; /* to log in, then to do something */
	struct key_pub who;        /* role 0 = has not logged in */
	uint8_t tls_key[32];
	struct relay *relays;
	unsigned n_links, tokens;
	uint64_t refilled_ms, active_ms;
};

struct relay { /* one call under way */
	struct relay *next;
	struct caller *caller;
	sd_varlink *client, *engine;
};

static void caller_unref(struct caller *c)
{
	struct caller **at = &c->gridd->callers;

	if (--c->refs)
		return;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	sd_event_source_disable_unref(c->deadline);
	free(c);
}

/* Without a word to the other side: SESSION_END says it. */
static void caller_leave(struct caller *c, void (*session_end)(struct session *s))
{
	session_end(take_ptr(c->session));
	gridd_tell_soon(c->gridd);
	caller_unref(c);
}

static bool is_among(const struct key_pub *keys, size_t n, const struct key_pub *who)
{
	for (size_t i = 0; i < n; i++)
		if (key_pub_eq(&keys[i], who))
			return true;
	return false;
}

static bool is_known(const struct gridd *g, const struct key_pub *who)
{
	return is_among(g->known, g->n_known, who);
}

static bool is_peer(const struct gridd *g, const struct key_pub *who)
{
	return !is_known(g, who) && is_among(g->peers, g->n_peers, who);
}

static bool has_logged_in(const struct caller *c)
{
	return c->session && c->who.role;
}

unsigned caller_count(const struct gridd *g)
{
	unsigned n = 0;

	for (const struct caller *c = g->callers; c; c = c->next)
		n += has_logged_in(c);
	return n;
}

/* Strangers may fill all places but those that are kept for whom the farm names. Nodes that are this node's peers have places beside them. */
static int place_check(const struct gridd *g, const struct key_pub *who, struct err *e)
{
	const struct gridd_limits *l = &g->limits;
	unsigned all = 0, strangers = 0, own = 0, peers = 0;

	for (const struct caller *c = g->callers; c; c = c->next) {
		if (!has_logged_in(c))
			continue;
		own += key_pub_eq(&c->who, who);
		if (is_peer(g, &c->who)) {
			peers++;
			continue;
		}
		all++;
		strangers += !is_known(g, &c->who);
	}
	if (own >= l->per_key)
		return err_set(e, -EBUSY, "your key has %u sessions with this node already: end one of them first", own);
	if (is_peer(g, who))
		return peers < l->peers ? 0
					: err_set(e, -EBUSY, "the node has its %u sessions with other nodes already: try again in a minute", peers);
	if (!is_known(g, who) && strangers >= l->sessions - l->reserved)
		return err_set(e, -EBUSY,
			       "the node's %u sessions for keys that its farm does not name are taken: try again in a minute, "
			       "or have the farmer say 'zos farm allow'",
			       strangers);
	if (all >= l->sessions)
		return err_set(e, -EBUSY, "the node has its %u sessions already: try again in a minute", all);
	return 0;
}

static void relay_free(struct relay *q)
{
	struct relay **at = &q->caller->relays;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	q->caller->active_ms = log_now_ms();
	sd_varlink_close_unref(q->engine);
	sd_varlink_unref(q->client);
	caller_unref(q->caller);
	free(q);
}

static int answer(struct relay *q, sd_json_variant *v, int fd)
{
	uint32_t stream;
	struct err e = { 0 };
	int r;

	if (fd < 0)
		return sd_varlink_reply(q->client, v);
	if (!q->caller->session) {
		close(fd);
		return -ENOTCONN;
	}
	if ((r = session_open_stream(q->caller->session, fd, &stream, &e)))
		return daemon_reply_error(q->client, r, &e);
	return sd_varlink_replybo(q->client, SD_JSON_BUILD_PAIR_UNSIGNED("stream", stream));
}

static int on_engine(sd_varlink *engine, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct relay *q = userdata;
	struct err e = { 0 };
	int r;

	if (!error_id && (flags & SD_VARLINK_REPLY_CONTINUES)) {
		if (sd_varlink_notify(q->client, v) < 0)
			relay_free(q);
		return 0;
	}
	if (error_id && (flags & SD_VARLINK_REPLY_LOCAL)) {
		err_set(&e, -EHOSTUNREACH, "the node's engine is starting: try again in a moment");
		r = daemon_reply_error(q->client, -EHOSTUNREACH, &e);
	} else if (error_id) {
		r = sd_varlink_error(q->client, error_id, v);
	} else {
		r = answer(q, v, sd_varlink_take_fd(engine, 0));
	}
	if (r < 0)
		log_debug("answer a call: %s", strerror(-r));
	relay_free(q);
	return 0;
}

/* A bucket: a burst, then so many a second. */
static bool may_order(struct caller *c, uint64_t now_ms)
{
	uint64_t more = (now_ms - c->refilled_ms) * CALLER_ORDERS_PER_S / 1000;

	if (more) {
		c->tokens = more > CALLER_ORDERS_BURST - c->tokens ? CALLER_ORDERS_BURST : c->tokens + (unsigned)more;
		c->refilled_ms = now_ms;
	}
	if (!c->tokens)
		return false;
	c->tokens--;
	return true;
}

/* Adds the key of a meeting to PARAMETERS. */
static int psk_add(const struct caller *c, const struct order *o, sd_json_variant **parameters, struct err *e)
{
	AUTO_JSON sd_json_variant *psk = NULL;
	char text[MEET_KEY_TEXT_LEN + 1];
	int r = c->session ? ways_psk(c->session, o, &c->gridd->node, text, e) : err_set(e, -ENOTCONN, "the session is over");

	if (r)
		return r;
	r = sd_json_variant_new_string(&psk, text);
	explicit_bzero(text, sizeof(text));
	if (r >= 0) {
		sd_json_variant_sensitive(psk);
		r = sd_json_variant_set_field(parameters, "psk", psk);
	}
	return r < 0 ? err_set(e, r, "pass the meeting on: %s", strerror(-r)) : 0;
}

/* PARAMETERS become what the engine is told. */
static int order_check(struct caller *c, sd_json_variant *envelope, sd_json_variant **parameters, struct err *e)
{
	AUTO_ORDER struct order o = { 0 };
	int r = order_open(envelope, &c->gridd->node, time(NULL), &o, e);

	if (r)
		return r;
	if (!key_pub_eq(&o.caller, &c->who))
		return err_set(e, -EACCES, "the order is signed by another key than this session's");
	if (!call_find(o.method))
		return err_set(e, -EBADMSG, "this node knows no call '%s'", o.method);
	return strcmp(o.method, CALL_MEET) ? 0 : psk_add(c, &o, parameters, e);
}

struct order_args {
	sd_json_variant *order;
};
static const struct json_field order_fields[] = {
	{ "order", JSON_ANY, offsetof(struct order_args, order), .required = true },
};
const struct json_table gridd_order_table = { order_fields, ARRAY_LEN(order_fields), sizeof(struct order_args), NULL };

static int relay_start(struct caller *c, sd_varlink *link, sd_json_variant *parameters, bool more, struct err *e)
{
	struct relay *q = calloc(1, sizeof(*q));
	int r;

	BUG_ON(!q);
	*q = (struct relay){ .next = c->relays, .caller = c, .client = sd_varlink_ref(link) };
	c->relays = q;
	c->refs++;
	if ((r = daemon_connect(c->gridd->event, c->gridd->noded, q, on_engine, &q->engine, e))) {
		relay_free(q);
		return err_set(e, -EHOSTUNREACH, "the node's engine is starting: try again in a moment");
	}
	r = more ? sd_varlink_observe(q->engine, "zos.Order.Call", parameters) : sd_varlink_invoke(q->engine, "zos.Order.Call", parameters);
	if (r < 0) {
		relay_free(q);
		return err_set(e, r, "pass the call on: %s", strerror(-r));
	}
	return 0;
}

static int on_order(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct caller *c = userdata;
	AUTO_JSON sd_json_variant *passed = sd_json_variant_ref(parameters);
	struct order_args a = { 0 };
	struct err e = { 0 };
	int r;

	c->active_ms = log_now_ms();
	if (!c->who.role)
		r = err_set(&e, -EACCES, "log in first: the first call of a session is %s", CALL_LOGIN);
	else if (!may_order(c, log_now_ms()))
		r = err_set(&e, -EBUSY, "more than %d orders a second: slow down", CALLER_ORDERS_PER_S);
	else if (!(r = json_decode(parameters, &gridd_order_table, &a, &e)) && !(r = order_check(c, a.order, &passed, &e)))
		r = relay_start(c, link, passed, flags & SD_VARLINK_METHOD_MORE, &e);
	return r ? daemon_reply_error(link, r, &e) : 0;
}

/* When C will have been idle for as long as it may. */
static uint64_t deadline_ms(const struct caller *c)
{
	const struct gridd_limits *l = &c->gridd->limits;

	return c->active_ms + (!c->who.role ? l->login_ms : is_known(c->gridd, &c->who) ? l->idle_ms : l->stranger_idle_ms);
}

static void deadline_arm(struct caller *c)
{
	sd_event_source_set_time(c->deadline, deadline_ms(c) * 1000);
	sd_event_source_set_enabled(c->deadline, SD_EVENT_ONESHOT);
}

struct login_args {
	sd_json_variant *login;
};
static const struct json_field login_fields[] = {
	{ "login", JSON_ANY, offsetof(struct login_args, login), .required = true },
};
const struct json_table gridd_login_table = { login_fields, ARRAY_LEN(login_fields), sizeof(struct login_args), NULL };

static int on_login(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct caller *c = userdata;
	struct login_args a = { 0 };
	AUTO_LOGIN struct login l = { 0 };
	struct err e = { 0 };
	int r;

	(void)flags;
	if (c->who.role)
		r = err_set(&e, -EBUSY, "this session has logged in already");
	else if (!(r = json_decode(parameters, &gridd_login_table, &a, &e)))
		r = login_open(a.login, &c->gridd->node, c->tls_key, time(NULL), &l, &e);
	if (!r && (r = place_check(c->gridd, &l.user, &e)))
		c->gridd->n_refused++;
	gridd_tell_soon(c->gridd);
	if (r) {
		log_limited("login refused: %s", e.msg);
		return daemon_reply_error(link, r, &e);
	}
	c->who = l.user;
	if (c->session)
		session_calls_max(c->session, is_known(c->gridd, &c->who) ? CALLER_CALL_MAX : CALLER_STRANGER_CALL_MAX);
	c->active_ms = log_now_ms();
	deadline_arm(c);
	return sd_varlink_reply(link, NULL);
}

/* A varlink link over stream ID of the session. */
static int link_add(struct caller *c, uint32_t id, struct err *e)
{
	sd_varlink *link;
	int fd[2], r;

	if (c->n_links == CALLER_LINKS_MAX)
		return err_set(e, -EBUSY, "%d streams of calls are open in this session already", CALLER_LINKS_MAX);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd))
		return err_set(e, -errno, "make a link: %m");
	if ((r = session_attach(c->session, id, fd[0], e))) {
		close(fd[1]);
		return r;
	}
	session_pace(c->session, id);
	if ((r = sd_varlink_server_add_connection(c->gridd->server, fd[1], &link)) < 0) {
		close(fd[1]);
		return err_set(e, r, "make a link: %s", strerror(-r));
	}
	sd_varlink_set_userdata(link, c);
	c->n_links++;
	c->refs++;
	return 0;
}

static void on_disconnect(sd_varlink_server *server, sd_varlink *link, void *userdata)
{
	struct caller *c = sd_varlink_get_userdata(link);

	(void)server;
	if (c == userdata) /* never became a caller's */
		return;
	for (struct relay *q = c->relays, *next; q; q = next) {
		next = q->next;
		if (q->client == link)
			relay_free(q);
	}
	c->n_links--;
	caller_unref(c);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct caller *c = userdata;
	uint64_t now_ms = log_now_ms();

	(void)source;
	(void)usec;
	if (!c->session)
		return 0;
	if (c->relays || session_streams(c->session) > c->n_links)
		c->active_ms = now_ms;
	if (deadline_ms(c) > now_ms)
		deadline_arm(c);
	else
		caller_leave(c, session_close);
	return 0;
}

static void on_closed(void *userdata, struct session *s, const char *why)
{
	struct caller *c = userdata;

	(void)s;
	log_debug("session closed: %s", why);
	c->session = NULL;
	gridd_tell_soon(c->gridd);
	caller_unref(c);
}

/* A stranger that opens many sessions and says nothing in them loses them to those who come after. */
static void nameless_limit(struct gridd *g)
{
	struct caller *oldest = NULL;
	unsigned n = 0;

	for (struct caller *c = g->callers; c; c = c->next)
		if (c->session && !c->who.role) {
			oldest = c; /* the list has the newest first */
			n++;
		}
	if (!oldest || n < g->limits.nameless)
		return;
	g->n_refused++;
	caller_leave(oldest, session_refuse);
}

static void on_stream(void *userdata, struct session *s, uint32_t id)
{
	struct caller *c = userdata;
	struct err e = { 0 };

	(void)s;
	if (link_add(c, id, &e))
		log_limited("%s", e.msg); /* the stream stays unread within its first credit, and ends with the session */
}

int caller_accept(void *gridd, struct session *s, const uint8_t peer[static 32])
{
	struct gridd *g = gridd;
	struct caller *c;
	struct session_callbacks cb = { .stream = on_stream, .closed = on_closed };
	struct err e = { 0 };

	nameless_limit(g);
	cb.userdata = c = calloc(1, sizeof(*c));
	BUG_ON(!c);
	*c = (struct caller){ .next = g->callers, .gridd = g, .session = s, .refs = 1, .tokens = CALLER_ORDERS_BURST };
	c->refilled_ms = c->active_ms = log_now_ms();
	memcpy(c->tls_key, peer, sizeof(c->tls_key));
	g->callers = c;
	if (sd_event_add_time(g->event, &c->deadline, CLOCK_MONOTONIC, deadline_ms(c) * 1000, 0, on_deadline, c) < 0 || link_add(c, 0, &e)) {
		log_limited("a session was not taken: %s", e.msg);
		caller_unref(c);
		return -EBUSY;
	}
	session_set_callbacks(s, &cb);
	session_calls_max(s, CALLER_LOGIN_MAX);
	return 0;
}

void caller_free_all(struct gridd *g)
{
	while (g->callers) {
		struct caller *c = g->callers;

		while (c->relays)
			relay_free(c->relays);
		c->refs = 1; /* the links go with the server, without their callback */
		caller_unref(c);
	}
}

int caller_serve(struct gridd *g, struct err *e)
{
	int r;

	if ((r = sd_varlink_server_new(&g->server, SD_VARLINK_SERVER_INHERIT_USERDATA)) < 0 ||
	    (r = sd_varlink_server_bind_method(g->server, CALL_LOGIN, on_login)) < 0 ||
	    (r = sd_varlink_server_bind_method(g->server, "zos.Order.Call", on_order)) < 0 ||
	    (r = sd_varlink_server_bind_disconnect(g->server, on_disconnect)) < 0 ||
	    (r = sd_varlink_server_attach_event(g->server, g->event, SD_EVENT_PRIORITY_NORMAL)) < 0)
		return err_set(e, r, "serve sessions: %s", strerror(-r));
	sd_varlink_server_set_userdata(g->server, g);
	return 0;
}
