#include "gateway/state.h"

#include "base/log.h"
#include "svc/daemon.h"

#include <stdio.h>

enum {
	SEND_AGAIN_MS = 100,     /* doubles */
	SEND_AGAIN_MAX_MS = 2000,
	SEND_TRIES_MAX = 12,     /* some 20 s: then whoever waits is told why, and tries again later */
};

static const char *const services[] = { "gateway@web", "gateway@steer" };

static struct gateways *gateways_of(struct provider *p)
{
	return container_of(p, struct gateways, provider);
}

void gateways_steer(struct gateways *g, uint64_t ms)
{
	sd_event_source_set_time_relative(g->timer, ms * 1000);
	sd_event_source_set_enabled(g->timer, SD_EVENT_ONESHOT);
}

struct published *published_find(struct gateways *g, const char *id)
{
	for (struct published *p = g->all; p; p = p->next)
		if (!strcmp(p->work->id, id))
			return p;
	return NULL;
}

static void published_drop(struct gateways *g, struct published *p)
{
	struct published **at = &g->all;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	wipe_free(&p->bundle);
	free(p);
	certs_changed(g);
}

/* Whoever waits is told R; who leaves is gone when it went well. */
static void waiting_end(struct gateways *g, int r, const struct err *e)
{
	for (struct published *p = g->all, *next; p; p = next) {
		struct work *w = p->is_waiting ? p->work : NULL;

		next = p->next;
		if (!r && !p->is_told)
			continue;
		p->is_waiting = false;
		if (p->is_leaving && !r)
			published_drop(g, p);
		if (w)
			g->provider.done(g->provider.engine, w, r, e);
	}
}

static void on_report(void *ctx, const struct route_report *one)
{
	struct gateways *g = ctx;
	struct published *p = published_find(g, one->id);
	struct gateway_result *is = p ? &p->work->published : NULL, was;

	if (!p)
		return;
	was = *is;
	if (p->is_ready != one->is_ready) {
		p->is_ready = one->is_ready;
		certs_changed(g);
	}
	is->is_seen = one->is_known;
	is->n_up = (unsigned)one->n_up;
	is->message[0] = '\0';
	if (is->is_seen && is->n_up < p->work->n_backends)
		snprintf(is->message, sizeof(is->message), "%zu of %zu backends do not answer", p->work->n_backends - is->n_up, p->work->n_backends);
	if (!p->is_waiting && (was.is_seen != is->is_seen || was.n_up != is->n_up))
		g->provider.changed(g->provider.engine, p->work);
}

static int on_reply(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct gateways *g = userdata;
	struct err e = { 0 };
	int r = error_id ? daemon_error_of(error_id, v, &e) : routes_report_each(v, on_report, g, &e);

	(void)flags;
	if (!r) {
		g->n_tries = 0;
		waiting_end(g, 0, &e);
		return 0;
	}
	log_limited("who steers HAProxy: %s", e.msg);
	if (g->link == link)
		link_closep(&g->link);
	gateways_steer(g, SEND_AGAIN_MAX_MS);
	return 0;
}

/* Forgets what has been applied meanwhile, or is not wanted any more. */
static void inherited_sort(struct gateways *g)
{
	for (struct inherited **at = &g->inherited, *one; (one = *at);)
		if (published_find(g, one->route.id) || !g->is_wanted(g->provider.engine, one->route.id)) {
			*at = one->next;
			wipe_free(&one->route.bundle);
			free(one);
		} else {
			at = &one->next;
		}
}

