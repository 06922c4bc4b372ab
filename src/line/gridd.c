#include "line/gridd.h"

#include "api/json.h"
#include "base/log.h"
#include "base/parse.h"
#include "svc/daemon.h"

#include <stdio.h>

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

/* A link of its own each time: the watch's is taken by the watch. */
static void tell(struct gridd *g)
{
	struct err e = { 0 };

	link_closep(&g->teller);
	if (!g->grid || daemon_connect(g->event, g->noded, g, on_told, &g->teller, &e))
		return;
	if (sd_varlink_invokebo(g->teller, "zos.Line.State", SD_JSON_BUILD_PAIR_BOOLEAN("up", g->state.is_up),
	                        SD_JSON_BUILD_PAIR_UNSIGNED("since", g->state.since_ms),
	                        SD_JSON_BUILD_PAIR_STRING("why", g->state.why)) < 0)
		link_closep(&g->teller);
}

static void state_set(struct gridd *g, bool is_up, const char *why)
{
	struct gridd_state *s = &g->state;

	if (s->since_ms && s->is_up == is_up && !strcmp(s->why, why))
		return;
	if (!s->since_ms || s->is_up != is_up)
		s->since_ms = log_now_ms();
	s->is_up = is_up;
	snprintf(s->why, sizeof(s->why), "%s", why);
	tell(g);
}

/* Where the port takes connections, the hub's own reason stands. */
static void on_reach(void *userdata, const char *why)
{
	struct gridd *g = userdata;

	if (!g->state.is_up && why[0])
		state_set(g, false, why);
}

static void on_hub_state(void *userdata, bool is_up, const char *why)
{
	struct gridd *g = userdata;

	if (is_up)
		log_info("hub %s: connected", g->hub.url);
	else
		log_warn("hub %s: %s", g->hub.url, why);
	if (is_up)
		reach_stop(&g->reach);
	else
		reach_start(&g->reach);
	state_set(g, is_up, is_up ? "" : why);
	if (is_up && g->record)
		directory_own_kick(g->record);
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

static int grid_start(struct gridd *g, struct err *e)
{
	struct hub_options o = { .addr = g->hub };
	struct hub_callbacks cb = { .state = on_hub_state, .userdata = g };
	int r;

	if ((r = grid_new(g->event, &o, &cb, &g->grid, e)) ||
	    (r = grid_listen(g->grid, &g->tls_key, caller_accept, g, e)) ||
	    (r = directory_own_new(grid_hub(g->grid), g->event, &g->record, e)) ||
	    (r = reach_init(&g->reach, g->event, g->hub.url, on_reach, g, e)))
		return r;
	g->state.since_ms = log_now_ms();
	reach_start(&g->reach);
	return watch(g, e); /* anew: the engine signs a record with this inbox in it */
}

/* One hub address for libnats: the URLs of all rows that share the first row's key. */
static int hubs_decode(sd_json_variant *hubs, struct hub_addr *ret)
{
	sd_json_variant *first = sd_json_variant_is_array(hubs) ? sd_json_variant_by_index(hubs, 0) : NULL;
	sd_json_variant *key = sd_json_variant_by_key(first, "key");
	size_t n = 0;

	*ret = (struct hub_addr){ 0 };
	if (!sd_json_variant_is_string(key))
		return -ENOENT;
	snprintf(ret->key, sizeof(ret->key), "%s", sd_json_variant_string(key));
	for (size_t i = 0; i < sd_json_variant_elements(hubs); i++) {
		sd_json_variant *row = sd_json_variant_by_index(hubs, i), *url = sd_json_variant_by_key(row, "url");

		if (!sd_json_variant_is_string(url) || !sd_json_variant_equal(sd_json_variant_by_key(row, "key"), key))
			continue;
		n += (size_t)snprintf(ret->url + n, sizeof(ret->url) - n, "%s%s", n ? "," : "", sd_json_variant_string(url));
		if (n >= sizeof(ret->url))
			return -EMSGSIZE;
	}
	return n ? 0 : -ENOENT;
}

static int hubs_take(struct gridd *g, sd_json_variant *hubs, struct err *e)
{
	struct hub_addr addr;

	if (hubs_decode(hubs, &addr)) {
		if (!g->grid)
			log_info("no hub yet: the node waits for a farm document");
		return 0;
	}
	if (g->grid && (strcmp(addr.url, g->hub.url) || strcmp(addr.key, g->hub.key)))
		return err_set(e, -ECANCELED, "the farm named other hubs: starting over with them");
	if (g->grid)
		return 0;
	g->hub = addr;
	return grid_start(g, e);
}

static int on_engine(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct gridd *g = userdata;
	sd_json_variant *record = sd_json_variant_by_key(v, "record"), *node = sd_json_variant_by_key(v, "node");
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
	if (!r && g->record && sd_json_variant_is_string(record) && *sd_json_variant_string(record))
		r = directory_own_set(g->record, str_c(sd_json_variant_string(record)));
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

static int watch(struct gridd *g, struct err *e)
{
	AUTO_BUF struct buf tls = { 0 };
	sd_varlink *link = NULL;
	int r = daemon_connect(g->event, g->noded, g, on_engine, &link, e);

	if (r)
		return r;
	format_hex(&tls, g->tls_key.pub.bytes, sizeof(g->tls_key.pub.bytes));
	r = sd_varlink_observebo(link, "zos.Line.Watch",
	                         SD_JSON_BUILD_PAIR_STRING("inbox", g->grid ? hub_key(grid_hub(g->grid)) : ""),
	                         SD_JSON_BUILD_PAIR_STRING("tls_key", tls.p));
	if (r < 0) {
		sd_varlink_close_unref(link);
		return err_set(e, r, "ask the engine: %s", strerror(-r));
	}
	link_closep(&g->engine);
	g->engine = link;
	return 0;
}

int gridd_init(struct gridd *ret, sd_event *event, const char *noded, struct err *e)
{
	int r;

	*ret = (struct gridd)GRIDD_NONE;
	ret->event = sd_event_ref(event);
	ret->noded = noded;
	if (key_new(KEY_NODE, &ret->tls_key))
		return err_set(e, -ENOMEM, "make the TLS key of this run: out of memory");
	if ((r = sd_event_add_time(event, &ret->again, CLOCK_MONOTONIC, UINT64_MAX, 0, on_again, ret)) < 0)
		return err_set(e, r, "make a timer: %s", strerror(-r));
	sd_event_source_set_enabled(ret->again, SD_EVENT_OFF);
	if ((r = caller_serve(ret, e)))
		return r;
	return watch(ret, e);
}

void gridd_deinit(struct gridd *g)
{
	if (g->server)
		sd_varlink_server_bind_disconnect(g->server, NULL);
	sd_varlink_server_unref(g->server);
	caller_free_all(g);
	if (g->record)
		directory_own_free(g->record);
	if (g->grid)
		grid_free(g->grid);
	link_closep(&g->engine);
	link_closep(&g->teller);
	reach_deinit(&g->reach);
	sd_event_source_disable_unref(g->again);
	key_wipe(&g->tls_key);
	sd_event_unref(g->event);
	*g = (struct gridd)GRIDD_NONE;
}
