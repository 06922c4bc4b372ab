#include "node/ips.h"

#include "base/log.h"
#include "base/parse.h"

#include <stdio.h>

static void record_path(const char *id, char ret[static STORE_NAME_MAX])
{
	snprintf(ret, STORE_NAME_MAX, "ips/%s", id);
}

static bool is_ip(const struct item *it)
{
	return it->work.kind == WORKLOAD_IP;
}

/* Items that are going have theirs until they are gone. */
static size_t taken(const struct engine *n, uint32_t ret[static ENGINE_WORKS_MAX])
{
	size_t count = 0;

	for (const struct item *it = n->items; it && count < ENGINE_WORKS_MAX; it = it->next)
		if (is_ip(it) && it->work.public.address)
			ret[count++] = it->work.public.address;
	return count;
}

static int pick(const struct pool *p, const char *id, const uint32_t *taken_by_others, size_t n, size_t at, uint32_t *ret, struct err *e)
{
	if (!pool_size(p))
		return err_set(
			e, -ENOSPC,
			"/workloads/%zu: this node has no public addresses for machines: take one that its farm gave some ('zos farm addresses')",
			at);
	if (pool_pick(p, id, taken_by_others, n, ret))
		return err_set(
			e, -ENOSPC,
			"/workloads/%zu: all %zu public addresses of this node are in use: take another node, or delete an ip that you need no more",
			at, pool_size(p));
	return 0;
}

int ips_admit(struct engine *n, const struct deployment *d, uint32_t ret[static DEPLOYMENT_WORKLOADS_MAX], struct err *e)
{
	uint32_t others[ENGINE_WORKS_MAX + DEPLOYMENT_WORKLOADS_MAX];
	size_t n_others = taken(n, others);
	struct pool p;
	int r = 0;

	farm_pool(n->farm, &n->identity.pub, &p);
	for (size_t i = 0; i < d->n_workloads && !r; i++) {
		const struct workload *w = &d->workloads[i];
		const struct item *it = w->kind == WORKLOAD_IP ? engine_item(n, &d->owner, d->name, w->name) : NULL;
		char id[WORK_ID_LEN + 1];

		if (w->kind != WORKLOAD_IP || (it && is_ip(it)))
			continue;
		engine_work_id(&d->owner, d->name, w->name, id);
		if (!(r = pick(&p, id, others, n_others, i, &ret[i], e)))
			others[n_others++] = ret[i];
	}
	return r;
}

int ips_keep(struct engine *n, const struct deployment *d, const struct workload *w, uint32_t address, struct err *e)
{
	char id[WORK_ID_LEN + 1], path[STORE_NAME_MAX], text[IP4_TEXT_SIZE];
	AUTO_BUF struct buf old = { 0 };
	uint64_t version = 0;
	int r;

	engine_work_id(&d->owner, d->name, w->name, id);
	record_path(id, path);
	format_ip4(text, address);
	r = store_get(&n->store, path, &version, &old, e);
	return r < 0 ? r : store_put(&n->store, path, version + 1, str_c(text), e);
}

static bool is_given(const struct engine *n, uint32_t address)
{
	struct pool p;

	farm_pool(n->farm, &n->identity.pub, &p);
	return pool_has(&p, address);
}

void ips_judge(const struct engine *n, struct item *it)
{
	it->error[0] = '\0';
	if (!it->work.public.address)
		snprintf(it->error, sizeof(it->error), "which address it has cannot be read: delete it, and deploy it again");
	else if (!is_given(n, it->work.public.address))
		snprintf(it->error, sizeof(it->error),
			 "the farm has taken this address back from the node: delete it, and deploy it again for another");
}

void ips_load(struct engine *n, struct item *it)
{
	AUTO_BUF struct buf text = { 0 };
	char path[STORE_NAME_MAX];
	struct err e = { 0 };
	uint64_t version;

	record_path(it->work.id, path);
	if (store_get(&n->store, path, &version, &text, &e) || parse_ip4(buf_str(&text), &it->work.public.address)) {
		it->work.public.address = 0;
		log_err("%s/%s: its address is not in the state: %s", it->work.deployment, it->work.name, e.msg);
	}
	engine_tell(n); /* one less is free */
}

static const struct item *ip_find(const struct engine *n, const char *id)
{
	for (const struct item *it = n->items; it; it = it->next)
		if (is_ip(it) && !strcmp(it->work.id, id))
			return it;
	return NULL;
}

void ips_use(struct engine *n, struct work *w)
{
	const struct farm_addresses *a = n->farm ? farm_addresses_find(n->farm, &n->identity.pub) : NULL;
	const struct item *ip = ip_find(n, w->public.ip);

	w->public.address = ip && is_given(n, ip->work.public.address) ? ip->work.public.address : 0;
	snprintf(w->public.card, sizeof(w->public.card), "%s", a ? a->card : "");
}

const struct item *ips_machine(const struct engine *n, const char *id)
{
	for (const struct item *it = n->items; it; it = it->next)
		if (it->view.kind == PLAN_MACHINE && !strcmp(it->work.public.ip, id))
			return it;
	return NULL;
}

struct ips_count ips_count(const struct engine *n)
{
	struct ips_count c = { 0 };
	struct pool p;

	farm_pool(n->farm, &n->identity.pub, &p);
	c.all = pool_size(&p);
	for (const struct item *it = n->items; it; it = it->next)
		c.used += is_ip(it) && pool_has(&p, it->work.public.address);
	return c;
}
