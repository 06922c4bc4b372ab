/* One pass looks at every workload, asks plan_next() what to do, and does it. Passes run when something changed or a pause ended, never
 * from inside a provider's callback: done() and changed() only note and arm the next pass, so the lists stay still under a pass. */
#include "node/changes.h"
#include "node/ground.h"
#include "node/holds.h"
#include "node/ips.h"
#include "node/joins.h"
#include "node/kept.h"
#include "node/placed.h"
#include "node/resolved.h"
#include "node/secrets.h"

#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <time.h>

static uint64_t now_ms(const struct engine *n)
{
	uint64_t usec = 0;

	sd_event_now(n->event, CLOCK_MONOTONIC, &usec);
	return usec / 1000;
}

static void pass_arm(struct engine *n)
{
	if (n->pass)
		sd_event_source_set_enabled(n->pass, SD_EVENT_ONESHOT);
}

void engine_tell(struct engine *n)
{
	if (n->record_changed)
		n->record_changed(n->record_ctx);
	if (n->status_changed)
		n->status_changed(n->status_ctx);
}

struct held *engine_held(struct engine *n, const struct key_pub *owner, const char *name)
{
	for (struct held *h = n->held; h; h = h->next)
		if (key_pub_eq(&h->deployment->owner, owner) && !strcmp(h->deployment->name, name))
			return h;
	return NULL;
}

struct item *engine_item(struct engine *n, const struct key_pub *owner, const char *deployment, const char *name)
{
	for (struct item *it = n->items; it; it = it->next)
		if (key_pub_eq(&it->work.owner, owner) && !strcmp(it->work.deployment, deployment) && !strcmp(it->work.name, name))
			return it;
	return NULL;
}

/* The first N bytes of SHA-256 over TEXT, as hex. */
static void short_digest(struct str text, size_t n, char *ret)
{
	AUTO_BUF struct buf hex = { 0 };
	uint8_t sum[32];

	BUG_ON(!EVP_Digest(text.p, text.n, sum, NULL, EVP_sha256(), NULL));
	format_hex(&hex, sum, n);
	BUG_ON(buf_check(&hex));
	memcpy(ret, hex.p, 2 * n + 1);
}

static const struct workload *wanted(struct engine *n, const struct item *it)
{
	struct held *h = engine_held(n, &it->work.owner, it->work.deployment);

	for (size_t i = 0; h && i < h->deployment->n_workloads; i++)
		if (!strcmp(h->deployment->workloads[i].name, it->work.name))
			return &h->deployment->workloads[i];
	return NULL;
}

static bool is_busy(const struct item *it)
{
	for (int s = 0; s < STEPS; s++)
		if (it->view.steps[s] == STEP_APPLYING || it->view.steps[s] == STEP_REMOVING)
			return true;
	return false;
}

int engine_hold(struct engine *n, struct item *it, enum work_hold hold, struct err *e)
{
	struct provider *p = n->providers[STEP_MACHINE];
	int r = hold_save(n, &it->work, hold, e);

	if (!r && p->ops->hold)
		r = p->ops->hold(p, &it->work, e);
	engine_notify(n, it);
	return r;
}

unsigned engine_isolation(const struct engine *n, const struct zmachine *z)
{
	if (z->isolation != ISOLATION_AUTO)
		return z->isolation;
	return n->capacity.has_kvm ? ISOLATION_VM : ISOLATION_CONTAINER;
}

static void work_spec_clear(struct work *w)
{
	work_image_clear(w);
	json_unrefp(&w->network.span);
	json_unrefp(&w->data);
	json_unrefp(&w->env);
	json_unrefp(&w->secrets);
}

static bool is_machine(const struct item *it)
{
	return it->work.kind == WORKLOAD_ZMACHINE;
}

static bool has_storage(const struct item *it)
{
	return workload_has_storage(it->work.kind);
}

bool engine_runs(const struct item *it)
{
	return it->view.kind == PLAN_MACHINE || it->view.kind == PLAN_STORE;
}

