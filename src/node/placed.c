#include "node/placed.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>

#define PLACED "placed"
#define BURIED "buried"

static const char *const stage_names[] = { [STORAGE_CHOSEN] = "chosen", [STORAGE_MADE] = "made", NULL };

/* "STAGE DISK NAME OWNER DEPLOYMENT WORKLOAD", and RESTORE while that is to be done; an empty value is nowhere. */
struct placed {
	enum storage_stage stage;
	struct str disk, name, owner, deployment, workload, restore;
};

static int decode(struct str text, struct placed *ret)
{
	struct str stage;

	*ret = (struct placed){ .stage = STORAGE_NOWHERE };
	if (!text.n)
		return 0;
	if (!str_next(&text, ' ', &stage) || !str_next(&text, ' ', &ret->disk) || !str_next(&text, ' ', &ret->name) ||
	    !str_next(&text, ' ', &ret->owner) || !str_next(&text, ' ', &ret->deployment) || !str_next(&text, ' ', &ret->workload))
		return -EBADMSG;
	if (text.p && (!str_next(&text, ' ', &ret->restore) || text.p || !ret->restore.n || ret->restore.n >= STORAGE_SNAPSHOT_SIZE))
		return -EBADMSG;
	for (unsigned i = STORAGE_CHOSEN; stage_names[i]; i++)
		if (str_eq(stage, str_c(stage_names[i])))
			ret->stage = i;
	return ret->stage == STORAGE_NOWHERE || !ret->disk.n || ret->disk.n >= STORAGE_UUID_SIZE || !ret->name.n || ret->name.n >= STORAGE_NAME_SIZE
		       ? -EBADMSG
		       : 0;
}

static void placed_path(const char *id, char ret[static STORE_NAME_MAX])
{
	snprintf(ret, STORE_NAME_MAX, PLACED "/%s", id);
}

static void buried_path(const char *disk, const char *name, char ret[static STORE_NAME_MAX])
{
	snprintf(ret, STORE_NAME_MAX, BURIED "/%s/%s", disk, name);
}

static int load(struct engine *n, const char *id, struct buf *text, struct placed *ret, struct err *e)
{
	char path[STORE_NAME_MAX];
	uint64_t version;
	int r;

	placed_path(id, path);
	r = store_get(&n->store, path, &version, text, e);
	if (r == STORE_ABSENT)
		r = 0;
	if (!r && decode(buf_str(text), ret))
		r = err_set(e, -EBADMSG, "%s is not what this version writes", path);
	return r;
}

void placed_load(struct engine *n, struct item *it)
{
	struct storage_result *s = &it->work.storage;
	AUTO_BUF struct buf text = { 0 };
	struct placed p;
	struct err e = { 0 };

	if (load(n, it->work.id, &text, &p, &e)) {
		log_err("%s/%s: %s", it->work.deployment, it->work.name, e.msg);
		s->stage = STORAGE_UNKNOWN;
		return;
	}
	s->stage = p.stage;
	snprintf(s->disk, sizeof(s->disk), STR_FMT, STR_ARG(p.disk));
	snprintf(s->name, sizeof(s->name), STR_FMT, STR_ARG(p.name));
	snprintf(s->restore, sizeof(s->restore), STR_FMT, STR_ARG(p.restore));
}

static void name_make(struct work *w, uint64_t sequence)
{
	snprintf(w->storage.name, sizeof(w->storage.name), "%s.%" PRIu64, w->id, sequence);
}

void placed_name(struct item *it, uint64_t sequence)
{
	if (it->work.storage.stage == STORAGE_NOWHERE)
		name_make(&it->work, sequence);
}

/* The next version of PATH. */
static int put(struct engine *n, const char *path, struct str value, struct err *e)
{
	AUTO_BUF struct buf old = { 0 };
	uint64_t version = 0;
	int r = store_get(&n->store, path, &version, &old, e);

	return r < 0 ? r : store_put(&n->store, path, version + 1, value, e);
}

