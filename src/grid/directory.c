/* What goes over the wire are the three services of hubd.c: dir.put.<key>, dir.get.<key>, dir.list.
 *
 * A list is the keys (one answer of the storage, in pages) and then a get for each, some at a time. A consumer would be
 * faster, but it is a thing that every participant could make on the hub, with a delivery subject of its choice. */
#include "grid/directory.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"

#include <systemd/sd-json.h>

enum { GETS_AT_ONCE = 32 };

static bool key_ok(const char *key)
{
	struct key_pub k;

	return !key_pub_parse(str_c(key), &k) && k.role == KEY_USER;
}

/* One get, or a list of them. */

struct directory_get {
	struct directory_query *query;
	bool used;
	char key[KEY_TEXT_SIZE];
};

struct directory_query {
	struct hub *hub;
	directory_get_fn *fn;
	void *userdata;
	bool is_list, is_listed, is_calling, is_cancelled;
	int r;
	struct directory_get gets[GETS_AT_ONCE];
	char (*keys)[KEY_TEXT_SIZE];
	size_t n_keys, next_key, offset;
};

static void query_free(struct directory_query *q)
{
	hub_cancel(q->hub, q);
	for (size_t i = 0; i < GETS_AT_ONCE; i++)
		hub_cancel(q->hub, &q->gets[i]);
	free(q->keys);
	free(q);
}

void directory_cancel(struct directory_query *q)
{
	if (q->is_calling) /* from its own callback */
		q->is_cancelled = true;
	else
		query_free(q);
}

/* False when the callback took the query back, which frees it. */
static bool query_call(struct directory_query *q, int r, const char *key, struct str record)
{
	q->is_calling = true;
	q->fn(q->userdata, r, key, record);
	q->is_calling = false;
	if (!q->is_cancelled)
		return true;
	query_free(q);
	return false;
}

static void list_go_on(struct directory_query *q);

static void on_got(void *userdata, int r, unsigned status, struct str body)
{
	struct directory_get *get = userdata;
	struct directory_query *q = get->query;

	get->used = false;
	if (!r && status)
		r = status == 404 ? -ENOENT : -EIO;
	if (!q->is_list) {
		if (query_call(q, r, get->key, r ? (struct str){ 0 } : body))
			query_free(q);
		return;
	}
	if (r && r != -ENOENT) /* gone since it was listed: not an error */
		q->r = r;
	if (!r && !query_call(q, 0, get->key, body))
		return;
	list_go_on(q);
}

static int get_send(struct directory_query *q, struct directory_get *get, const char *key)
{
	char subject[HUB_SUBJECT_MAX];
	int r;

	snprintf(subject, sizeof(subject), "dir.get.%s", key);
	r = hub_request(q->hub, subject, (struct str){ 0 }, DIRECTORY_TIMEOUT_MS, on_got, get);
	if (r)
		return r;
	get->query = q;
	get->used = true;
	snprintf(get->key, sizeof(get->key), "%s", key);
	return 0;
}

static struct directory_query *query_new(struct hub *hub, directory_get_fn *fn, void *userdata)
{
	struct directory_query *q = calloc(1, sizeof(*q));

	BUG_ON(!q);
	*q = (struct directory_query){ .hub = hub, .fn = fn, .userdata = userdata };
	return q;
}

int directory_get(struct hub *hub, const char *key, directory_get_fn *fn, void *userdata, struct directory_query **ret)
{
	struct directory_query *q;
	int r;

	if (!key_ok(key))
		return -EINVAL;
	q = query_new(hub, fn, userdata);
	r = get_send(q, &q->gets[0], key);
	if (r)
		query_free(q);
	else
		*ret = q;
	return r;
}

static int ask_for_page(struct directory_query *q);