static void secrets_take(struct item *it, const struct held *h)
{
	json_unrefp(&it->work.secrets);
	it->work.secrets = sd_json_variant_ref(h->secrets);
}

/* A new document with the same workload in it: what its tag stands for is asked anew, perhaps with another password, and at once. */
static void item_renew(struct item *it, const struct held *h)
{
	secrets_take(it, h);
	it->view.stale = is_machine(it) && it->work.image.digest[0] &&
			 !resolved_is_pinned(&it->work); /* one that is not known yet will be for this sequence */
	it->error[0] = '\0';
	it->view.attempts = 0;
	it->view.retry_at_ms = 0;
}

/* What may be there already is applied once more, and removed when it is not wanted. */
static void step_again(struct item *it, enum plan_step step)
{
	if (it->view.steps[step] == STEP_DONE)
		it->view.steps[step] = STEP_FAILED;
	it->view.retry_at_ms = 0;
}

/* What is under way may have begun before: it is done once more after that. */
static void item_again(struct item *it)
{
	it->is_again = is_busy(it);
	if (it->is_again)
		return;
	if (it->view.kind == PLAN_GATEWAY) {
		step_again(it, STEP_NETWORK);
		step_again(it, STEP_GATEWAY);
	} else {
		step_again(it, STEP_STORAGE);
	}
}

/* Its links take it on under what runs. */
static void bandwidth_sync(struct item *it, const struct workload *w)
{
	if (!is_machine(it) || it->work.spec.bandwidth == w->zmachine.bandwidth)
		return;
	it->work.spec.bandwidth = w->zmachine.bandwidth;
	step_again(it, STEP_NETWORK);
}

/* So does the address at which it is reached. */
static void public_sync(struct item *it, const struct workload *w)
{
	char ip[WORK_ID_LEN + 1] = "";

	if (is_machine(it) && w->zmachine.public_ip)
		engine_work_id(&it->work.owner, it->work.deployment, w->zmachine.public_ip, ip);
	if (!strcmp(ip, it->work.public.ip))
		return;
	memcpy(it->work.public.ip, ip, sizeof(ip));
	step_again(it, STEP_NETWORK);
}

static void machine_sync(struct engine *n, struct item *it, const struct workload *w, const struct held *h)
{
	struct work *k = &it->work;

	it->view.changed = plan_is_known(&it->view, STEP_MACHINE);
	it->view.steps[STEP_IMAGE] = STEP_UNKNOWN; /* it may hold the one before */
	it->view.stale = 0;
	bandwidth_sync(it, w);
	public_sync(it, w);
	work_spec_clear(k);
	k->spec = w->zmachine;
	BUG_ON(secrets_fill(w->zmachine.env, h->secrets, &k->env));
	k->spec.env = k->env;
	k->spec.isolation = engine_isolation(n, &k->spec);
	if (joins_fill(k, h->deployment, w)) /* other links than it has, once it is down */
		step_again(it, STEP_NETWORK);
}

/* Its machines go on meanwhile. */
static void network_sync(struct item *it, const struct workload *w)
{
	step_again(it, STEP_NETWORK);
	json_unrefp(&it->work.data);
	it->work.net = w->network;
}

/* Applied once more it becomes what it shall be, under the machines that have it. */
static void storage_sync(struct item *it, const struct workload *w)
{
	step_again(it, STEP_STORAGE);
	json_unrefp(&it->work.data);
	it->work.volume = w->volume;
	it->work.zmount = w->zmount;
}

/* What runs is to run anew, once its storage is as it shall be. */
static void zdb_sync(struct item *it, const struct workload *w, const struct held *h)
{
	it->view.changed = plan_is_known(&it->view, STEP_MACHINE);
	storage_sync(it, w);
	it->work.zdb = w->zdb;
	if (joins_fill(&it->work, h->deployment, w))
		step_again(it, STEP_NETWORK);
}