static void routes_fill(struct gateways *g, struct routes *ret)
{
	inherited_sort(g);
	snprintf(ret->thumbprint, sizeof(ret->thumbprint), "%s", g->certs.thumbprint);
	for (const struct inherited *one = g->inherited; one && ret->n < GATEWAY_ROUTES_MAX; one = one->next) {
		struct route *r = &ret->list[ret->n++];

		*r = one->route;
		r->bundle = NULL;
		certs_fill(g, r->id, NULL, r);
	}
	for (struct published *p = g->all; p; p = p->next) {
		const struct work *w = p->work;
		struct route *r = &ret->list[ret->n];

		p->is_told = true;
		if (p->is_leaving || ret->n == GATEWAY_ROUTES_MAX)
			continue;
		*r = (struct route){ .tls_passthrough = w->gateway.tls_passthrough, .n_backends = w->n_backends };
		snprintf(r->id, sizeof(r->id), "%s", w->id);
		snprintf(r->fqdn, sizeof(r->fqdn), "%s", w->published.fqdn);
		snprintf(r->device, sizeof(r->device), "%s", w->network.device);
		memcpy(r->backends, w->backends, sizeof(r->backends));
		certs_fill(g, r->id, p, r);
		ret->n++;
	}
}

static int call(struct gateways *g, struct err *e)
{
	AUTO_JSON sd_json_variant *arguments = NULL;
	AUTO_FREE struct routes *routes = calloc(1, sizeof(*routes));
	int r = 0;

	BUG_ON(!routes);
	for (size_t i = 0; g->o.program && i < ARRAY_LEN(services) && !r; i++)
		r = supervisor_start(&g->o.supervisor, services[i], e);
	routes_fill(g, routes);
	if (!r)
		r = routes_build(routes, &arguments);
	routes_deinit(routes);
	link_closep(&g->link);
	if (r || (r = daemon_connect(g->event, g->o.socket, g, on_reply, &g->link, e)))
		return r;
	if ((r = sd_varlink_observe(g->link, "zos.Gateway.Publish", arguments)) < 0)
		return err_set(e, r, "tell who steers HAProxy: %s", strerror(-r));
	return 0;
}

/* The last name is gone, and with it all that listened. */
static int services_end(struct gateways *g, struct err *e)
{
	int r = 0;

	link_closep(&g->link);
	for (size_t i = 0; g->o.program && i < ARRAY_LEN(services) && r >= 0; i++)
		r = supervisor_stop(&g->o.supervisor, services[i], e);
	for (struct published *p = g->all; p && r >= 0; p = p->next)
		p->is_told = true;
	return r < 0 ? r : 0;
}

static bool has_any(struct gateways *g)
{
	inherited_sort(g);
	for (const struct published *p = g->all; p; p = p->next)
		if (!p->is_leaving)
			return true;
	return g->inherited;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct gateways *g = userdata;
	struct err e = { 0 };

	if (g->is_listing)
		return 0;
	bool is_wanted = g->has_role && has_any(g);
	int r = is_wanted ? call(g, &e) : services_end(g, &e);

	(void)source;
	(void)usec;
	if (r < 0) {
		uint64_t pause = (uint64_t)SEND_AGAIN_MS << (g->n_tries < 5 ? g->n_tries : 5);

		if (++g->n_tries >= SEND_TRIES_MAX)
			waiting_end(g, r, &e);
		gateways_steer(g, pause < SEND_AGAIN_MAX_MS ? pause : SEND_AGAIN_MAX_MS);
	} else if (!is_wanted) {
		waiting_end(g, 0, &e);
	}
	return 0;
}

/* What W publishes, on a node with this role. */
static int fqdn_make(const struct gateways *g, const struct gateway *is, char ret[static GATEWAY_FQDN_MAX + 1], struct err *e)
{
	size_t n = strlen(g->domain), n_fqdn = is->fqdn ? strlen(is->fqdn) : 0;

	if (!g->has_role)
		return err_set(e, -ENODEV, "this node is no gateway of its farm, which makes one with 'zos farm gateway'");
	if (g->o.program && access(g->o.program, X_OK))
		return err_set(e, -ENODEV, "this flavour of the image has no part that publishes names: boot the node with the metal one");
	if (is->name && !n)
		return err_set(e, -ENODEV,
			       "this gateway gives out no names, as its farm gave it no domain: publish a name of your own with a "
			       "gateway-fqdn-proxy");
	if (is->name && strlen(is->name) + 1 + n > GATEWAY_FQDN_MAX)
		return err_set(e, -ENAMETOOLONG, "'%s.%s' is longer than %d characters", is->name, g->domain, GATEWAY_FQDN_MAX);
	if (n && n_fqdn >= n && !strcmp(is->fqdn + n_fqdn - n, g->domain) && (n_fqdn == n || is->fqdn[n_fqdn - n - 1] == '.'))
		return err_set(e, -EBADMSG, "'%s' is in the gateway's own domain, whose names a gateway-name-proxy gives out", is->fqdn);
	if (is->fqdn)
		snprintf(ret, GATEWAY_FQDN_MAX + 1, "%s", is->fqdn);
	else
		snprintf(ret, GATEWAY_FQDN_MAX + 1, "%s.%s", is->name, g->domain);
	return 0;
}

