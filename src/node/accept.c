/* Whether a deployment is taken: everything that is looked at before the yes, and what is kept before it is said. */
#include "node/changes.h"
#include "node/engine.h"
#include "node/ips.h"
#include "node/placed.h"
#include "node/secrets.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>

static int order_of_sequences(struct engine *n, const struct deployment *d, const struct held *old, struct err *e)
{
	char text[KEY_TEXT_SIZE];

	if (!key_pub_eq(&d->node, &n->identity.pub)) {
		key_pub_format(text, &d->node);
		return err_set(e, -EXDEV, "/node: the deployment is meant for %s", text);
	}
	if (old && d->sequence <= old->deployment->sequence)
		return err_set(e, -ESTALE, "/sequence: %" PRIu64 " is not above %" PRIu64 ", the last one taken for '%s'", d->sequence,
			       old->deployment->sequence, d->name);
	return 0;
}

/* A machine's link to the node is of another kind for each isolation. */
static const char *machine_change(const struct engine *n, const struct workload *now, const struct workload *before)
{
	return engine_isolation(n, &now->zmachine) == engine_isolation(n, &before->zmachine) ? NULL : "isolation";
}

static const char *volume_change(const struct engine *n, const struct workload *now, const struct workload *before)
{
	(void)n;
	return now->volume.class == before->volume.class ? NULL : "class";
}

static const char *zmount_change(const struct engine *n, const struct workload *now, const struct workload *before)
{
	(void)n;
	if (now->zmount.format != before->zmount.format)
		return "format";
	return now->zmount.class == before->zmount.class ? NULL : "class";
}

static const char *zdb_change(const struct engine *n, const struct workload *now, const struct workload *before)
{
	(void)n;
	if (now->zdb.mode != before->zdb.mode)
		return "mode";
	return now->zdb.class == before->zdb.class ? NULL : "class";
}

/* Machines have addresses in it. */
static const char *network_change(const struct engine *n, const struct workload *now, const struct workload *before)
{
	const struct network *a = &now->network, *b = &before->network;

	(void)n;
	if (a->subnet.address != b->subnet.address || a->subnet.prefix != b->subnet.prefix)
		return "subnet";
	if (a->range.address != b->range.address || a->range.prefix != b->range.prefix)
		return "range";
	if (memcmp(a->subnet6.address, b->subnet6.address, 16))
		return "subnet6";
	return memcmp(a->range6.address, b->range6.address, 16) || a->range6.prefix != b->range6.prefix ? "range6" : NULL;
}

/* It is one owner's because it is one workload's. */
static const char *gateway_change(const struct engine *n, const struct workload *now, const struct workload *before)
{
	const struct gateway *a = &now->gateway, *b = &before->gateway;

	(void)n;
	if (a->name && strcmp(a->name, b->name))
		return "name";
	return a->fqdn && strcmp(a->fqdn, b->fqdn) ? "fqdn" : NULL;
}

/* Which it is was never its owner's choice. */
static const char *ip_change(const struct engine *n, const struct workload *now, const struct workload *before)
{
	(void)n;
	(void)now;
	(void)before;
	return NULL;
}

/* The field that cannot become what it is in NOW while BEFORE is there; NULL = all can. */
static const char *(*const changes[])(const struct engine *n, const struct workload *now, const struct workload *before) = {
	[WORKLOAD_ZMACHINE] = machine_change,     [WORKLOAD_VOLUME] = volume_change,
	[WORKLOAD_ZMOUNT] = zmount_change,        [WORKLOAD_ZDB] = zdb_change,
	[WORKLOAD_NETWORK] = network_change,      [WORKLOAD_GATEWAY_NAME] = gateway_change,
	[WORKLOAD_GATEWAY_FQDN] = gateway_change, [WORKLOAD_IP] = ip_change,
};