/* Who is connected stays. */
static void gateway_sync(struct item *it, const struct workload *w, const struct held *h)
{
	item_again(it);
	json_unrefp(&it->work.data);
	joins_gateway_fill(&it->work, h->deployment, w);
}

/* Brings the item's copy of the spec up to date; only while no provider works on it. */
static void item_sync(struct engine *n, struct item *it, const struct workload *w, const struct held *h)
{
	AUTO_BUF struct buf text = { 0 };
	char revision[17];
	struct work *k = &it->work;

	if (it->sequence == h->deployment->sequence)
		return;
	it->sequence = h->deployment->sequence;
	placed_name(it, it->sequence);
	BUG_ON(changes_essence(w, &text) < 0);
	secrets_mark(&n->seal, w, h->secrets, &text);
	joins_mark(h->deployment, w, &text);
	BUG_ON(buf_check(&text));
	short_digest(buf_str(&text), 8, revision);
	if (!strcmp(revision, k->revision)) {
		item_renew(it, h);
		bandwidth_sync(it, w);
		public_sync(it, w);
		return;
	}
	it->view.attempts = 0;
	it->view.retry_at_ms = 0;
	it->error[0] = '\0';
	if (is_machine(it))
		machine_sync(n, it, w, h);
	else if (it->work.kind == WORKLOAD_ZDB)
		zdb_sync(it, w, h);
	else if (it->work.kind == WORKLOAD_NETWORK)
		network_sync(it, w);
	else if (it->view.kind == PLAN_GATEWAY)
		gateway_sync(it, w, h);
	else if (has_storage(it))
		storage_sync(it, w);
	else
		json_unrefp(&k->data); /* an ip has it for people alone */
	secrets_take(it, h);
	k->data = sd_json_variant_ref(w->data);
	memcpy(k->revision, revision, sizeof(revision));
	if (is_machine(it))
		resolved_load(n, it);
}

void engine_work_id(const struct key_pub *owner, const char *deployment, const char *name, char ret[static WORK_ID_LEN + 1])
{
	AUTO_BUF struct buf text = { 0 };
	char key[KEY_TEXT_SIZE];

	key_pub_format(key, owner);
	buf_addf(&text, "%s/%s/%s", key, deployment, name);
	BUG_ON(buf_check(&text));
	short_digest(buf_str(&text), WORK_ID_LEN / 2, ret);
}

static const enum plan_kind plan_kinds[] = {
	[WORKLOAD_ZMACHINE] = PLAN_MACHINE,     [WORKLOAD_VOLUME] = PLAN_STORAGE,
	[WORKLOAD_ZMOUNT] = PLAN_STORAGE,       [WORKLOAD_ZDB] = PLAN_STORE,
	[WORKLOAD_NETWORK] = PLAN_NETWORK,      [WORKLOAD_GATEWAY_NAME] = PLAN_GATEWAY,
	[WORKLOAD_GATEWAY_FQDN] = PLAN_GATEWAY, [WORKLOAD_IP] = PLAN_IP,
};

static struct item *item_new(struct engine *n, const struct deployment *d, const struct workload *w)
{
	struct item *it = calloc(1, sizeof(*it));

	BUG_ON(!it);
	engine_work_id(&d->owner, d->name, w->name, it->work.id);
	engine_work_id(&d->owner, d->name, "", it->work.family);
	it->work.owner = d->owner;
	it->work.deployment = strdup(d->name);
	it->work.name = strdup(w->name);
	it->work.machine.exit = -1;
	it->work.kind = w->kind;
	it->view = plan_begin(plan_kinds[w->kind]);
	hold_load(n, &it->work);
	if (has_storage(it))
		placed_load(n, it);
	if (it->view.kind == PLAN_IP)
		ips_load(n, it);
	it->work.is_drained = n->is_drained;
	BUG_ON(!it->work.deployment || !it->work.name);
	it->next = n->items;
	n->items = it;
	return it;
}

static void item_free(struct item *it)
{
	work_spec_clear(&it->work);
	free((char *)it->work.deployment);
	free((char *)it->work.name);
	free(it);
}

