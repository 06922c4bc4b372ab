/* Sessions to other nodes. The engine orders meetings, and what it asks of relays, one message each: which node, of which farm, a login and an order that it has signed. A way is a
 * session to one node, and serves all meetings with it until it is idle or old. What is found in the directory is believed when it is valid, signed by that node
 * and approved by that farm, and the engine checks the answer again; what a hostile gridd could do here is to bring nothing.
 *
 * A way is freed in one place, way_end(), which tells the engine of all meetings that did not come about. */
#include "api/call.h"
#include "base/log.h"
#include "base/parse.h"
#include "line/gridd.h"
#include "svc/daemon.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

enum { ERRANDS_MAX = 64 }; /* of one way */

struct errand { /* one meeting */
	struct errand *next;
	uint64_t id, tries;
	struct key_pub node, farm;
	sd_json_variant *login, *order; /* owned */
};

enum way_state { WAY_LOOKING, WAY_DIALLING, WAY_LOGIN, WAY_OPEN };

struct place { /* where a record says that the node is */
	size_t hub;
	uint64_t sequence;
	char inbox[65];
	uint8_t tls_key[32];
};

struct way {
	struct way *next;
	struct gridd *gridd;
	struct key_pub node, farm;
	enum way_state state;
	bool has_missed; /* the directory is being read, and was before this one came */
	bool is_busy; /* the first errand is under way */
	bool is_foreign; /* there are records, and none is of the farm */
	struct place places[HUBS_MAX];
	size_t n_places;
	struct session *session; /* NULL = not yet, or over */
	sd_varlink *link; /* over its stream 0 */
	uint64_t opened_ms;
	struct errand *errands; /* the first is the one under way */
	sd_event_source *deadline, *soon;
};

static void errand_free(struct errand *x)
{
	json_unrefp(&x->login);
	json_unrefp(&x->order);
	free(x);
}

/* Telling the engine. */

static int on_told(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	(void)v;
	(void)error_id; /* an engine that is gone has forgotten the meeting */
	(void)flags;
	(void)userdata;
	sd_varlink_close_unref(link);
	return 0;
}

static void tell(struct gridd *g, sd_json_variant *what)
{
	sd_varlink *link = NULL;
	struct err e = { 0 };

	if (daemon_connect(g->event, g->noded, g, on_told, &link, &e))
		return; /* see on_told() */
	if (sd_varlink_invoke(link, "zos.Line.Met", what) < 0)
		sd_varlink_close_unref(link);
}

static void tell_failure(struct gridd *g, uint64_t id, const char *error_id, const char *why)
{
	AUTO_JSON sd_json_variant *v = NULL;

	if (sd_json_buildo(&v, SD_JSON_BUILD_PAIR_UNSIGNED("id", id), SD_JSON_BUILD_PAIR_STRING("error", error_id),
			   SD_JSON_BUILD_PAIR_STRING("message", why)) >= 0)
		tell(g, v);
}

/* PSK NULL: there is none. */
static int tell_success(struct gridd *g, uint64_t id, sd_json_variant *reply, const char *psk)
{
	AUTO_JSON sd_json_variant *v = NULL, *key = NULL;
	int r = psk ? sd_json_variant_new_string(&key, psk) : 0;

	if (r < 0)
		return r;
	if (psk)
		sd_json_variant_sensitive(key);
	r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_UNSIGNED("id", id), SD_JSON_BUILD_PAIR_VARIANT("reply", reply),
			   SD_JSON_BUILD_PAIR_CONDITION(psk != NULL, "psk", SD_JSON_BUILD_VARIANT(key)));
	if (r >= 0)
		tell(g, v);
	return r;
}

/* The end of a way, and of one errand. */

static void errand_end(struct way *w, const char *error_id, const char *why)
{
	struct errand *x = w->errands;

	w->errands = x->next;
	w->is_busy = false;
	tell_failure(w->gridd, x->id, error_id, why);
	errand_free(x);
}

static void way_end(struct way *w, int code, const char *why)
{
	struct way **at = &w->gridd->ways;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	while (w->errands)
		errand_end(w, call_error_name(code), why);
	sd_event_source_disable_unref(w->deadline);
	sd_event_source_disable_unref(w->soon);
	link_closep(&w->link);
	if (w->session)
		session_close(w->session);
	free(w);
}