static int gateway_apply(struct provider *p, struct work *w, struct err *e)
{
	struct gateways *g = gateways_of(p);
	struct published *is = published_find(g, w->id);
	char before[GATEWAY_FQDN_MAX + 1];
	int r;

	snprintf(before, sizeof(before), "%s", w->published.fqdn);
	if ((r = fqdn_make(g, &w->gateway, w->published.fqdn, e)))
		return r;
	if (!is) {
		is = calloc(1, sizeof(*is));
		BUG_ON(!is);
		*is = (struct published){ .next = g->all, .work = w };
		g->all = is;
	}
	if (strcmp(before, w->published.fqdn)) { /* the gateway's domain is another: so is the certificate */
		wipe_free(&is->bundle);
		is->is_recalled = false;
	}
	is->is_waiting = true;
	is->is_leaving = is->is_told = is->is_ready = false;
	certs_changed(g);
	g->n_tries = 0;
	gateways_steer(g, 0);
	return PROVIDER_BUSY;
}

static int gateway_remove(struct provider *p, struct work *w, struct err *e)
{
	struct gateways *g = gateways_of(p);
	struct published *is = published_find(g, w->id);

	(void)e;
	w->published.is_seen = false;
	if (!is)
		return 0;
	is->is_leaving = is->is_waiting = true;
	is->is_told = false;
	gateways_steer(g, 0);
	return PROVIDER_BUSY;
}

/* Its certificate and key go with it. */
static void gateway_forget(struct provider *p, struct work *w)
{
	certs_forget(gateways_of(p), w->id);
}

static void gateway_configure(struct provider *p, const struct key_pub *node, const struct farm *farm)
{
	struct gateways *g = gateways_of(p);
	const struct farm_gateway *is = farm ? farm_gateway_find(farm, node) : NULL;

	g->has_role = is;
	snprintf(g->domain, sizeof(g->domain), "%s", is && is->domain ? is->domain : "");
	certs_configure(g, is);
	for (struct published *one = g->all; one; one = one->next)
		p->again(p->engine, one->work);
	if (!is && g->all)
		gateways_steer(g, 0);
}

/* Others' deployments are the engine's to look at. */
static int name_check(struct gateways *g, const struct deployment *d, size_t at, struct err *e)
{
	char fqdn[GATEWAY_FQDN_MAX + 1], other[GATEWAY_FQDN_MAX + 1];
	struct err why = { 0 };
	int r = fqdn_make(g, &d->workloads[at].gateway, fqdn, &why);

	if (r)
		return err_set(e, -EBADMSG, "/workloads/%zu: %s", at, why.msg);
	for (size_t i = 0; i < at; i++)
		if (workload_is_gateway(d->workloads[i].kind) && !fqdn_make(g, &d->workloads[i].gateway, other, &why) && !strcmp(other, fqdn))
			return err_set(e, -EBADMSG, "/workloads/%zu/data: '%s' is what '%s' publishes", at, fqdn, d->workloads[i].name);
	return 0;
}

static size_t count(const struct deployment *d)
{
	size_t n = 0;

	for (size_t i = 0; d && i < d->n_workloads; i++)
		n += workload_is_gateway(d->workloads[i].kind);
	return n;
}

