/* Draining: the farm's wish over all that runs on its node. It lies beside the owners' wishes, which come true again
 * when it ends. */
#include "node/engine.h"

#define DRAIN_NAME "drain"

int engine_drain_load(struct engine *n, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	uint64_t version;
	int r = store_get(&n->store, DRAIN_NAME, &version, &text, e);

	n->is_drained = !r && str_eq(buf_str(&text), S("on"));
	return r < 0 ? err_wrap(e, r, "look whether this node is drained") : 0;
}

int engine_drain(struct engine *n, bool on, struct err *e)
{
	struct provider *p = n->providers[STEP_MACHINE];
	AUTO_BUF struct buf text = { 0 };
	uint64_t version = 0;
	int r = store_get(&n->store, DRAIN_NAME, &version, &text, e);

	if (r < 0 || (r = store_put(&n->store, DRAIN_NAME, version + 1, on ? S("on") : S("off"), e)))
		return err_wrap(e, -EIO, "keep whether this node is drained");
	n->is_drained = on;
	engine_tell(n);
	for (struct item *it = n->items; it; it = it->next) {
		struct err why = { 0 };

		it->work.is_drained = on;
		if (engine_runs(it) && p->ops->hold && p->ops->hold(p, &it->work, &why) && !r)
			r = err_set(e, -EIO, "%s/%s: %s", it->work.deployment, it->work.name, why.msg); /* the others all the same */
		engine_notify(n, it);
	}
	return r;
}