static int change_check(const struct engine *n, const struct deployment *d, const struct held *old, struct err *e)
{
	for (size_t i = 0; old && i < d->n_workloads; i++) {
		const struct workload *now = &d->workloads[i], *before = deployment_workload(old->deployment, now->name);
		const char *field = NULL;

		if (!before)
			continue;
		if (now->kind != before->kind)
			return err_set(e, -EBADMSG, "/workloads/%zu/type: '%s' is a %s: delete it first, or give the new one another name", i,
				       now->name, before->type);
		if ((field = changes[now->kind](n, now, before)))
			return err_set(e, -EBADMSG,
				       "/workloads/%zu/data/%s: cannot change while '%s' is there: delete it first, or give the new one another name",
				       i, field, now->name);
	}
	return 0;
}

/* For each workload of a deployment the disk that it is to be made on, "" = none, and the public address that it is to be, 0 = none, or it is one. */
struct places {
	char disks[DEPLOYMENT_WORKLOADS_MAX][STORAGE_UUID_SIZE];
	uint32_t addresses[DEPLOYMENT_WORKLOADS_MAX];
};

static int admit(struct engine *n, const struct deployment *d, const struct deployment *old, struct places *ret, struct err *e)
{
	int r = ips_admit(n, d, ret->addresses, e);

	for (int s = 0; s < STEPS && !r; s++)
		if (n->providers[s]->ops->admit)
			r = n->providers[s]->ops->admit(n->providers[s], d, old, ret->disks, e);
	return r;
}

static int limits_check(struct engine *n, const struct deployment *d, const struct held *old, struct err *e)
{
	const struct farm_allow *allow = n->farm ? farm_allow_find(n->farm, &d->owner) : NULL;
	size_t count = 0;
	int r = capacity_check(&n->capacity, d, old ? old->deployment : NULL, e);

	for (struct held *h = n->held; h; h = h->next)
		count++;
	if (!r && !old && count >= ENGINE_DEPLOYMENTS_MAX)
		return err_set(e, -ENOSPC, "this node holds %d deployments already", ENGINE_DEPLOYMENTS_MAX);
	if (r || !allow)
		return r;
	return capacity_check_share(allow, n->held, d, old ? old->deployment : NULL, e);
}

static void store_name(const struct deployment *d, char ret[static STORE_NAME_MAX])
{
	char owner[KEY_TEXT_SIZE];

	key_pub_format(owner, &d->owner);
	snprintf(ret, STORE_NAME_MAX, "deployments/%s/%s", owner, d->name);
}

/* The one at which OTHER publishes what W does; NULL = it does not. */
static const struct workload *publisher(const struct deployment *other, const struct workload *w)
{
	const char *mine = w->gateway.name ? w->gateway.name : w->gateway.fqdn;

	for (size_t i = 0; i < other->n_workloads; i++) {
		const struct gateway *g = &other->workloads[i].gateway;

		if (other->workloads[i].kind == w->kind && !strcmp(g->name ? g->name : g->fqdn, mine))
			return &other->workloads[i];
	}
	return NULL;
}

/* A public name is whose it was first, for as long as that is deployed. */
static int names_check(const struct engine *n, const struct deployment *d, const struct held *old, struct err *e)
{
	for (size_t i = 0; i < d->n_workloads; i++)
		for (const struct held *h = workload_is_gateway(d->workloads[i].kind) ? n->held : NULL; h; h = h->next)
			if (h != old && publisher(h->deployment, &d->workloads[i]))
				return err_set(e, -EEXIST, "/workloads/%zu/data: the name is published already, by another deployment", i);
	return 0;
}

/* All that is looked at before a yes. */
static int judge(struct engine *n, const struct key_pub *caller, sd_json_variant *envelope, struct deployment *d, sd_json_variant **ret_secrets,
		 struct places *ret_places, struct err *e)
{
	const struct held *old;
	int r = deployment_open(envelope, d, e);

