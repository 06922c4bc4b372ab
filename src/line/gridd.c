#include "line/gridd.h"

#include "api/json.h"
#include "base/log.h"
#include "base/parse.h"
#include "svc/daemon.h"
#include "sys/netlink.h"

#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/epoll.h>

static int on_told(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct gridd *g = userdata;

	(void)v;
	(void)error_id; /* an engine that is gone is told again when it is back */
	(void)flags;
	if (link == g->teller)
		link_closep(&g->teller);
	return 0;
}

static int states_json(const struct gridd *g, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < g->n_hubs; i++) {
		const struct gridd_hub *h = &g->hubs[i];
		AUTO_JSON sd_json_variant *one = NULL;

		r = sd_json_buildo(&one, SD_JSON_BUILD_PAIR_STRING("url", h->addr.url), SD_JSON_BUILD_PAIR_BOOLEAN("up", h->is_up),
				   SD_JSON_BUILD_PAIR_UNSIGNED("since", h->since_ms), SD_JSON_BUILD_PAIR_STRING("why", h->why));
		if (r >= 0)
			r = sd_json_variant_append_array(ret, one);
	}
	return r;
}

/* A link of its own each time: the watch's is taken by the watch. */
static void tell(struct gridd *g)
{
	AUTO_JSON sd_json_variant *hubs = NULL;
	struct err e = { 0 };

	link_closep(&g->teller);
	if (!g->n_hubs || states_json(g, &hubs) < 0 || daemon_connect(g->event, g->noded, g, on_told, &g->teller, &e))
		return;
	if (sd_varlink_invokebo(g->teller, "zos.Line.State", SD_JSON_BUILD_PAIR_VARIANT("hubs", hubs),
				SD_JSON_BUILD_PAIR_UNSIGNED("sessions", caller_count(g)),
				SD_JSON_BUILD_PAIR_UNSIGNED("sessions_max", g->limits.sessions),
				SD_JSON_BUILD_PAIR_UNSIGNED("sessions_refused", g->n_refused)) < 0)
		link_closep(&g->teller);
}

static int on_soon(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	tell(userdata);
	return 0;
}

/* Sessions come and go at the pleasure of strangers: the engine hears of them at a pace. */
void gridd_tell_soon(struct gridd *g)
{
	int enabled;

	if (sd_event_source_get_enabled(g->soon, &enabled) > 0)
		return;
	sd_event_source_set_time_relative(g->soon, GRIDD_TELL_MS * 1000);
	sd_event_source_set_enabled(g->soon, SD_EVENT_ONESHOT);
}

static void state_set(struct gridd_hub *h, bool is_up, const char *why)
{
	if (h->is_up == is_up && !strcmp(h->why, why))
		return;
	if (h->is_up != is_up)
		h->since_ms = log_now_ms();
	h->is_up = is_up;
	snprintf(h->why, sizeof(h->why), "%s", why);
	tell(h->gridd);
}

/* Where the hub would take us, its own reason stands. */
static void on_reach(void *userdata, const char *why)
{
	struct gridd_hub *h = userdata;

	h->is_explained = !h->is_up && why[0];
	if (!h->is_explained)
		return;
	if (strcmp(h->why, why))
		log_warn("hub %s: %s", h->addr.url, why);
	state_set(h, false, why);
}

static void on_hub_state(void *userdata, bool is_up, const char *why)
{
	struct gridd_hub *h = userdata;

	if (is_up)
		log_info("hub %s: connected", h->addr.url);
	else
		log_warn("hub %s: %s", h->addr.url, why);
	if (is_up)
		reach_stop(&h->reach);
	else
		reach_start(&h->reach);
	h->is_explained &= !is_up;
	if (!h->is_explained) /* libnats knows less */
		state_set(h, is_up, is_up ? "" : why);
	if (is_up && h->record)
		directory_own_kick(h->record);
}

static int watch(struct gridd *g, struct err *e);

