#include "node/kept.h"

#include <stdio.h>

static void kept_path(const char *name, char ret[static STORE_NAME_MAX])
{
	snprintf(ret, STORE_NAME_MAX, "gateway/%s", name);
}

int kept_remember(void *engine, const char *name, struct str value, struct err *e)
{
	AUTO_SECRET struct buf old = { 0 };
	struct engine *n = engine;
	char path[STORE_NAME_MAX];
	uint64_t version = 0;
	int r;

	kept_path(name, path);
	r = store_get(&n->store, path, &version, &old, e);
	return r < 0 ? r : store_put(&n->store, path, version + 1, value, e);
}

int kept_recall(void *engine, const char *name, struct buf *ret, struct err *e)
{
	struct engine *n = engine;
	char path[STORE_NAME_MAX];
	uint64_t version;
	int r;

	kept_path(name, path);
	r = store_get(&n->store, path, &version, ret, e);
	return r == STORE_ABSENT ? PROVIDER_ABSENT : r;
}
