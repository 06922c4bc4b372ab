#include "node/line.h"

#include "base/log.h"
#include "base/parse.h"
#include "node/info.h"
#include "svc/daemon.h"

#include <stdio.h>
#include <time.h>

struct watch_args {
	sd_json_variant *inboxes;
	const char *tls_key;
};
static const struct json_field watch_fields[] = {
	{ "inboxes", JSON_TEXTS, offsetof(struct watch_args, inboxes), .required = true, .max = HUBS_MAX },
	{ "tls_key", JSON_TEXT, offsetof(struct watch_args, tls_key), .required = true, .min = 64, .max = 64 },
};
const struct json_table line_watch_table = { watch_fields, ARRAY_LEN(watch_fields), sizeof(struct watch_args), NULL };

struct hub_row {
	const char *url, *why;
	bool up;
	uint64_t since;
};
static const struct json_field row_fields[] = {
	{ "url", JSON_TEXT, offsetof(struct hub_row, url), .required = true, .max = HUB_URL_MAX - 1 },
	{ "up", JSON_BOOL, offsetof(struct hub_row, up), .required = true },
	{ "since", JSON_U64, offsetof(struct hub_row, since), .required = true },
	{ "why", JSON_TEXT, offsetof(struct hub_row, why), .required = true },
};
static const struct json_table row_table = { row_fields, ARRAY_LEN(row_fields), sizeof(struct hub_row), NULL };
struct state_args {
	struct hub_row hubs[HUBS_MAX];
	size_t n_hubs;
	uint64_t sessions, sessions_max, sessions_refused;
};
static const struct json_field state_fields[] = {
	{ "hubs", JSON_LIST, offsetof(struct state_args, hubs), .required = true, .max = HUBS_MAX, .table = &row_table,
	  .n_off = offsetof(struct state_args, n_hubs) },
	{ "sessions", JSON_U64, offsetof(struct state_args, sessions), .required = true },
	{ "sessions_max", JSON_U64, offsetof(struct state_args, sessions_max), .required = true },
	{ "sessions_refused", JSON_U64, offsetof(struct state_args, sessions_refused), .required = true },
};
const struct json_table line_state_table = { state_fields, ARRAY_LEN(state_fields), sizeof(struct state_args), NULL };

static int hubs_json(const struct farm *f, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && f && i < f->n_hubs; i++) {
		AUTO_JSON sd_json_variant *one = NULL;

		r = sd_json_buildo(&one, SD_JSON_BUILD_PAIR_STRING("url", f->hubs[i].url),
				   SD_JSON_BUILD_PAIR_STRING("key", f->hubs[i].key ? f->hubs[i].key : ""),
				   SD_JSON_BUILD_PAIR_STRING("ca", f->hubs[i].ca ? f->hubs[i].ca : ""));
		if (r >= 0)
			r = sd_json_variant_append_array(ret, one);
	}
	return r;
}

static int key_append(const struct key_pub *key, sd_json_variant **list)
{
	AUTO_JSON sd_json_variant *one = NULL;
	char text[KEY_TEXT_SIZE];
	int r;

	key_pub_format(text, key);
	r = sd_json_variant_new_string(&one, text);
	return r < 0 ? r : sd_json_variant_append_array(list, one);
}

static int known_json(const struct farm *f, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	if (r >= 0 && f)
		r = key_append(&f->farm, ret);
	for (size_t i = 0; r >= 0 && f && i < f->n_allow; i++)
		r = key_append(&f->allow[i].key, ret);
	return r;
}

/* Each node once, whatever the number of its networks. */
static int peers_json(const struct peers *p, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && p && i < p->n; i++)
		if (peers_node_is_new(p, i))
			r = key_append(&p->list[i].node, ret);
	return r;
}

static int records_json(const struct line *l, sd_json_variant **ret, struct err *e)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < l->n_inboxes; i++) {
		AUTO_JSON sd_json_variant *one = NULL;
		AUTO_BUF struct buf record = { 0 };

		if ((r = info_record(l->engine, l->boot_s, l->inboxes[i], l->tls_key, l->sequence, &record, e)))
			return r;
		r = sd_json_buildo(&one, SD_JSON_BUILD_PAIR_STRING("inbox", l->inboxes[i]), SD_JSON_BUILD_PAIR_STRING("record", record.p));
		if (r >= 0)
			r = sd_json_variant_append_array(ret, one);
	}
	return r;
}