/* The engine is being started again by PID 1: looks for it at growing distances. */
static int again_arm(struct gridd *g)
{
	uint64_t pause_ms = g->tries < 5 ? 20ull << g->tries : 1000;

	g->tries++;
	sd_event_source_set_time_relative(g->again, pause_ms * 1000);
	return sd_event_source_set_enabled(g->again, SD_EVENT_ONESHOT);
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct gridd *g = userdata;
	struct err e = { 0 };

	(void)source;
	(void)usec;
	if (watch(g, &e))
		return again_arm(g);
	return 0;
}

static int hub_start(struct gridd *g, const struct hub_addr *addr, struct err *e)
{
	struct gridd_hub *h = &g->hubs[g->n_hubs++];
	struct hub_options o = { .addr = *addr };
	struct hub_callbacks cb = { .state = on_hub_state, .userdata = h };
	int r;

	*h = (struct gridd_hub){ .gridd = g, .addr = *addr, .since_ms = log_now_ms() };
	if ((r = reach_init(&h->reach, g->event, &h->addr, on_reach, h, e)) || (r = grid_new(g->event, &o, &cb, &h->grid, e)) ||
	    (r = grid_listen(h->grid, &g->tls_key, caller_accept, g, e)) || (r = directory_own_new(grid_hub(h->grid), g->event, &h->record, e)))
		return r;
	reach_start(&h->reach);
	return 0;
}

static const char *text_of(sd_json_variant *object, const char *key)
{
	sd_json_variant *v = sd_json_variant_by_key(object, key);

	return sd_json_variant_is_string(v) ? sd_json_variant_string(v) : "";
}

/* Rows with one key are one hub. A row that cannot be used takes no other with it. */
static size_t hubs_decode(sd_json_variant *rows, struct hub_addr ret[static HUBS_MAX])
{
	size_t n = 0, n_rows = sd_json_variant_is_array(rows) ? sd_json_variant_elements(rows) : 0;

	for (size_t i = 0; i < n_rows; i++) {
		sd_json_variant *row = sd_json_variant_by_index(rows, i);
		struct hub_addr one;
		struct err e = { 0 };

		if (hub_addr_make(&one, text_of(row, "url"), text_of(row, "key"), text_of(row, "ca"), &e) || hub_addrs_add(ret, &n, &one, &e))
			log_err("the farm document's hub %zu is of no use: %s", i + 1, e.msg);
	}
	return n;
}

static bool hubs_same(const struct gridd *g, const struct hub_addr *list, size_t n)
{
	for (size_t i = 0; i < n && i < g->n_hubs; i++)
		if (strcmp(g->hubs[i].addr.url, list[i].url) || strcmp(g->hubs[i].addr.key, list[i].key) || strcmp(g->hubs[i].addr.ca, list[i].ca))
			return false;
	return n == g->n_hubs;
}

static int on_leave(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct gridd *g = userdata;

	(void)source;
	(void)usec;
	return sd_event_exit(g->event, EXIT_FAILURE);
}

/* PID 1 starts the next run at once. The order that brought the document is answered before. */
static int hubs_leave(struct gridd *g, struct err *e)
{
	int r = g->leave ? 0 : sd_event_add_time_relative(g->event, &g->leave, CLOCK_MONOTONIC, GRIDD_LEAVE_MS * 1000, 0, on_leave, g);

	if (r < 0)
		return err_set(e, r, "the farm named other hubs: %s", strerror(-r));
	log_warn("the farm named other hubs: starting over with them");
	return 0;
}

static int hubs_take(struct gridd *g, sd_json_variant *rows, struct err *e)
{
	AUTO_FREE struct hub_addr *list = calloc(HUBS_MAX, sizeof(*list));
	size_t n;
	int r = 0;

	BUG_ON(!list);
	n = hubs_decode(rows, list);
	if (!n && !g->n_hubs)
		log_info("no hub yet: the node waits for a farm document");
	if (!n || hubs_same(g, list, n))
		return 0;
	if (g->n_hubs)
		return hubs_leave(g, e);
	for (size_t i = 0; !r && i < n; i++)
		r = hub_start(g, &list[i], e);
	return r ? r : watch(g, e); /* anew: the engine signs a record for each inbox */
}