/* More gets while there are keys and places; then the end. May free the query. */
static void list_go_on(struct directory_query *q)
{
	bool waiting = false;

	for (size_t i = 0; i < GETS_AT_ONCE; i++) {
		struct directory_get *get = &q->gets[i];

		if (!get->used && !q->r && q->next_key < q->n_keys) {
			int r = get_send(q, get, q->keys[q->next_key]);

			if (!r)
				q->next_key++;
			else if (r != -EAGAIN)
				q->r = r;
		}
		waiting |= get->used;
	}
	if (waiting || !q->is_listed)
		return;
	if (!q->r && q->next_key < q->n_keys) /* not even one could be asked for */
		q->r = -EAGAIN;
	if (query_call(q, q->r, NULL, (struct str){ 0 }))
		query_free(q);
}

static void add_key(struct directory_query *q, const char *subject)
{
	static const char head[] = "$KV.nodes.";
	const char *key = subject + sizeof(head) - 1;

	if (strncmp(subject, head, sizeof(head) - 1) || !key_ok(key) || q->n_keys == DIRECTORY_KEYS_MAX)
		return;
	if (q->n_keys % 1024 == 0) {
		void *p = reallocarray(q->keys, q->n_keys + 1024, KEY_TEXT_SIZE);

		BUG_ON(!p); /* bounded by DIRECTORY_KEYS_MAX */
		q->keys = p;
	}
	memcpy(q->keys[q->n_keys++], key, KEY_TEXT_SIZE);
}

/* {"total":N,"offset":N,"state":{"subjects":{"$KV.nodes.U...":1,...}}} and much that is not for us. Returns how many
 * subjects this page had, and *ret_total. */
static int take_page(struct directory_query *q, struct str body, uint64_t *ret_total)
{
	CLEANUP(sd_json_variant_unrefp) sd_json_variant *v = NULL;
	AUTO_BUF struct buf text = { 0 };
	sd_json_variant *subjects, *state;
	size_t n;

	buf_add(&text, body);
	if (!text.p || buf_check(&text) || sd_json_parse(text.p, 0, &v, NULL, NULL) < 0)
		return -EBADMSG;
	if (!sd_json_variant_is_object(v) || sd_json_variant_by_key(v, "error"))
		return -EIO;
	state = sd_json_variant_by_key(v, "state");
	subjects = state && sd_json_variant_is_object(state) ? sd_json_variant_by_key(state, "subjects") : NULL;
	*ret_total = sd_json_variant_unsigned(sd_json_variant_by_key(v, "total"));
	if (!subjects || !sd_json_variant_is_object(subjects))
		return 0;
	n = sd_json_variant_elements(subjects); /* names and values in turn */
	for (size_t i = 0; i + 1 < n; i += 2)
		add_key(q, sd_json_variant_string(sd_json_variant_by_index(subjects, i)));
	return (int)(n / 2);
}

static void on_page(void *userdata, int r, unsigned status, struct str body)
{
	struct directory_query *q = userdata;
	uint64_t total = 0;
	int n = r ? r : status ? -EIO : take_page(q, body, &total);

	if (n < 0)
		q->r = n;
	else
		q->offset += (size_t)n;
	if (n > 0 && q->offset < total && q->n_keys < DIRECTORY_KEYS_MAX) {
		q->r = ask_for_page(q);
		q->is_listed = q->r != 0;
	} else {
		q->is_listed = true;
	}
	list_go_on(q);
}

static int ask_for_page(struct directory_query *q)
{
	char request[96];
	int n = snprintf(request, sizeof(request), "{\"subjects_filter\":\"$KV.nodes.*\",\"offset\":%zu}", q->offset);

	return hub_request(q->hub, "dir.list", (struct str){ request, (size_t)n }, DIRECTORY_TIMEOUT_MS, on_page, q);
}

int directory_list(struct hub *hub, directory_get_fn *fn, void *userdata, struct directory_query **ret)
{
	struct directory_query *q = query_new(hub, fn, userdata);
	int r;

	q->is_list = true;
	r = ask_for_page(q);
	if (r)
		query_free(q);
	else
		*ret = q;
	return r;
}

/* One's own record: look, compare, put back. */

struct directory_own {
	struct hub *hub;
	sd_event_source *timer;
	struct buf record;
	bool is_there, is_asking;
	uint64_t put_ms, look_ms; /* when it was written last; when to look next */
	unsigned failures;
};