static void item_forget(struct engine *n, struct item *it)
{
	struct item **at = &n->items;

	while (*at != it)
		at = &(*at)->next;
	*at = it->next;
	engine_notify(n, it); /* whoever watches sees the deployment without it */
	if (it->view.kind == PLAN_IP) /* one more is free */
		engine_tell(n);
	item_free(it);
}

static enum plan_want want_of(const struct held *h, const struct workload *w)
{
	if (!w)
		return WANT_GONE;
	return h->deployment->expires_s && h->deployment->expires_s <= time(NULL) ? WANT_PAUSED : WANT_UP;
}

/* The image is there. */
static void image_ended(struct engine *n, struct item *it)
{
	if (!it->work.image.look_up)
		return;
	it->view.stale = 0;
	if (it->is_looking && strcmp(it->digest_before, it->work.image.digest))
		it->view.changed = 1;
	resolved_save(n, it);
}

static void step_ended(struct engine *n, struct item *it, int r, const struct err *e)
{
	struct plan_view *v = &it->view;

	for (int s = 0; s < STEPS; s++) {
		if (v->steps[s] != STEP_APPLYING && v->steps[s] != STEP_REMOVING)
			continue;
		if (r < 0) {
			v->attempts++;
			v->retry_at_ms = now_ms(n) + plan_backoff_ms(v->attempts, random_u64());
			snprintf(it->error, sizeof(it->error), "%s", e && e->msg[0] ? e->msg : strerror(-r));
			log_warn("%s/%s: %s failed, attempt %u: %s", it->work.deployment, it->work.name, n->providers[s]->name, v->attempts,
				 it->error);
			v->steps[s] = s == STEP_IMAGE && it->is_looking ? STEP_DONE : STEP_FAILED; /* what it has still holds */
			continue;
		}
		v->steps[s] = v->steps[s] == STEP_APPLYING ? STEP_DONE : STEP_ABSENT;
		it->error[0] = '\0';
		if (s == STEP_IMAGE && v->steps[s] == STEP_DONE)
			image_ended(n, it);
		if (s == STEP_IMAGE && n->images_changed)
			n->images_changed(n->images_ctx);
		if (s == STEP_MACHINE) {
			v->attempts = 0;
			v->changed = v->changed && v->steps[s] == STEP_DONE;
		}
	}
	it->is_looking = false;
	it->work.progress.what = NULL;
	if (it->is_again)
		item_again(it);
	engine_notify(n, it);
	pass_arm(n);
}

static void on_done(void *engine, struct work *w, int r, const struct err *e)
{
	step_ended(engine, container_of(w, struct item, work), r, e);
}

static void on_changed(void *engine, struct work *w)
{
	engine_notify(engine, container_of(w, struct item, work));
}

static void on_again(void *engine, struct work *w)
{
	struct item *it = container_of(w, struct item, work);

	item_again(it);
	engine_notify(engine, it);
	pass_arm(engine);
}

int engine_restore(struct engine *n, struct item *it, const char *snapshot, struct err *e)
{
	struct storage_result *s = &it->work.storage;
	int r;

	snprintf(s->restore, sizeof(s->restore), "%s", snapshot);
	if ((r = placed_keep(n, &it->work, e))) {
		s->restore[0] = '\0';
		return r;
	}
	on_again(n, &it->work);
	return 0;
}

static void order_do(struct engine *n, struct item *it, const struct plan_order *o)
{
	struct provider *p = n->providers[o->step];
	struct err e = { 0 };
	int r;

	it->is_looking = o->act == PLAN_APPLY && o->step == STEP_IMAGE && it->view.steps[STEP_IMAGE] == STEP_DONE;
	memcpy(it->digest_before, it->work.image.digest, sizeof(it->digest_before));
	if (is_machine(it) && o->step == STEP_NETWORK)
		ips_use(n, &it->work);
	it->work.image.look_up = it->is_looking || !it->work.image.digest[0];
	it->view.steps[o->step] = o->act == PLAN_APPLY ? STEP_APPLYING : STEP_REMOVING;
	if (o->act == PLAN_REMOVE && o->step == STEP_MACHINE)
		it->work.machine = (struct machine_result){ .exit = -1 };
	r = o->act == PLAN_APPLY ? p->ops->apply(p, &it->work, &e) : p->ops->remove(p, &it->work, &e);
	if (r == PROVIDER_BUSY)
		engine_notify(n, it);
	else
		step_ended(n, it, r, &e);
}