static int records_take(struct gridd *g, sd_json_variant *records)
{
	size_t n = sd_json_variant_is_array(records) ? sd_json_variant_elements(records) : 0;
	int r = 0;

	for (size_t i = 0; !r && i < n; i++) {
		sd_json_variant *row = sd_json_variant_by_index(records, i);

		for (size_t k = 0; !r && k < g->n_hubs; k++)
			if (!strcmp(text_of(row, "inbox"), hub_key(grid_hub(g->hubs[k].grid))))
				r = directory_own_set(g->hubs[k].record, str_c(text_of(row, "record")));
	}
	return r;
}

/* The new list of at most MAX keys or, when it has a fault, the one before. */
static int keys_take(sd_json_variant *list, struct key_pub *keys, size_t max, size_t *ret_n)
{
	size_t n = sd_json_variant_is_array(list) ? sd_json_variant_elements(list) : 0;
	AUTO_FREE struct key_pub *heard = calloc(max, sizeof(*heard));

	BUG_ON(!heard);
	if (n > max)
		return -E2BIG;
	for (size_t i = 0; i < n; i++) {
		sd_json_variant *one = sd_json_variant_by_index(list, i);

		if (!sd_json_variant_is_string(one) || key_pub_parse(str_c(sd_json_variant_string(one)), &heard[i]))
			return -EBADMSG;
	}
	memcpy(keys, heard, n * sizeof(*heard));
	*ret_n = n;
	return 0;
}

static int on_engine(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct gridd *g = userdata;
	sd_json_variant *node = sd_json_variant_by_key(v, "node");
	struct err e = { 0 };
	int r = 0;

	if (link != g->engine)
		return 0; /* the watch before this one */
	if (error_id || !(flags & SD_VARLINK_REPLY_CONTINUES)) {
		log_info("the engine went away: sessions stay, calls wait until it is back");
		return again_arm(g);
	}
	if (g->tries || !g->ready)
		tell(g); /* an engine that has just started knows nothing yet */
	g->tries = 0;
	if (!sd_json_variant_is_string(node) || key_pub_parse(str_c(sd_json_variant_string(node)), &g->node))
		r = err_set(&e, -EBADMSG, "the engine named no node");
	if (!r)
		r = keys_take(sd_json_variant_by_key(v, "known"), g->known, GRIDD_KNOWN_MAX, &g->n_known);
	if (!r)
		r = keys_take(sd_json_variant_by_key(v, "peers"), g->peers, GRIDD_PEERS_MAX, &g->n_peers);
	if (!r)
		r = records_take(g, sd_json_variant_by_key(v, "records"));
	if (!r)
		r = hubs_take(g, sd_json_variant_by_key(v, "hubs"), &e);
	if (r) {
		log_err("%s", e.msg[0] ? e.msg : strerror(-r));
		return sd_event_exit(g->event, EXIT_FAILURE);
	}
	if (!g->ready)
		daemon_ready("on the line");
	g->ready = true;
	return 0;
}

static int inboxes_json(const struct gridd *g, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < g->n_hubs; i++) {
		AUTO_JSON sd_json_variant *one = NULL;

		r = sd_json_variant_new_string(&one, hub_key(grid_hub(g->hubs[i].grid)));
		if (r >= 0)
			r = sd_json_variant_append_array(ret, one);
	}
	return r;
}