static void deadline_arm(struct way *w)
{
	const struct gridd_limits *l = &w->gridd->limits;
	uint64_t in_ms = w->state == WAY_OPEN && !w->is_busy ? l->way_idle_ms : l->way_ms;

	sd_event_source_set_time_relative(w->deadline, in_ms * 1000);
	sd_event_source_set_enabled(w->deadline, SD_EVENT_ONESHOT);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	static const char *const slow[] = {
		[WAY_LOOKING] = "the hubs' directories do not answer",
		[WAY_DIALLING] = "the node does not answer",
		[WAY_LOGIN] = "the node does not answer the login",
		[WAY_OPEN] = "the node does not answer the call",
	};
	struct way *w = userdata;

	(void)source;
	(void)usec;
	way_end(w, -EHOSTUNREACH, slow[w->state]);
	return 0;
}

/* Calls. */

int ways_psk(const struct session *s, const struct order *o, const struct key_pub *listener, char ret[static MEET_KEY_TEXT_LEN + 1], struct err *e)
{
	uint8_t context[MEET_CONTEXT_MAX], key[MEET_KEY_LEN];
	struct meet_args args = { 0 };
	struct buf text = { 0 };
	size_t n;
	int r = json_decode(o->arguments, &meet_table, &args, e);

	if (r)
		return r;
	n = meet_context(&o->caller, listener, &(struct meet_about){ &args.owner, args.network, args.sequence }, context);
	if ((r = session_export(s, MEET_LABEL, context, n, key, e)))
		return r;
	format_base64(&text, key, sizeof(key));
	explicit_bzero(key, sizeof(key));
	BUG_ON(buf_check(&text) || text.len != MEET_KEY_TEXT_LEN);
	memcpy(ret, text.p, MEET_KEY_TEXT_LEN + 1);
	explicit_bzero(text.p, text.cap);
	buf_deinit(&text);
	return 0;
}

static int answer_take(struct way *w, struct errand *x, sd_json_variant *reply, struct err *e)
{
	AUTO_ORDER struct order o = { 0 };
	char psk[MEET_KEY_TEXT_LEN + 1];
	int r = order_open(x->order, &w->node, time(NULL), &o, e);
	bool has_psk = !r && !strcmp(o.method, CALL_MEET);

	if (r || (has_psk && (r = ways_psk(w->session, &o, &w->node, psk, e))))
		return r;
	r = tell_success(w->gridd, x->id, reply, has_psk ? psk : NULL);
	explicit_bzero(psk, sizeof(psk));
	return r < 0 ? err_set(e, r, "pass the answer on: %s", strerror(-r)) : 0;
}

static int on_soon(sd_event_source *source, void *userdata)
{
	AUTO_JSON sd_json_variant *v = NULL;
	struct way *w = userdata;
	struct errand *x = w->errands;

	(void)source;
	if (w->state != WAY_OPEN || w->is_busy)
		return 0;
	w->is_busy = x != NULL;
	deadline_arm(w);
	if (!x)
		return 0;
	if (sd_json_buildo(&v, SD_JSON_BUILD_PAIR_VARIANT("order", x->order)) < 0 || sd_varlink_invoke(w->link, "zos.Order.Call", v) < 0)
		way_end(w, -EIO, "the call could not be sent");
	return 0;
}

/* The next errand, outside of the callback of a reply, in which a link takes no call. */
static void next(struct way *w)
{
	sd_event_source_set_enabled(w->soon, SD_EVENT_ONESHOT);
}

static int on_reply(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct way *w = userdata;
	struct err e = { 0 };

	(void)link;
	if (error_id)
		daemon_error_of(error_id, v, &e);
	if (error_id && (w->state == WAY_LOGIN || flags & SD_VARLINK_REPLY_LOCAL)) {
		way_end(w, flags & SD_VARLINK_REPLY_LOCAL ? -EHOSTUNREACH : call_error_code(error_id), e.msg);
		return 0;
	}
	if (w->state == WAY_LOGIN) {
		w->state = WAY_OPEN;
		w->opened_ms = log_now_ms();
	} else if (error_id) {
		errand_end(w, error_id, e.msg);
	} else if (answer_take(w, w->errands, v, &e)) {
		errand_end(w, call_error_name(e.code), e.msg);
	} else {
		struct errand *x = w->errands;

		w->errands = x->next;
		w->is_busy = false;
		errand_free(x);
	}
	next(w);
	return 0;
}

static int link_make(struct way *w, struct err *e)
{
	int fd[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd))
		return err_set(e, -errno, "make a link: %m");
	if ((r = session_attach(w->session, 0, fd[0], e))) {
		close(fd[1]);
		return r;
	}
	if ((r = sd_varlink_connect_fd(&w->link, fd[1])) < 0) {
		close(fd[1]);
		return err_set(e, r, "make a link: %s", strerror(-r));
	}
	sd_varlink_set_userdata(w->link, w);
	if ((r = sd_varlink_bind_reply(w->link, on_reply)) < 0 || (r = sd_varlink_set_relative_timeout(w->link, UINT64_MAX)) < 0 ||
	    (r = sd_varlink_attach_event(w->link, w->gridd->event, SD_EVENT_PRIORITY_NORMAL)) < 0)
		return err_set(e, r, "make a link: %s", strerror(-r));
	return 0;
}