/* Takes over what its newest document says, unless a provider works on it. */
static void item_look(struct engine *n, struct item *it)
{
	const struct held *h = engine_held(n, &it->work.owner, it->work.deployment);
	const struct workload *w = wanted(n, it);

	if (is_busy(it))
		return;
	it->is_behind = false;
	it->view.want = want_of(h, w);
	if (w)
		item_sync(n, it, w, h);
	if (it->view.kind == PLAN_IP)
		ips_judge(n, it);
}

/* Does what comes next for one workload; returns when to look again, UINT64_MAX = when something changes. */
static uint64_t item_pass(struct engine *n, struct item *it)
{
	struct plan_order o;
	struct err e = { 0 };

	if (is_busy(it))
		return UINT64_MAX;
	it->view.blocked = ground_check(n, it);
	it->view.exclusive = it->work.storage.restore[0] != '\0';
	o = plan_next(&it->view, now_ms(n));
	switch (o.act) {
	case PLAN_APPLY:
	case PLAN_REMOVE:
		order_do(n, it, &o);
		break;
	case PLAN_WAIT:
		return o.until_ms;
	case PLAN_FORGET:
		if (hold_save(n, &it->work, WORK_RUNS, &e)) /* whoever comes next under this name begins anew */
			log_warn("%s", e.msg);
		if (n->providers[STEP_GATEWAY]->ops->forget && it->view.kind == PLAN_GATEWAY)
			n->providers[STEP_GATEWAY]->ops->forget(n->providers[STEP_GATEWAY], &it->work);
		log_info("%s/%s: gone", it->work.deployment, it->work.name);
		item_forget(n, it);
		break;
	case PLAN_NOTHING:
		break;
	}
	return UINT64_MAX;
}

/* Makes items for workloads that are wanted and have none yet. */
static void items_make(struct engine *n)
{
	for (struct held *h = n->held; h; h = h->next)
		for (size_t i = 0; i < h->deployment->n_workloads; i++)
			if (!engine_item(n, &h->deployment->owner, h->deployment->name, h->deployment->workloads[i].name))
				item_new(n, h->deployment, &h->deployment->workloads[i]);
}

/* When the next deployment expires, on the monotonic clock. */
static uint64_t next_expiry_ms(struct engine *n)
{
	int64_t now_s = time(NULL);
	uint64_t due = UINT64_MAX;

	for (struct held *h = n->held; h; h = h->next)
		if (h->deployment->n_workloads && h->deployment->expires_s > now_s) {
			uint64_t at = now_ms(n) + (uint64_t)(h->deployment->expires_s - now_s) * 1000;

			due = at < due ? at : due;
		}
	return due;
}

static int on_pass(sd_event_source *source, void *userdata)
{
	struct engine *n = userdata;
	uint64_t due;

	(void)source;
	items_make(n);
	due = next_expiry_ms(n);
	for (struct item *it = n->items; it; it = it->next) /* all before the first: they ask each other what they are on */
		item_look(n, it);
	for (struct item *it = n->items, *next; it; it = next) {
		uint64_t at;

		next = it->next;
		at = item_pass(n, it);
		due = at < due ? at : due;
	}
	if (due != UINT64_MAX) {
		sd_event_source_set_time(n->timer, due * 1000);
		sd_event_source_set_enabled(n->timer, SD_EVENT_ONESHOT);
	}
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	pass_arm(userdata);
	return 0;
}

