/* The engine's part in certificates: hands names to who gets them (acmed.h), keeps what was got, and has it handed to HAProxy.
 *
 * It understands none of it: a bundle is text, which acmed made of what it understood. What is kept of a name is kept by its workload's id, until that is gone: not
 * for a failure, and not while it is paused. */
#include "gateway/state.h"

#include "base/log.h"
#include "svc/daemon.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SERVICE "gateway@acme"
#define ACCOUNT "account"
enum { AGAIN_MS = 2000, LAST_S = 253402300799 /* the year 9999 */ };

static void call_in(struct gateways *g, uint64_t ms)
{
	sd_event_source_set_time_relative(g->certs.timer, ms * 1000);
	sd_event_source_set_enabled(g->certs.timer, SD_EVENT_ONESHOT);
}

void certs_changed(struct gateways *g)
{
	call_in(g, 0);
}

/* "WORD\nTEXT" as it was kept under NAME, if WORD is what it shall be; owned, NULL = nothing of use. */
static char *recall(struct gateways *g, const char *name, const char *word)
{
	AUTO_SECRET struct buf text = { 0 };
	struct str rest, first;
	struct err e = { 0 };
	char *ret = NULL;
	int r = g->provider.recall(g->provider.engine, name, &text, &e);

	if (r < 0)
		log_warn("%s", e.msg);
	if (r)
		return NULL;
	rest = buf_str(&text);
	if (str_next(&rest, '\n', &first) && rest.p && str_eq(first, str_c(word)))
		ret = strndup(rest.p, rest.n);
	return ret;
}

static void remember(struct gateways *g, const char *name, const char *word, const char *value)
{
	AUTO_SECRET struct buf text = { 0 };
	struct err e = { 0 };

	buf_addf(&text, "%s\n%s", word, value);
	if (buf_check(&text))
		err_set(&e, -ENOMEM, "out of memory");
	if (e.code || g->provider.remember(g->provider.engine, name, buf_str(&text), &e))
		log_err("keep the certificate of %s: %s", name, e.msg);
}

void certs_fill(struct gateways *g, const char *id, struct published *p, struct route *r)
{
	AUTO_FREE char *kept = NULL;

	if (!g->certs.is_on || r->tls_passthrough)
		return;
	if (!p || !p->is_recalled)
		kept = recall(g, id, r->fqdn);
	if (p && !p->is_recalled) {
		p->is_recalled = true;
		wipe_free(&p->bundle);
		p->bundle = take_ptr(kept);
	}
	route_set_bundle(r, p ? p->bundle : kept);
	if (kept)
		explicit_bzero(kept, strlen(kept));
}

void certs_forget(struct gateways *g, const char *id)
{
	AUTO_SECRET struct buf text = { 0 };
	struct err e = { 0 };

	if (g->provider.recall(g->provider.engine, id, &text, &e) || !text.len)
		return;
	if (g->provider.remember(g->provider.engine, id, S(""), &e))
		log_err("forget the certificate of %s: %s", id, e.msg);
}

static bool has_certificate(const struct gateways *g, const struct published *p)
{
	return g->certs.is_on && !p->is_leaving && !p->work->gateway.tls_passthrough && p->work->published.fqdn[0];
}

/* Shown is what is so: without a certificate of its own a name has neither. */
static void shown_set(struct gateways *g, struct published *p, uint64_t until_s, const char *message)
{
	struct gateway_result *is = &p->work->published;

	if (is->cert_until_s == until_s && !strcmp(is->cert_message, message))
		return;
	is->cert_until_s = until_s;
	snprintf(is->cert_message, sizeof(is->cert_message), "%s", message);
	if (!p->is_waiting)
		g->provider.changed(g->provider.engine, p->work);
}

static void bundle_take(struct gateways *g, struct published *p, const char *bundle)
{
	if (p->bundle && !strcmp(p->bundle, bundle))
		return;
	wipe_free(&p->bundle);
	p->bundle = strdup(bundle);
	BUG_ON(!p->bundle);
	p->is_recalled = true;
	remember(g, p->work->id, p->work->published.fqdn, bundle);
	gateways_steer(g, 0);
}

static void one_take(struct gateways *g, const struct claim_report *one)
{
	struct published *p = published_find(g, one->id);
	char message[sizeof(p->work->published.cert_message)] = "", next[24];

	if (!p || !has_certificate(g, p))
		return;
	if (one->bundle)
		bundle_take(g, p, one->bundle);
	if (one->why[0] && one->next_s <= LAST_S) {
		format_time(next, (int64_t)one->next_s);
		snprintf(message, sizeof(message), "its certificate could not be %s: %s; next try at %s", one->until_s ? "renewed" : "had", one->why,
			 next);
	}
	shown_set(g, p, one->until_s <= LAST_S ? one->until_s : 0, message);
}

/* The key of the account is kept before the first name is asked for with it. */
static void account_take(struct gateways *g, const struct claims_told *told)
{
	struct certs *c = &g->certs;

	if (!c->account || strcmp(c->account, told->account)) {
		wipe_free(&c->account);
		c->account = strdup(told->account);
		BUG_ON(!c->account);
		remember(g, ACCOUNT, c->directory, c->account);
	}
	if (!strcmp(c->thumbprint, told->thumbprint))
		return;
	snprintf(c->thumbprint, sizeof(c->thumbprint), "%s", told->thumbprint);
	for (struct published *p = g->all; p; p = p->next) /* what is answered now is with another, or none */
		p->is_ready = false;
	gateways_steer(g, 0);
}