static void on_ready(void *userdata, struct session *s)
{
	AUTO_JSON sd_json_variant *v = NULL;
	struct way *w = userdata;
	struct err e = { 0 };
	int r = link_make(w, &e);

	(void)s;
	if (!r && (sd_json_buildo(&v, SD_JSON_BUILD_PAIR_VARIANT("login", w->errands->login)) < 0 || sd_varlink_invoke(w->link, CALL_LOGIN, v) < 0))
		r = err_set(&e, -EIO, "the login could not be sent");
	if (r) {
		way_end(w, r, e.msg);
		return;
	}
	w->state = WAY_LOGIN;
	deadline_arm(w);
}

static void on_closed(void *userdata, struct session *s, const char *why)
{
	struct way *w = userdata;

	(void)s;
	w->session = NULL;
	way_end(w, -EHOSTUNREACH, why);
}

/* Finding the node. */

static void record_look(struct way *w, size_t hub, const char *key, const struct record *r)
{
	struct place p = { .hub = hub, .sequence = r->sequence };

	if (!key_pub_eq(&r->node, &w->node) || strcmp(r->inbox, key) || strlen(r->inbox) >= sizeof(p.inbox))
		return;
	if (!r->approved || !key_pub_eq(&r->farm, &w->farm)) {
		w->is_foreign = true;
		return;
	}
	if (parse_hex(str_c(r->tls_key), p.tls_key, sizeof(p.tls_key)) || (w->n_places && w->places[0].sequence > p.sequence))
		return;
	if (w->n_places && w->places[0].sequence < p.sequence)
		w->n_places = 0; /* of an earlier run */
	if (w->n_places == HUBS_MAX)
		return;
	snprintf(p.inbox, sizeof(p.inbox), "%s", r->inbox);
	w->places[w->n_places++] = p;
}

/* From one hub to the next at each try: it may be the hub that is in the way. */
static void way_dial(struct way *w)
{
	struct session_callbacks cb = { .ready = on_ready, .closed = on_closed, .userdata = w };
	struct err e = { 0 };
	int r;

	if (!w->n_places) {
		way_end(w, -ENOENT, w->is_foreign ? "the node is not approved by this farm" : "the node is in no hub's directory");
		return;
	}
	const struct place *p = &w->places[w->errands->tries % w->n_places];
	w->state = WAY_DIALLING;
	deadline_arm(w);
	r = session_dial(w->gridd->hubs[p->hub].grid, p->inbox, &w->gridd->tls_key, p->tls_key, &cb, &w->session, &e);
	w->gridd->n_dialled += !r;
	if (r)
		way_end(w, r, e.msg);
}

static void look(struct gridd *g);

static void looked(struct gridd *g)
{
	bool again = false;

	for (size_t i = 0; i < g->n_hubs; i++)
		if (g->looks[i])
			return;
	for (struct way *w = g->ways, *after; w; w = after) {
		after = w->next;
		again |= w->state == WAY_LOOKING && w->has_missed;
		if (w->state == WAY_LOOKING && !w->has_missed)
			way_dial(w);
	}
	if (again)
		look(g);
}

static void on_record(void *userdata, int r, const char *key, struct str text)
{
	struct gridd_hub *h = userdata;
	size_t hub = (size_t)(h - h->gridd->hubs);
	struct record record;

	if (!key) {
		h->gridd->looks[hub] = NULL;
		looked(h->gridd);
		return;
	}
	if (!r && !record_open(text, time(NULL), &record, NULL))
		for (struct way *w = h->gridd->ways; w; w = w->next)
			if (w->state == WAY_LOOKING)
				record_look(w, hub, key, &record);
	if (!r)
		record_deinit(&record);
}

/* Reads all directories, for all ways that look. */
static void look(struct gridd *g)
{
	bool looks = false;

	for (struct way *w = g->ways; w; w = w->next)
		w->has_missed = false;
	for (size_t i = 0; i < g->n_hubs; i++) {
		g->looks[i] = NULL;
		if (hub_is_up(grid_hub(g->hubs[i].grid)) && directory_list(grid_hub(g->hubs[i].grid), on_record, &g->hubs[i], &g->looks[i]))
			g->looks[i] = NULL;
		looks |= g->looks[i] != NULL;
	}
	for (struct way *w = g->ways, *after; w && !looks; w = after) {
		after = w->next;
		if (w->state == WAY_LOOKING)
			way_end(w, -EHOSTUNREACH, "no hub is there");
	}
}