void engine_take(struct engine *n, struct deployment *d, sd_json_variant *secrets)
{
	struct held *h = engine_held(n, &d->owner, d->name);

	if (!h) {
		h = calloc(1, sizeof(*h));
		BUG_ON(!h);
		h->next = n->held;
		n->held = h;
	}
	for (struct item *it = n->items; it; it = it->next)
		it->is_behind |= key_pub_eq(&it->work.owner, &d->owner) && !strcmp(it->work.deployment, d->name);
	deployment_free(h->deployment);
	json_unrefp(&h->secrets);
	h->deployment = d;
	h->secrets = secrets;
	capacity_sum(&n->capacity, n->held);
	pass_arm(n);
}

/* What was accepted before has been handed to the providers, which say what there is room for. */
void engine_flush(struct engine *n)
{
	int armed = 0;

	if (n->pass && sd_event_source_get_enabled(n->pass, &armed) > 0)
		on_pass(n->pass, n);
}

static int load_one(void *ctx, const char *name)
{
	struct engine *n = ctx;
	AUTO_DEPLOYMENT struct deployment *d = deployment_new();
	AUTO_JSON sd_json_variant *secrets = NULL;
	AUTO_BUF struct buf text = { 0 };
	struct err e = { 0 };
	uint64_t version;

	BUG_ON(!d);
	/* One that cannot be read must not keep the others from starting, and is left where it is. */
	if (store_get(&n->store, name, &version, &text, &e) || deployment_open_text(buf_str(&text), d, &e) ||
	    secrets_open(&n->seal, d, &secrets, &e)) {
		log_err("%s: %s", name, e.msg);
		return 0;
	}
	engine_take(n, take_ptr(d), take_ptr(secrets));
	return 0;
}

/* What their owners wished meanwhile, and where storage is. */
static void items_renew(struct engine *n)
{
	struct provider *p = n->providers[STEP_MACHINE];

	for (struct item *it = n->items; it; it = it->next) {
		enum work_hold before = work_hold_now(&it->work);
		struct err e = { 0 };

		if (has_storage(it) && !is_busy(it))
			placed_load(n, it);
		hold_load(n, &it->work);
		it->work.is_drained = n->is_drained;
		if (engine_runs(it) && work_hold_now(&it->work) != before && p->ops->hold && p->ops->hold(p, &it->work, &e))
			log_warn("%s/%s: %s", it->work.deployment, it->work.name, e.msg);
	}
}

int engine_join(struct engine *n, const char *dir, struct err *e)
{
	int r;

	if ((r = store_add(&n->store, dir, true, e)))
		return r;
	engine_farm_drop(n);
	if ((r = engine_farm_load(n, e)) || (r = engine_drain_load(n, e)) || (r = store_each(&n->store, "deployments", load_one, n, e)) ||
	    (r = placed_sweep(n, e))) {
		store_drop(&n->store, dir);
		return r;
	}
	items_renew(n);
	engine_configure(n);
	return 0;
}

static int identity_load(struct engine *n, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	char seed[KEY_SEED_SIZE];
	uint64_t version;
	int r = store_get(&n->store, "identity", &version, &text, e);

	if (r < 0)
		return r; /* damaged everywhere: coming up as somebody else would be worse than not coming up */
	if (r == STORE_ABSENT) {
		if (key_new(KEY_NODE, &n->identity))
			return err_set(e, -ENOMEM, "make an identity: out of memory");
		key_seed_format(seed, &n->identity);
		r = store_put(&n->store, "identity", 1, str_c(seed), e);
		explicit_bzero(seed, sizeof(seed));
		return r;
	}
	r = key_seed_parse(buf_str(&text), &n->identity);
	explicit_bzero(text.p, text.len);
	return r || n->identity.pub.role != KEY_NODE ? err_set(e, -EBADMSG, "the stored identity is no node's key") : 0;
}

static int sealing_load(struct engine *n, struct err *e)
{
	int r = seal_key_derive(&n->identity, &n->seal);

	return r ? err_set(e, r, "derive the key for secrets: %s", strerror(-r)) : 0;
}