	if (r)
		return r;
	engine_flush(n);
	old = engine_held(n, &d->owner, d->name);
	if (!key_pub_eq(caller, &d->owner))
		return err_set(e, -EACCES, "/owner: a deployment is brought by its owner, and this session is another's");
	if (n->is_drained && d->n_workloads)
		return err_set(e, -EBUSY, "the farm is draining this node: take another one, or wait until it is back (a deployment can be deleted)");
	if ((r = order_of_sequences(n, d, old, e)) || (old && (r = deployment_meets(d, &old->deployment->signers, e))) ||
	    (r = change_check(n, d, old, e)) || (r = names_check(n, d, old, e)) || (r = limits_check(n, d, old, e)) ||
	    (r = admit(n, d, old ? old->deployment : NULL, ret_places, e)))
		return r;
	r = secrets_open(&n->seal, d, ret_secrets, e);
	return r ? r : secrets_fit(d, *ret_secrets, e);
}

int engine_check(struct engine *n, const struct key_pub *caller, sd_json_variant *envelope, sd_json_variant **ret_changes, struct err *e)
{
	AUTO_DEPLOYMENT struct deployment *d = deployment_new();
	AUTO_JSON sd_json_variant *secrets = NULL;
	struct places places = { 0 };
	const struct held *old;
	int r;

	BUG_ON(!d);
	if ((r = judge(n, caller, envelope, d, &secrets, &places, e)))
		return r;
	old = engine_held(n, &d->owner, d->name);
	if (changes_build(old, &(struct held){ .deployment = d, .secrets = secrets }, ret_changes))
		return err_set(e, -EIO, "compare: out of memory");
	return 0;
}

int engine_document(struct engine *n, const struct held *h, sd_json_variant **ret, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	char name[STORE_NAME_MAX];
	uint64_t version;
	int r;

	store_name(h->deployment, name);
	r = store_get(&n->store, name, &version, &text, e);
	if (r == STORE_ABSENT)
		return err_set(e, -EIO, "the document of '%s' is on no disk that is here: 'zos node disks' says what is missing",
			       h->deployment->name);
	return r ? r : json_parse(buf_str(&text), ret, e);
}

/* Before the document: on whichever disk that is, there is also where its storage was to be. What an older document is leaving behind under
 * the same name is not over yet, and finds its place when it is. */
static int places_keep(struct engine *n, const struct deployment *d, const struct places *places, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < d->n_workloads && !r; i++) {
		if (places->disks[i][0] && !engine_item(n, &d->owner, d->name, d->workloads[i].name))
			r = placed_choose(n, d, &d->workloads[i], places->disks[i], e);
		if (!r && places->addresses[i])
			r = ips_keep(n, d, &d->workloads[i], places->addresses[i], e);
	}
	return r;
}

int engine_deploy(struct engine *n, const struct key_pub *caller, sd_json_variant *envelope, uint64_t *ret_sequence, struct err *e)
{
	AUTO_DEPLOYMENT struct deployment *d = deployment_new();
	AUTO_JSON sd_json_variant *secrets = NULL;
	AUTO_BUF struct buf text = { 0 };
	struct places places = { 0 };
	char name[STORE_NAME_MAX];
	int r;

	BUG_ON(!d);
	if ((r = judge(n, caller, envelope, d, &secrets, &places, e)))
		return r;
	if (json_format(envelope, &text))
		return err_set(e, -EIO, "write the deployment: out of memory");
	if ((r = places_keep(n, d, &places, e)))
		return err_set(e, -EIO, "keep the deployment: %s", e->msg);
	store_name(d, name);
	if ((r = store_put(&n->store, name, d->sequence, buf_str(&text), e)))
		return err_set(e, -EIO, "keep the deployment: %s", e->msg);
	*ret_sequence = d->sequence;
	log_info("deployment %s sequence %" PRIu64 " with %zu workloads accepted", d->name, d->sequence, d->n_workloads);
	engine_take(n, take_ptr(d), take_ptr(secrets));
	engine_tell(n);
	return 0;
}