static bool is_looking(const struct gridd *g)
{
	for (size_t i = 0; i < g->n_hubs; i++)
		if (g->looks[i])
			return true;
	return false;
}

/* What the engine orders. */

static unsigned errands_count(const struct way *w)
{
	unsigned n = 0;

	for (const struct errand *x = w->errands; x; x = x->next)
		n++;
	return n;
}

static bool takes(const struct way *w, const struct errand *x)
{
	return key_pub_eq(&w->node, &x->node) && key_pub_eq(&w->farm, &x->farm) && errands_count(w) < ERRANDS_MAX &&
	       (w->state != WAY_OPEN || log_now_ms() - w->opened_ms < w->gridd->limits.way_age_ms);
}

static int way_new(struct gridd *g, struct errand *x, struct err *e)
{
	struct way *w;
	unsigned n = 0;
	int r;

	for (w = g->ways; w; w = w->next)
		n++;
	if (n >= g->limits.ways)
		return err_set(e, -EBUSY, "%u sessions to other nodes are open already", n);
	w = calloc(1, sizeof(*w));
	BUG_ON(!w);
	*w = (struct way){ .next = g->ways, .gridd = g, .node = x->node, .farm = x->farm, .has_missed = is_looking(g) };
	if ((r = sd_event_add_time(g->event, &w->deadline, CLOCK_MONOTONIC, UINT64_MAX, 0, on_deadline, w)) < 0 ||
	    (r = sd_event_add_defer(g->event, &w->soon, on_soon, w)) < 0) {
		sd_event_source_disable_unref(w->deadline);
		free(w);
		return err_set(e, r, "make a timer: %s", strerror(-r));
	}
	sd_event_source_set_enabled(w->soon, SD_EVENT_OFF);
	g->ways = w;
	w->errands = x;
	deadline_arm(w);
	if (!w->has_missed)
		look(g);
	return 0;
}

static void errand_begin(struct gridd *g, struct errand *x)
{
	struct err e = { 0 };
	int r;

	for (struct way *w = g->ways; w; w = w->next) {
		struct errand **at = &w->errands;

		if (!takes(w, x))
			continue;
		while (*at)
			at = &(*at)->next;
		*at = x;
		next(w);
		return;
	}
	if (!(r = way_new(g, x, &e)))
		return;
	tell_failure(g, x->id, call_error_name(r), e.msg);
	errand_free(x);
}

static const struct json_field errand_fields[] = {
	{ "id", JSON_U64, offsetof(struct errand, id), .required = true },
	{ "node", JSON_KEY, offsetof(struct errand, node), .required = true },
	{ "farm", JSON_KEY, offsetof(struct errand, farm), .required = true },
	{ "tries", JSON_U64, offsetof(struct errand, tries), .required = true },
	{ "login", JSON_ANY, offsetof(struct errand, login), .required = true },
	{ "order", JSON_ANY, offsetof(struct errand, order), .required = true },
};
const struct json_table gridd_errand_table = { errand_fields, ARRAY_LEN(errand_fields), sizeof(struct errand), NULL };

static int on_work(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct gridd *g = userdata;
	struct errand *x;
	struct err e = { 0 };

	if (link != g->work)
		return 0; /* the one before this */
	if (error_id || !(flags & SD_VARLINK_REPLY_CONTINUES)) {
		link_closep(&g->work);
		ways_free_all(g); /* an engine that starts again meets anew, with new keys */
		return 0;
	}
	x = calloc(1, sizeof(*x));
	BUG_ON(!x);
	if (json_decode(v, &gridd_errand_table, x, &e)) {
		log_err("the engine's order to meet a node: %s", e.msg);
		free(x);
		return 0;
	}
	sd_json_variant_ref(x->login);
	sd_json_variant_ref(x->order);
	errand_begin(g, x);
	return 0;
}

int ways_watch(struct gridd *g, struct err *e)
{
	sd_varlink *link = NULL;
	int r = daemon_connect(g->event, g->noded, g, on_work, &link, e);

	if (r)
		return r;
	if ((r = sd_varlink_observe(link, "zos.Line.Meetings", NULL)) < 0) {
		sd_varlink_close_unref(link);
		return err_set(e, r, "ask the engine for meetings: %s", strerror(-r));
	}
	link_closep(&g->work);
	g->work = link;
	return 0;
}

void ways_free_all(struct gridd *g)
{
	link_closep(&g->work);
	for (size_t i = 0; i < g->n_hubs; i++)
		if (g->looks[i])
			directory_cancel(take_ptr(g->looks[i]));
	while (g->ways)
		way_end(g->ways, -ECANCELED, "gridd leaves");
}