static void own_arm(struct directory_own *o, uint64_t wait_ms)
{
	o->look_ms = log_now_ms() + wait_ms;
	sd_event_source_set_time(o->timer, o->look_ms * 1000);
	sd_event_source_set_enabled(o->timer, SD_EVENT_ONESHOT);
}

/* 1 s, 2 s, ... up to the ordinary distance, a quarter of it random. */
static void own_later(struct directory_own *o)
{
	uint64_t wait = o->failures < 5 ? 1000ull << o->failures : DIRECTORY_LOOK_MS;

	o->failures++;
	o->is_there = false;
	own_arm(o, wait - random_u64() % (wait / 4));
}

static void own_settled(struct directory_own *o)
{
	o->failures = 0;
	o->is_there = true;
	own_arm(o, DIRECTORY_LOOK_MS - random_u64() % (DIRECTORY_LOOK_MS / 4));
}

static void on_put(void *userdata, int r, unsigned status, struct str body)
{
	struct directory_own *o = userdata;

	o->is_asking = false;
	/* The answer is {"stream":...,"seq":N} or {"error":{...}}; what counts is what the next look finds. */
	if (r || status || memmem(body.p ? body.p : "", body.n, "\"error\"", 7)) {
		own_later(o);
		return;
	}
	o->put_ms = log_now_ms();
	own_settled(o);
}

static void own_put(struct directory_own *o)
{
	char subject[HUB_SUBJECT_MAX];

	snprintf(subject, sizeof(subject), "dir.put.%s", hub_key(o->hub));
	if (hub_request(o->hub, subject, buf_str(&o->record), DIRECTORY_TIMEOUT_MS, on_put, o))
		own_later(o);
	else
		o->is_asking = true;
}

static void on_look(void *userdata, int r, unsigned status, struct str body)
{
	struct directory_own *o = userdata;

	o->is_asking = false;
	if (r || (status && status != 404))
		own_later(o);
	else if (status || !str_eq(body, buf_str(&o->record)) || log_now_ms() - o->put_ms >= DIRECTORY_RENEW_MS)
		own_put(o);
	else
		own_settled(o);
}

static void own_look(struct directory_own *o)
{
	char subject[HUB_SUBJECT_MAX];

	if (o->is_asking || !o->record.len)
		return;
	snprintf(subject, sizeof(subject), "dir.get.%s", hub_key(o->hub));
	if (hub_request(o->hub, subject, (struct str){ 0 }, DIRECTORY_TIMEOUT_MS, on_look, o))
		own_later(o);
	else
		o->is_asking = true;
}

static int on_own_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	own_look(userdata);
	return 0;
}

int directory_own_new(struct hub *hub, sd_event *event, struct directory_own **ret, struct err *e)
{
	struct directory_own *o = calloc(1, sizeof(*o));
	int r;

	BUG_ON(!o);
	o->hub = hub;
	o->record.limit = DIRECTORY_RECORD_MAX;
	r = sd_event_add_time(event, &o->timer, CLOCK_MONOTONIC, 0, 100000, on_own_timer, o);
	if (r < 0) {
		free(o);
		return err_set(e, r, "keep a directory record: %s", strerror(-r));
	}
	sd_event_source_set_enabled(o->timer, SD_EVENT_OFF);
	*ret = o;
	return 0;
}

void directory_own_free(struct directory_own *o)
{
	if (!o)
		return;
	hub_cancel(o->hub, o);
	sd_event_source_disable_unref(o->timer);
	buf_deinit(&o->record);
	free(o);
}

int directory_own_set(struct directory_own *o, struct str record)
{
	if (record.n > DIRECTORY_RECORD_MAX)
		return -EMSGSIZE;
	hub_cancel(o->hub, o);
	buf_drop(&o->record, o->record.len);
	buf_add(&o->record, record);
	o->is_there = o->is_asking = false;
	o->failures = 0;
	if (hub_is_up(o->hub))
		own_put(o);
	return 0;
}

void directory_own_kick(struct directory_own *o)
{
	o->failures = 0;
	own_look(o);
}

bool directory_own_is_there(const struct directory_own *o)
{
	return o->is_there;
}