static int on_reply(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct gateways *g = userdata;
	struct claims_told told = { 0 };
	struct err e = { 0 };
	int r = error_id ? daemon_error_of(error_id, v, &e) : claims_told(v, &told, &e);

	(void)flags;
	if (error_id || r) {
		log_limited("who gets certificates: %s", e.msg);
		if (g->certs.link == link)
			link_closep(&g->certs.link);
		call_in(g, AGAIN_MS);
		return 0;
	}
	account_take(g, &told);
	for (size_t i = 0; i < told.n; i++) {
		struct claim_report one;

		claims_told_at(&told, i, &one);
		one_take(g, &one);
	}
	return 0;
}

/* One that this engine has not come to yet: it goes on as it is, and is not asked for. */
static void inherited_fill(struct gateways *g, const struct inherited *one, struct claims *ret)
{
	struct claim *is = &ret->list[ret->n];
	struct route route = one->route;

	if (!g->certs.is_on || route.tls_passthrough || published_find(g, route.id) || ret->n == GATEWAY_ROUTES_MAX)
		return;
	route.bundle = NULL;
	certs_fill(g, route.id, NULL, &route);
	snprintf(is->id, sizeof(is->id), "%s", route.id);
	snprintf(is->fqdn, sizeof(is->fqdn), "%s", route.fqdn);
	is->bundle = route.bundle;
	ret->n++;
}

static void claims_fill(struct gateways *g, struct claims *ret)
{
	snprintf(ret->directory, sizeof(ret->directory), "%s", g->certs.directory);
	snprintf(ret->email, sizeof(ret->email), "%s", g->certs.email);
	ret->ca = text_copy(g->certs.ca);
	ret->account = text_copy(g->certs.account);
	for (const struct published *p = g->all; p && ret->n < GATEWAY_ROUTES_MAX; p = p->next) {
		struct claim *is = &ret->list[ret->n];

		if (!has_certificate(g, p))
			continue;
		snprintf(is->id, sizeof(is->id), "%s", p->work->id);
		snprintf(is->fqdn, sizeof(is->fqdn), "%s", p->work->published.fqdn);
		is->is_ready = p->is_ready && g->certs.thumbprint[0];
		is->bundle = text_copy(p->bundle);
		ret->n++;
	}
	for (const struct inherited *one = g->inherited; one; one = one->next)
		inherited_fill(g, one, ret);
}

static int call(struct gateways *g, struct claims *claims, struct err *e)
{
	AUTO_JSON sd_json_variant *arguments = NULL;
	int r = g->o.program ? supervisor_start(&g->o.supervisor, SERVICE, e) : 0;

	if (r || (r = daemon_connect(g->event, g->o.acme_socket, g, on_reply, &g->certs.link, e)))
		return r;
	sd_varlink_set_input_sensitive(g->certs.link);
	if ((r = claims_build(claims, &arguments)) || (r = sd_varlink_observe(g->certs.link, "zos.Acme.Get", arguments)) < 0)
		return err_set(e, r, "tell who gets certificates: %s", strerror(-r));
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct gateways *g = userdata;
	struct claims *claims = g->is_listing ? NULL : calloc(1, sizeof(*claims));
	struct err e = { 0 };
	int r = 0;

	(void)source;
	(void)usec;
	if (g->is_listing) /* whoever lists goes on */
		return 0;
	BUG_ON(!claims);
	link_closep(&g->certs.link);
	claims_fill(g, claims);
	if (claims->n)
		r = call(g, claims, &e);
	else if (g->o.program)
		r = supervisor_stop(&g->o.supervisor, SERVICE, &e);
	claims_deinit(claims);
	free(claims);
	if (r < 0) {
		log_limited("who gets certificates: %s", e.msg);
		call_in(g, AGAIN_MS);
	}
	return 0;
}

/* What is kept may be another one now: a disk has come, or who gives certificates is another. */
void certs_configure(struct gateways *g, const struct farm_gateway *is)
{
	struct certs *c = &g->certs;
	bool is_on = is && is->acme;

	if (!is_on || strcmp(c->directory, is->acme)) {
		wipe_free(&c->account);
		c->thumbprint[0] = '\0';
	}
	c->is_on = is_on;
	snprintf(c->directory, sizeof(c->directory), "%s", is_on ? is->acme : "");
	snprintf(c->email, sizeof(c->email), "%s", is_on && is->acme_email ? is->acme_email : "");
	wipe_free(&c->ca);
	c->ca = text_copy(is_on ? is->acme_ca : NULL);
	if (is_on && !c->account)
		c->account = recall(g, ACCOUNT, c->directory);
	for (struct published *p = g->all; p; p = p->next) {
		p->is_recalled = p->bundle;
		if (!has_certificate(g, p))
			shown_set(g, p, 0, "");
	}
	certs_changed(g);
}

int certs_init(struct gateways *g, struct err *e)
{
	int r = sd_event_add_time(g->event, &g->certs.timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timer, g);

	if (r < 0)
		return err_set(e, r, "make a timer: %s", strerror(-r));
	sd_event_source_set_enabled(g->certs.timer, SD_EVENT_OFF);
	return 0;
}

void certs_deinit(struct gateways *g)
{
	link_closep(&g->certs.link);
	sd_event_source_disable_unref(g->certs.timer);
	wipe_free(&g->certs.account);
	wipe_free(&g->certs.ca);
}
