#include "node/line.h"

#include "base/log.h"
#include "base/parse.h"
#include "node/info.h"
#include "svc/daemon.h"

#include <stdio.h>
#include <time.h>

struct watch_args {
	const char *inbox, *tls_key;
};
static const struct json_field watch_fields[] = {
	{ "inbox", JSON_TEXT, offsetof(struct watch_args, inbox), .required = true, .max = 64 },
	{ "tls_key", JSON_TEXT, offsetof(struct watch_args, tls_key), .required = true, .min = 64, .max = 64 },
};
static const struct json_table watch_table = { watch_fields, ARRAY_LEN(watch_fields), 0, NULL };

struct hub_args {
	bool up;
	uint64_t since;
	const char *why;
};
static const struct json_field hub_fields[] = {
	{ "up", JSON_BOOL, offsetof(struct hub_args, up), .required = true },
	{ "since", JSON_U64, offsetof(struct hub_args, since), .required = true },
	{ "why", JSON_TEXT, offsetof(struct hub_args, why), .required = true },
};
static const struct json_table hub_table = { hub_fields, ARRAY_LEN(hub_fields), 0, NULL };

static int hubs_json(const struct farm *f, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && f && i < f->n_hubs; i++) {
		AUTO_JSON sd_json_variant *one = NULL;

		r = sd_json_buildo(&one, SD_JSON_BUILD_PAIR_STRING("url", f->hubs[i].url),
		                   SD_JSON_BUILD_PAIR_STRING("key", f->hubs[i].key ? f->hubs[i].key : ""));
		if (r >= 0)
			r = sd_json_variant_append_array(ret, one);
	}
	return r;
}

static int line_send(struct line *l)
{
	AUTO_JSON sd_json_variant *hubs = NULL;
	AUTO_BUF struct buf record = { 0 };
	char node[KEY_TEXT_SIZE];
	struct err e = { 0 };
	/* Above every record this node ever signed, as long as its clock does not go back: readers keep the highest. */
	uint64_t sequence = (uint64_t)time(NULL);
	int r;

	l->sequence = sequence > l->sequence ? sequence : l->sequence + 1;
	if ((l->inbox[0] && (r = info_record(l->engine, l->boot_s, l->inbox, l->tls_key, l->sequence, &record, &e))) ||
	    (r = hubs_json(l->engine->farm, &hubs)) < 0) {
		log_err("sign the node's record: %s", e.msg[0] ? e.msg : strerror(-r));
		return r;
	}
	key_pub_format(node, &l->engine->identity.pub);
	return sd_varlink_notifybo(l->link, SD_JSON_BUILD_PAIR_STRING("record", record.p ? record.p : ""), SD_JSON_BUILD_PAIR_STRING("node", node),
	                           SD_JSON_BUILD_PAIR_VARIANT("hubs", hubs));
}

static void renew_arm(struct line *l, uint64_t in_s)
{
	sd_event_source_set_time_relative(l->renew, in_s * 1000000);
	sd_event_source_set_enabled(l->renew, SD_EVENT_ONESHOT);
}

static int on_renew(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct line *l = userdata;

	(void)source;
	(void)usec;
	if (l->link)
		(void)line_send(l);
	renew_arm(l, RECORD_RENEW_S);
	return 0;
}

static void on_record_changed(void *ctx)
{
	renew_arm(ctx, 0); /* changes that come together go out together */
}

int line_init(struct line *ret, struct engine *engine, uint64_t boot_s, struct err *e)
{
	int r;

	*ret = (struct line){ .engine = engine, .boot_s = boot_s };
	r = sd_event_add_time_relative(engine->event, &ret->renew, CLOCK_BOOTTIME, RECORD_RENEW_S * 1000000ull, 0, on_renew, ret);
	if (r < 0)
		return err_set(e, r, "serve gridd: %s", strerror(-r));
	engine->record_changed = on_record_changed;
	engine->record_ctx = ret;
	return 0;
}

void line_deinit(struct line *l)
{
	if (l->engine)
		l->engine->record_changed = NULL;
	sd_varlink_unref(l->link);
	sd_event_source_disable_unref(l->renew);
	*l = (struct line){ 0 };
}

int line_watch(struct line *l, sd_varlink *link, sd_json_variant *parameters)
{
	struct watch_args a = { 0 };
	struct err e = { 0 };
	uint8_t key[32];
	int r = json_decode(parameters, &watch_table, &a, &e);

	if (r || parse_hex(str_c(a.tls_key), key, sizeof(key)))
		return daemon_reply_error(link, -EBADMSG, &e);
	sd_varlink_unref(l->link);
	l->link = sd_varlink_ref(link);
	snprintf(l->inbox, sizeof(l->inbox), "%s", a.inbox);
	snprintf(l->tls_key, sizeof(l->tls_key), "%s", a.tls_key);
	return line_send(l);
}

static void hub_set(struct line *l, const struct line_hub *h)
{
	l->hub = *h;
	if (l->engine->status_changed)
		l->engine->status_changed(l->engine->status_ctx);
}

int line_hub(struct line *l, sd_varlink *link, sd_json_variant *parameters)
{
	struct hub_args a = { 0 };
	struct line_hub h;
	struct err e = { 0 };
	int r = json_decode(parameters, &hub_table, &a, &e);

	if (r)
		return daemon_reply_error(link, r, &e);
	h = (struct line_hub){ .is_up = a.up, .since_ms = a.since };
	snprintf(h.why, sizeof(h.why), "%s", a.why);
	hub_set(l, &h);
	return sd_varlink_reply(link, NULL);
}

void line_gone(struct line *l, sd_varlink *link)
{
	if (l->link != link)
		return;
	l->link = sd_varlink_unref(l->link);
	hub_set(l, &(struct line_hub){ .since_ms = log_now_ms(), .why = "gridd, which speaks to the hub, is being started again" });
}