int placed_keep(void *engine, struct work *w, struct err *e)
{
	const struct storage_result *s = &w->storage;
	AUTO_BUF struct buf text = { 0 };
	char path[STORE_NAME_MAX], owner[KEY_TEXT_SIZE];
	int r;

	BUG_ON(s->stage == STORAGE_UNKNOWN);
	key_pub_format(owner, &w->owner);
	if (s->stage != STORAGE_NOWHERE)
		buf_addf(&text, "%s %s %s %s %s %s%s%s", stage_names[s->stage], s->disk, s->name, owner, w->deployment, w->name,
			 s->restore[0] ? " " : "", s->restore);
	placed_path(w->id, path);
	r = buf_check(&text) ? err_set(e, -ENOMEM, "out of memory") : put(engine, path, buf_str(&text), e);
	return err_wrap(e, r, "remember where '%s' is", w->name);
}

int placed_choose(struct engine *n, const struct deployment *d, const struct workload *w, const char *disk, struct err *e)
{
	struct work k = { .owner = d->owner, .deployment = d->name, .name = w->name, .storage.stage = STORAGE_CHOSEN };

	engine_work_id(&d->owner, d->name, w->name, k.id);
	snprintf(k.storage.disk, sizeof(k.storage.disk), "%s", disk);
	name_make(&k, d->sequence);
	return placed_keep(n, &k, e);
}

static int bury(struct engine *n, const char *id, const char *disk, const char *name, struct err *e)
{
	char path[STORE_NAME_MAX];
	int r;

	buried_path(disk, name, path);
	if ((r = put(n, path, S("remove"), e)))
		return r;
	placed_path(id, path);
	return put(n, path, S(""), e);
}

int placed_bury(void *engine, struct work *w, struct err *e)
{
	struct storage_result *s = &w->storage;
	int r = bury(engine, w->id, s->disk, s->name, e);

	if (r)
		return err_wrap(e, r, "remember that '%s' is to go when its disk comes", w->name);
	s->stage = STORAGE_NOWHERE;
	s->disk[0] = '\0';
	return 0;
}

bool placed_is_buried(void *engine, const char *disk, const char *name)
{
	struct engine *n = engine;
	AUTO_BUF struct buf text = { 0 };
	char path[STORE_NAME_MAX];
	uint64_t version;

	buried_path(disk, name, path);
	return !store_get(&n->store, path, &version, &text, NULL);
}

static bool is_named(struct engine *n, const struct placed *p, bool *ret_is_held)
{
	char deployment[64], workload[64];
	struct key_pub owner;
	const struct held *h = NULL;

	snprintf(deployment, sizeof(deployment), STR_FMT, STR_ARG(p->deployment));
	snprintf(workload, sizeof(workload), STR_FMT, STR_ARG(p->workload));
	if (!key_pub_parse(p->owner, &owner))
		h = engine_held(n, &owner, deployment);
	*ret_is_held = h;
	return h && deployment_workload(h->deployment, workload);
}

static int sweep_one(void *ctx, const char *path)
{
	struct engine *n = ctx;
	const char *id = path + strlen(PLACED "/");
	char disk[STORAGE_UUID_SIZE], name[STORAGE_NAME_SIZE];
	AUTO_BUF struct buf text = { 0 };
	struct err e = { 0 };
	struct placed p;
	bool is_held;

	if (load(n, id, &text, &p, &e)) {
		log_err("%s", e.msg);
		return 0;
	}
	if (p.stage == STORAGE_NOWHERE || is_named(n, &p, &is_held) || !is_held)
		return 0;
	snprintf(disk, sizeof(disk), STR_FMT, STR_ARG(p.disk));
	snprintf(name, sizeof(name), STR_FMT, STR_ARG(p.name));
	log_info("%s goes from disk %s: it was deleted", name, disk);
	if (bury(n, id, disk, name, &e))
		log_err("%s", e.msg);
	return 0;
}

int placed_sweep(struct engine *n, struct err *e)
{
	return store_each(&n->store, PLACED, sweep_one, n, e);
}