static int line_send(struct line *l)
{
	AUTO_JSON sd_json_variant *hubs = NULL, *records = NULL, *known = NULL, *peers = NULL;
	char node[KEY_TEXT_SIZE];
	struct err e = { 0 };
	/* Above every record this node ever signed, as long as its clock does not go back: readers keep the highest. */
	uint64_t sequence = (uint64_t)time(NULL);
	int r;

	l->sequence = sequence > l->sequence ? sequence : l->sequence + 1;
	if ((r = records_json(l, &records, &e)) < 0 || (r = hubs_json(l->engine->farm, &hubs)) < 0 || (r = known_json(l->engine->farm, &known)) < 0 ||
	    (r = peers_json(l->peers, &peers)) < 0) {
		log_err("sign the node's record: %s", e.msg[0] ? e.msg : strerror(-r));
		return r;
	}
	key_pub_format(node, &l->engine->identity.pub);
	return sd_varlink_notifybo(l->link, SD_JSON_BUILD_PAIR_VARIANT("records", records), SD_JSON_BUILD_PAIR_STRING("node", node),
				   SD_JSON_BUILD_PAIR_VARIANT("hubs", hubs), SD_JSON_BUILD_PAIR_VARIANT("known", known),
				   SD_JSON_BUILD_PAIR_VARIANT("peers", peers));
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
	int r = json_decode(parameters, &line_watch_table, &a, &e);

	if (r || parse_hex(str_c(a.tls_key), key, sizeof(key)))
		return daemon_reply_error(link, -EBADMSG, &e);
	sd_varlink_unref(l->link);
	l->link = sd_varlink_ref(link);
	l->n_inboxes = sd_json_variant_elements(a.inboxes);
	for (size_t i = 0; i < l->n_inboxes; i++)
		snprintf(l->inboxes[i], sizeof(l->inboxes[i]), "%s", sd_json_variant_string(sd_json_variant_by_index(a.inboxes, i)));
	snprintf(l->tls_key, sizeof(l->tls_key), "%s", a.tls_key);
	return line_send(l);
}

static void state_changed(struct line *l)
{
	if (l->engine->status_changed)
		l->engine->status_changed(l->engine->status_ctx);
}

int line_state(struct line *l, sd_varlink *link, sd_json_variant *parameters)
{
	struct state_args a = { 0 };
	struct err e = { 0 };
	int r = json_decode(parameters, &line_state_table, &a, &e);

	if (r)
		return daemon_reply_error(link, r, &e);
	l->n_hubs = a.n_hubs;
	l->sessions = a.sessions;
	l->sessions_max = a.sessions_max;
	l->sessions_refused = a.sessions_refused;
	for (size_t i = 0; i < a.n_hubs; i++) {
		l->hubs[i] = (struct line_hub){ .is_up = a.hubs[i].up, .since_ms = a.hubs[i].since };
		snprintf(l->hubs[i].url, sizeof(l->hubs[i].url), "%s", a.hubs[i].url);
		snprintf(l->hubs[i].why, sizeof(l->hubs[i].why), "%s", a.hubs[i].why);
	}
	state_changed(l);
	return sd_varlink_reply(link, NULL);
}

void line_gone(struct line *l, sd_varlink *link)
{
	if (l->link != link)
		return;
	l->link = sd_varlink_unref(l->link);
	l->sessions = 0;
	for (size_t i = 0; i < l->n_hubs; i++) {
		l->hubs[i].is_up = false;
		l->hubs[i].since_ms = log_now_ms();
		snprintf(l->hubs[i].why, sizeof(l->hubs[i].why), "gridd, which speaks to the hub, is being started again");
	}
	state_changed(l);
}

int line_hubs_json(const struct line *l, sd_json_variant **ret)
{
	const struct farm *f = l->engine->farm;
	size_t n = l->n_hubs ? l->n_hubs : f && f->n_hubs ? 1 : 0;
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		AUTO_JSON sd_json_variant *one = NULL;
		const struct line_hub *h = &l->hubs[i];

		r = sd_json_buildo(&one, SD_JSON_BUILD_PAIR_STRING("url", l->n_hubs ? h->url : f->hubs[0].url),
				   SD_JSON_BUILD_PAIR_BOOLEAN("up", l->n_hubs && h->is_up), SD_JSON_BUILD_PAIR_STRING("why", l->n_hubs ? h->why : ""),
				   SD_JSON_BUILD_PAIR_UNSIGNED("since", l->n_hubs ? h->since_ms : 0));
		if (r >= 0)
			r = sd_json_variant_append_array(ret, one);
	}
	return r;
}

int line_sessions_json(const struct line *l, sd_json_variant **ret)
{
	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_UNSIGNED("open", l->sessions), SD_JSON_BUILD_PAIR_UNSIGNED("max", l->sessions_max),
			      SD_JSON_BUILD_PAIR_UNSIGNED("refused", l->sessions_refused));
}