static int gateway_admit(struct provider *p, const struct deployment *d, const struct deployment *old,
			 char ret_disks[static DEPLOYMENT_WORKLOADS_MAX][STORAGE_UUID_SIZE], struct err *e)
{
	struct gateways *g = gateways_of(p);
	size_t n = count(d);
	int r = 0;

	(void)ret_disks;
	for (size_t i = 0; i < d->n_workloads && !r; i++)
		if (workload_is_gateway(d->workloads[i].kind))
			r = name_check(g, d, i, e);
	for (const struct published *is = g->all; is; is = is->next)
		n++;
	if (!r && count(d) && n - (n < count(old) ? n : count(old)) > GATEWAY_ROUTES_MAX)
		return err_set(e, -ENOSPC, "this gateway publishes %d names at most", GATEWAY_ROUTES_MAX);
	return r;
}

static void inherited_take(struct gateways *g, struct routes *routes)
{
	for (size_t i = 0; i < routes->n; i++) {
		struct inherited *one = malloc(sizeof(*one));

		BUG_ON(!one);
		*one = (struct inherited){ g->inherited, routes->list[i] };
		routes->list[i].bundle = NULL;
		g->inherited = one;
	}
}

static int on_listed(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	AUTO_FREE struct routes *routes = calloc(1, sizeof(*routes));
	struct gateways *g = userdata;
	struct err e = { 0 };
	int r;

	(void)flags;
	BUG_ON(!routes);
	r = error_id ? daemon_error_of(error_id, v, &e) : routes_decode(v, routes, &e);
	if (r)
		log_warn("what was published before is not known: %s", e.msg);
	else
		inherited_take(g, routes);
	routes_deinit(routes);
	g->is_listing = false;
	if (g->link == link)
		link_closep(&g->link);
	gateways_steer(g, 0);
	certs_changed(g);
	return 0;
}

/* What an engine before this one left running goes on: this one comes to its workloads one by one. Where nothing runs there is nobody to ask. */
static void gateway_sweep(struct provider *p, bool (*is_wanted)(void *engine, const char *id))
{
	struct gateways *g = gateways_of(p);
	struct err e;

	g->is_wanted = is_wanted;
	if (daemon_connect(g->event, g->o.socket, g, on_listed, &g->link, &e))
		return;
	g->is_listing = sd_varlink_invoke(g->link, "zos.Gateway.List", NULL) >= 0;
	if (!g->is_listing)
		link_closep(&g->link);
}

static const struct provider_ops gateway_ops = {
	.admit = gateway_admit,
	.apply = gateway_apply,
	.remove = gateway_remove,
	.forget = gateway_forget,
	.configure = gateway_configure,
	.sweep = gateway_sweep,
};

int gateway_provider_new(sd_event *event, const struct gateway_options *o, struct provider **ret, struct err *e)
{
	struct gateways *g = calloc(1, sizeof(*g));
	int r;

	BUG_ON(!g);
	*g = (struct gateways){ .provider = { .name = "gateway", .ops = &gateway_ops }, .o = *o, .event = sd_event_ref(event) };
	*ret = &g->provider;
	if ((r = sd_event_add_time(event, &g->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timer, g)) < 0)
		return err_set(e, r, "make a timer: %s", strerror(-r));
	sd_event_source_set_enabled(g->timer, SD_EVENT_OFF);
	return certs_init(g, e);
}

void gateway_provider_free(struct provider *p)
{
	struct gateways *g = p ? gateways_of(p) : NULL;

	if (!g)
		return;
	link_closep(&g->link);
	sd_event_source_disable_unref(g->timer);
	while (g->all)
		published_drop(g, g->all);
	while (g->inherited) {
		struct inherited *one = g->inherited;

		g->inherited = one->next;
		wipe_free(&one->route.bundle);
		free(one);
	}
	certs_deinit(g);
	sd_event_unref(g->event);
	free(g);
}