void engine_configure(struct engine *n)
{
	for (int s = 0; s < STEPS; s++)
		if (n->providers[s]->ops->configure)
			n->providers[s]->ops->configure(n->providers[s], &n->identity.pub, n->farm);
	for (struct item *it = n->items; it; it = it->next)
		if (is_machine(it)) /* its links carry what the farm lets them */
			step_again(it, STEP_NETWORK);
	pass_arm(n);
	engine_tell(n);
}

static bool is_wanted(void *engine, const char *id)
{
	struct engine *n = engine;

	for (struct item *it = n->items; it; it = it->next)
		if (!strcmp(it->work.id, id))
			return true;
	return false;
}

void engine_images_moved(struct engine *n, bool is_lost)
{
	struct provider *p = n->providers[STEP_IMAGE];

	if (p->ops->sweep)
		p->ops->sweep(p, is_wanted);
	for (struct item *it = n->items; it; it = it->next) {
		it->view.changed |= is_lost && is_machine(it) && plan_is_known(&it->view, STEP_MACHINE);
		if (!is_machine(it) || (it->view.steps[STEP_IMAGE] != STEP_DONE && it->view.steps[STEP_IMAGE] != STEP_FAILED))
			continue;
		it->view.steps[STEP_IMAGE] = STEP_FAILED;
		it->view.retry_at_ms = 0;
	}
	pass_arm(n);
}

static void providers_attach(struct engine *n, struct provider *const providers[static STEPS])
{
	for (int s = 0; s < STEPS; s++) {
		n->providers[s] = providers[s];
		providers[s]->engine = n;
		providers[s]->done = on_done;
		providers[s]->changed = on_changed;
		providers[s]->again = on_again;
		providers[s]->keep = placed_keep;
		providers[s]->bury = placed_bury;
		providers[s]->is_buried = placed_is_buried;
		providers[s]->remember = kept_remember;
		providers[s]->recall = kept_recall;
	}
}

int engine_init(struct engine *ret, sd_event *event, const char *const *state_dirs, size_t n_dirs, bool durable,
		struct provider *const providers[static STEPS], struct err *e)
{
	struct engine *n = ret;
	int r;

	*n = (struct engine)ENGINE_NONE;
	n->event = sd_event_ref(event);
	providers_attach(n, providers);
	if ((r = store_open(&n->store, state_dirs, n_dirs, durable, e)) || (r = identity_load(n, e)) || (r = sealing_load(n, e)) ||
	    (r = engine_farm_load(n, e)) || (r = engine_drain_load(n, e)) || (r = capacity_measure(&n->capacity, e)) ||
	    (r = store_each(&n->store, "deployments", load_one, n, e)) || (r = placed_sweep(n, e)))
		return err_wrap(e, r, "start the engine");
	if ((r = sd_event_add_defer(event, &n->pass, on_pass, n)) < 0 ||
	    (r = sd_event_add_time(event, &n->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timer, n)) < 0)
		return err_set(e, r, "start the engine: %s", strerror(-r));
	items_make(n);
	engine_configure(n);
	for (int s = STEPS - 1; s >= 0; s--)
		if (providers[s]->ops->sweep)
			providers[s]->ops->sweep(providers[s], is_wanted);
	return 0;
}

void engine_deinit(struct engine *n)
{
	sd_event_source_disable_unref(n->pass);
	sd_event_source_disable_unref(n->timer);
	while (n->n_watchers)
		engine_unwatch(n, n->watchers[0].link);
	while (n->items)
		item_forget(n, n->items);
	while (n->held) {
		struct held *h = n->held;

		n->held = h->next;
		deployment_free(h->deployment);
		json_unrefp(&h->secrets);
		free(h);
	}
	engine_farm_drop(n);
	key_wipe(&n->identity);
	seal_key_wipe(&n->seal);
	store_close(&n->store);
	sd_event_unref(n->event);
	*n = (struct engine)ENGINE_NONE;
}
