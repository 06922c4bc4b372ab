#include "gateway/steerd.h"

#include "base/log.h"
#include "svc/daemon.h"

enum {
	LOOK_SOON_MS = 50,   /* after a change; doubles while something is left to do or to learn, */
	LOOK_LATE_MS = 2000, /* ... up to this, and then */
	LOOK_IDLE_MS = 5000, /* ... this, which is as often as backends are asked */
};

static void look_in(struct steerd *d, uint64_t ms)
{
	sd_event_source_set_time_relative(d->timer, ms * 1000);
	sd_event_source_set_enabled(d->timer, SD_EVENT_ONESHOT);
}

static void look_again(struct steerd *d, bool is_settled)
{
	uint64_t pause = d->n_looks < 6 ? (uint64_t)LOOK_SOON_MS << d->n_looks : LOOK_LATE_MS;

	d->n_looks++;
	look_in(d, is_settled ? LOOK_IDLE_MS : pause);
}

static void report(struct steerd *d)
{
	AUTO_JSON sd_json_variant *now = NULL;

	if (!d->engine || routes_report(&d->wanted, &now) || (d->told && sd_json_variant_equal(d->told, now)))
		return;
	json_unrefp(&d->told);
	d->told = sd_json_variant_ref(now);
	if (sd_varlink_notify(d->engine, now) < 0)
		log_limited("the engine hears nothing any more");
}

static bool is_settled(const struct steerd *d)
{
	for (size_t i = 0; i < d->wanted.n; i++)
		if (!d->wanted.list[i].is_known)
			return false;
	return true;
}

static bool is_refusal(struct str line)
{
	static const char *const words[] = { "No such", "Unknown", "Invalid", "Can't", "unable", "Failed", "The certificate" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_starts(line, str_c(words[i])))
			return true;
	return false;
}

static void on_told(void *ctx, struct str answer, int r, const struct err *e)
{
	const struct str prompt = S("> ");
	struct steerd *d = ctx;
	struct str line;

	d->asking = NULL;
	if (r)
		log_limited("%s", e->msg);
	while (str_next(&answer, '\n', &line)) {
		while (str_starts(line, prompt))
			line = (struct str){ line.p + prompt.n, line.n - prompt.n };
		if (is_refusal(line))
			log_limited("HAProxy: %.*s", (int)(line.n < 120 ? line.n : 120), line.p);
	}
	look_again(d, false);
}

static int tell(struct steerd *d, struct buf *commands, struct err *e)
{
	buf_addf(commands, "\n");
	return buf_check(commands) ? err_set(e, -ENOMEM, "out of memory")
				   : ask_start(&d->asking, d->event, d->o.haproxy, buf_str(commands), on_told, d, e);
}

static void on_seen(void *ctx, struct str answer, int r, const struct err *why)
{
	AUTO_SEEN struct haproxy_seen seen = { 0 };
	AUTO_SECRET struct buf commands = { 0 };
	struct steerd *d = ctx;
	struct err e = *why;

	d->asking = NULL;
	if (!r && !(r = haproxy_seen_parse(answer, &seen, &e)) && (r = steer(&d->wanted, &seen, &commands, &e)))
		log_limited("%s", e.msg);
	if (!r && !commands.len && (r = steer_certs(&d->wanted, &seen, &commands)))
		err_set(&e, r, "hand over certificates: out of memory");
	if (commands.len && !tell(d, &commands, &e))
		return;
	if (r || commands.len)
		log_limited("%s", e.msg);
	else
		report(d);
	look_again(d, !r && !commands.len && is_settled(d));
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct steerd *d = userdata;
	struct err e = { 0 };

	(void)source;
	(void)usec;
	if (d->asking || !d->has_word) /* whoever asks looks again */
		return 0;
	if (ask_start(&d->asking, d->event, d->o.haproxy, str_c(haproxy_look), on_seen, d, &e)) {
		log_limited("%s", e.msg); /* it starts, or starts again */
		look_again(d, false);
	}
	return 0;
}

static int on_publish(sd_varlink *link, sd_json_variant *v, sd_varlink_method_flags_t flags, void *userdata)
{
	struct steerd *d = userdata;
	struct routes *now = calloc(1, sizeof(*now));
	struct err e = { 0 };
	int r;

	BUG_ON(!now);
	r = flags & SD_VARLINK_METHOD_MORE ? routes_decode(v, now, &e) : err_set(&e, -EINVAL, "the caller must want more than one answer");
	if (r) {
		routes_deinit(now);
		free(now);
		return daemon_reply_error(link, r, &e);
	}
	routes_deinit(&d->wanted);
	d->wanted = *now;
	free(now);
	link_closep(&d->engine);
	d->engine = sd_varlink_ref(link);
	d->has_word = true;
	json_unrefp(&d->told);
	d->n_looks = 0;
	if (!d->asking)
		look_in(d, 0);
	return 0;
}

/* For an engine that is started anew: what the one before it wanted. */
static int on_list(sd_varlink *link, sd_json_variant *v, sd_varlink_method_flags_t flags, void *userdata)
{
	const struct steerd *d = userdata;
	AUTO_JSON sd_json_variant *all = NULL;
	struct err e = { 0 };
	int r = routes_build(&d->wanted, &all);

	(void)v;
	(void)flags;
	return r ? daemon_reply_error(link, r, &e) : sd_varlink_reply(link, all);
}

/* What is said here has keys in it. */
static int on_come(sd_varlink_server *server, sd_varlink *link, void *userdata)
{
	(void)server;
	(void)userdata;
	return sd_varlink_set_input_sensitive(link);
}

/* The engine is started anew; names stay what they are. */
static void on_gone(sd_varlink_server *server, sd_varlink *link, void *userdata)
{
	struct steerd *d = userdata;

	(void)server;
	if (d->engine == link)
		d->engine = sd_varlink_unref(link);
}

int steerd_init(struct steerd *d, sd_event *event, const struct steerd_options *o, struct err *e)
{
	int r;

	d->event = sd_event_ref(event);
	d->o = *o;
	if ((r = sd_event_add_time(event, &d->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timer, d)) < 0)
		return err_set(e, r, "make a timer: %s", strerror(-r));
	sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
	if ((r = daemon_listen(event, o->socket, 0600, d, &d->server, e)))
		return r;
	if ((r = sd_varlink_server_bind_method(d->server, "zos.Gateway.Publish", on_publish)) >= 0 &&
	    (r = sd_varlink_server_bind_method(d->server, "zos.Gateway.List", on_list)) >= 0)
		r = sd_varlink_server_bind_disconnect(d->server, on_gone);
	if (r >= 0)
		r = sd_varlink_server_bind_connect(d->server, on_come);
	return r < 0 ? err_set(e, r, "listen: %s", strerror(-r)) : 0;
}

void steerd_deinit(struct steerd *d)
{
	ask_drop(d->asking);
	routes_deinit(&d->wanted);
	sd_event_source_disable_unref(d->timer);
	link_closep(&d->engine);
	sd_varlink_server_unref(d->server);
	json_unrefp(&d->told);
	sd_event_unref(d->event);
}