static int watch(struct gridd *g, struct err *e)
{
	AUTO_JSON sd_json_variant *inboxes = NULL;
	AUTO_BUF struct buf tls = { 0 };
	sd_varlink *link = NULL;
	int r = daemon_connect(g->event, g->noded, g, on_engine, &link, e);

	if (r)
		return r;
	format_hex(&tls, g->tls_key.pub.bytes, sizeof(g->tls_key.pub.bytes));
	if ((r = inboxes_json(g, &inboxes)) >= 0)
		r = sd_varlink_observebo(link, "zos.Line.Watch", SD_JSON_BUILD_PAIR_VARIANT("inboxes", inboxes),
					 SD_JSON_BUILD_PAIR_STRING("tls_key", tls.p));
	if (r < 0) {
		sd_varlink_close_unref(link);
		return err_set(e, r, "ask the engine: %s", strerror(-r));
	}
	link_closep(&g->engine);
	g->engine = link;
	return ways_watch(g, e);
}

static int on_routes(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct gridd *g = userdata;

	(void)source;
	(void)events;
	netlink_drain(fd);
	for (size_t i = 0; i < g->n_hubs; i++)
		hub_nudge(grid_hub(g->hubs[i].grid));
	return 0;
}

static int routes_watch(struct gridd *g, struct err *e)
{
	AUTO_FD int fd = -1;
	int r = netlink_watch(RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE, &fd, e);

	if (r)
		return r;
	if ((r = sd_event_add_io(g->event, &g->routes, fd, EPOLLIN, on_routes, g)) < 0)
		return err_set(e, r, "watch the network: %s", strerror(-r));
	sd_event_source_set_io_fd_own(g->routes, true);
	take_fd(fd);
	return 0;
}

const struct gridd_limits gridd_limits = {
	.sessions = 64,
	.reserved = 16,
	.per_key = 16,
	.peers = 16,
	.nameless = 16,
	.login_ms = 10 * 1000,
	.idle_ms = 24 * 3600 * 1000,
	.stranger_idle_ms = 60 * 1000,
	.ways = 16,
	.way_ms = 30 * 1000,
	.way_idle_ms = 60 * 1000,
	.way_age_ms = 600 * 1000,
};

int gridd_init(struct gridd *ret, sd_event *event, const char *noded, struct err *e)
{
	int r;

	*ret = (struct gridd)GRIDD_NONE;
	ret->event = sd_event_ref(event);
	ret->noded = noded;
	ret->limits = gridd_limits;
	if (key_new(KEY_NODE, &ret->tls_key))
		return err_set(e, -ENOMEM, "make the TLS key of this run: out of memory");
	if ((r = sd_event_add_time(event, &ret->again, CLOCK_MONOTONIC, UINT64_MAX, 0, on_again, ret)) < 0 ||
	    (r = sd_event_add_time(event, &ret->soon, CLOCK_MONOTONIC, UINT64_MAX, 0, on_soon, ret)) < 0)
		return err_set(e, r, "make a timer: %s", strerror(-r));
	sd_event_source_set_enabled(ret->again, SD_EVENT_OFF);
	sd_event_source_set_enabled(ret->soon, SD_EVENT_OFF);
	if ((r = routes_watch(ret, e)) || (r = caller_serve(ret, e)))
		return r;
	r = watch(ret, e);
	return r == -ENOENT || r == -ECONNREFUSED ? again_arm(ret) : r; /* the engine is being started beside us */
}

void gridd_deinit(struct gridd *g)
{
	if (g->server)
		sd_varlink_server_bind_disconnect(g->server, NULL);
	sd_varlink_server_unref(g->server);
	ways_free_all(g);
	caller_free_all(g);
	for (size_t i = 0; i < g->n_hubs; i++) {
		directory_own_free(g->hubs[i].record);
		grid_free(g->hubs[i].grid);
		reach_deinit(&g->hubs[i].reach);
	}
	link_closep(&g->engine);
	link_closep(&g->teller);
	sd_event_source_disable_unref(g->again);
	sd_event_source_disable_unref(g->soon);
	sd_event_source_disable_unref(g->leave);
	sd_event_source_disable_unref(g->routes);
	key_wipe(&g->tls_key);
	sd_event_unref(g->event);
	*g = (struct gridd)GRIDD_NONE;
}
