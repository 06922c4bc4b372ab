/* Volumes and disks under the engine, and the machines that mount them. */
#include "node/engine_test.h"
#include "node/placed.h"

#define VOLUME(name, size) "{\"name\":\"" name "\",\"type\":\"volume\",\"data\":{\"size\":" size "}}"
#define BOX(name, mounts)                                                                                                                         \
	"{\"name\":\"" name "\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web:1\",\"cpu\":1,\"memory\":67108864,\"isolation\":\"container\"," \
	"\"mounts\":[" mounts "]}}"
#define ON(name, path) "{\"name\":\"" name "\",\"path\":\"" path "\"}"

/* Where WHAT stands in the log; -1 = nowhere. */
static long at(const struct fixture *f, const char *what)
{
	const char *p = f->log.len ? strstr(f->log.p, what) : NULL;

	return p ? p - f->log.p : -1;
}

static void storage_comes_first_and_goes_last(void)
{
	struct fixture f;
	struct err e = { 0 };
	struct item *it;

	up(&f);
	T_CHECK(!deploy(&f, 1, "", BOX("web", ON("data", "/srv")) "," VOLUME("data", "104857600"), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(at(&f, "apply storage data") >= 0 && at(&f, "apply storage data") < at(&f, "apply machine web"), "%s", f.log.p);
	T_CHECK(at(&f, "storage web") < 0 && at(&f, "machine data") < 0 && at(&f, "image data") < 0, "each has its own steps: %s", f.log.p);
	T_CHECK(!strcmp(state_of(&f, "web"), "ok") && !strcmp(state_of(&f, "data"), "ok"), "both");
	it = engine_item(&f.engine, &f.owner.pub, "site", "web");
	T_CHECK(it && !strcmp(it->work.sources[0], "/fake/data") && !it->work.formats[0], "the machine is told where it is");
	T_CHECK(f.engine.capacity.used_memory_bytes == 64 << 20, "a volume takes no memory");

	log_clear(&f);
	T_CHECK(!deploy(&f, 2, "", "", &e), "%s", e.msg);
	settle(&f);
	T_CHECK(at(&f, "remove machine web") >= 0 && at(&f, "remove machine web") < at(&f, "remove storage data"), "%s", f.log.p);
	T_CHECK(!strcmp(state(&f), "none"), "%s", state(&f));
	down(&f);
}

/* Its disk is late: its machine waits, others run; the disk goes: its machine stops, and nothing is removed; it comes: all is as before. */
static void a_machine_waits_for_a_disk(void)
{
	struct fixture f;
	struct err e = { 0 };
	struct item *data;

	up(&f);
	f.fakes[STEP_STORAGE].no_disk = true;
	T_CHECK(!deploy(&f, 1, "", BOX("web", ON("data", "/srv")) "," BOX("other", "") "," VOLUME("data", "104857600"), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(state_of(&f, "data"), "waiting") && !strcmp(state_of(&f, "web"), "waiting"), "%s", state_of(&f, "web"));
	T_CHECK(!strcmp(state_of(&f, "other"), "ok"), "what needs no disk runs: %s", state_of(&f, "other"));
	f.fakes[STEP_STORAGE].no_disk = false;
	T_NEED((data = engine_item(&f.engine, &f.owner.pub, "site", "data")), "item");
	f.providers[STEP_STORAGE]->again(&f.engine, &data->work);
	settle(&f);
	T_CHECK(!strcmp(state_of(&f, "data"), "ok") && !strcmp(state_of(&f, "web"), "ok"), "at once: %s", state_of(&f, "web"));
	snprintf(data->work.storage.trouble, sizeof(data->work.storage.trouble), "2 blocks are wrong");
	T_CHECK(!strcmp(state_of(&f, "data"), "degraded") && !strcmp(state_of(&f, "web"), "ok"), "its disk has errors: %s", state_of(&f, "data"));
	data->work.storage.trouble[0] = '\0';

	log_clear(&f);
	f.fakes[STEP_STORAGE].no_disk = true;
	data->work.storage.path[0] = '\0';
	f.providers[STEP_STORAGE]->again(&f.engine, &data->work);
	settle(&f);
	T_CHECK(!strcmp(state_of(&f, "web"), "waiting") && at(&f, "remove machine web") >= 0 && at(&f, "remove storage") < 0, "%s", f.log.p);
	T_CHECK(at(&f, "other") < 0, "the other one is not touched: %s", f.log.p);
	f.fakes[STEP_STORAGE].no_disk = false;
	f.providers[STEP_STORAGE]->again(&f.engine, &data->work);
	settle(&f);
	T_CHECK(!strcmp(state_of(&f, "web"), "ok"), "%s", state_of(&f, "web"));
	down(&f);
}

/* A volume that an update drops is gone only after the machine that had it; one that grows does so under it. */
static void an_update_takes_nothing_from_under_a_machine(void)
{
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	T_CHECK(!deploy(&f, 1, "", BOX("web", ON("data", "/srv")) "," VOLUME("data", "104857600"), &e), "%s", e.msg);
	settle(&f);
	log_clear(&f);
	T_CHECK(!deploy(&f, 2, "", BOX("web", ON("data", "/srv")) "," VOLUME("data", "209715200"), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "apply storage data;apply image web;") || !strcmp(f.log.p, "apply image web;apply storage data;"), "%s", f.log.p);

	log_clear(&f);
	f.fakes[STEP_IMAGE].later = true; /* the new machine's image is long in coming */
	T_CHECK(!deploy(&f, 3, "", BOX("web", ""), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(at(&f, "remove") < 0, "the old machine has it still: %s", f.log.p);
	f.fakes[STEP_IMAGE].later = false;
	f.providers[STEP_IMAGE]->done(&f.engine, f.fakes[STEP_IMAGE].busy, 0, NULL);
	settle(&f);
	T_CHECK(at(&f, "remove machine web") >= 0 && at(&f, "remove machine web") < at(&f, "remove storage data"), "%s", f.log.p);
	T_CHECK(!strcmp(state_of(&f, "web"), "ok") && !strcmp(state_of(&f, "data"), "none"), "%s", state_of(&f, "data"));
	down(&f);
}

/* The file in which it is remembered where the volume is. */
static void placed_file(struct fixture *f, char ret[static 128])
{
	struct item *it = engine_item(&f->engine, &f->owner.pub, "site", "data");

	T_NEED(it, "item");
	snprintf(ret, 128, "%s/placed/%s", f->dir, it->work.id);
}

static void restart(struct fixture *f)
{
	engine_deinit(&f->engine);
	log_clear(f);
	engine_up(f);
	settle(f);
}

static void a_restart_knows_where_it_is(void)
{
	struct fixture f;
	struct err e = { 0 };
	struct item *it;
	char name[STORAGE_NAME_SIZE], file[128];

	up(&f);
	T_NEED(!deploy(&f, 1, "", VOLUME("data", "104857600"), &e), "%s", e.msg);
	settle(&f);
	it = engine_item(&f.engine, &f.owner.pub, "site", "data");
	T_NEED(it && strstr(it->work.storage.name, ".1"), "named after its first document");
	memcpy(name, it->work.storage.name, sizeof(name));
	T_CHECK(!deploy(&f, 2, "", VOLUME("data", "209715200"), &e), "%s", e.msg);
	restart(&f);
	it = engine_item(&f.engine, &f.owner.pub, "site", "data");
	T_CHECK(it && it->work.storage.stage == STORAGE_MADE && !strcmp(it->work.storage.disk, "disk-1") && !strcmp(it->work.storage.name, name),
		"%s", it ? it->work.storage.name : "");

	T_NEED(!deploy(&f, 3, "", "", &e), "%s", e.msg);
	settle(&f);
	T_NEED(!deploy(&f, 4, "", VOLUME("data", "104857600"), &e), "%s", e.msg);
	settle(&f);
	it = engine_item(&f.engine, &f.owner.pub, "site", "data");
	T_CHECK(it && strstr(it->work.storage.name, ".4"), "another one has another name: %s", it ? it->work.storage.name : "");

	placed_file(&f, file);
	T_NEED(!file_save(AT_FDCWD, file, S("nonsense"), 0600, &e), "%s", e.msg);
	restart(&f);
	it = engine_item(&f.engine, &f.owner.pub, "site", "data");
	T_CHECK(it && it->work.storage.stage == STORAGE_UNKNOWN && !strcmp(state_of(&f, "data"), "retrying"), "%s", state_of(&f, "data"));
	down(&f);
}

/* With the document, before the yes: a node that goes down at once does not look for another place when it comes back without that disk. */
static void its_place_is_kept_with_the_document(void)
{
	struct fixture f;
	struct err e = { 0 };
	struct item *it;

	up(&f);
	T_NEED(!deploy(&f, 1, "", VOLUME("data", "104857600"), &e), "%s", e.msg);
	f.fakes[STEP_STORAGE].no_disk = true;
	restart(&f);
	it = engine_item(&f.engine, &f.owner.pub, "site", "data");
	T_CHECK(it && it->work.storage.stage == STORAGE_CHOSEN && !strcmp(it->work.storage.disk, "disk-1"), "chosen");
	T_CHECK(!strcmp(state_of(&f, "data"), "waiting"), "%s", state_of(&f, "data"));
	down(&f);
}

/* Deleted, and the node goes down before it is gone, or its disk is away: it is buried, for when its disk comes. */
static void what_was_being_deleted_is_buried(void)
{
	struct fixture f;
	struct err e = { 0 };
	char name[STORAGE_NAME_SIZE];

	for (int away = 0; away < 2; away++) {
		up(&f);
		T_NEED(!deploy(&f, 1, "", VOLUME("data", "104857600"), &e), "%s", e.msg);
		settle(&f);
		memcpy(name, engine_item(&f.engine, &f.owner.pub, "site", "data")->work.storage.name, sizeof(name));
		T_CHECK(!placed_is_buried(&f.engine, "disk-1", name), "not yet");
		f.fakes[STEP_STORAGE].no_disk = away;
		T_NEED(!deploy(&f, 2, "", "", &e), "%s", e.msg);
		if (away)
			settle(&f);
		else
			restart(&f); /* before anything was done about it */
		T_CHECK(!engine_item(&f.engine, &f.owner.pub, "site", "data"), "nothing waits for it");
		T_CHECK(placed_is_buried(&f.engine, "disk-1", name) && !placed_is_buried(&f.engine, "disk-2", name), "%d", away);
		down(&f);
	}
}

/* A document that cannot be read says nothing about what it names: its volume stays where it is. */
static void a_damaged_document_buries_nothing(void)
{
	struct fixture f;
	struct err e = { 0 };
	char name[STORAGE_NAME_SIZE], file[192], owner[KEY_TEXT_SIZE];

	up(&f);
	T_NEED(!deploy(&f, 1, "", VOLUME("data", "104857600"), &e), "%s", e.msg);
	settle(&f);
	memcpy(name, engine_item(&f.engine, &f.owner.pub, "site", "data")->work.storage.name, sizeof(name));
	key_pub_format(owner, &f.owner.pub);
	snprintf(file, sizeof(file), "%s/deployments/%s/site", f.dir, owner);
	T_NEED(!file_save(AT_FDCWD, file, S("zos-state 1 2 0 nonsense\n"), 0600, &e), "%s", e.msg);
	restart(&f);
	T_CHECK(!engine_item(&f.engine, &f.owner.pub, "site", "data"), "nobody knows it now");
	T_CHECK(!placed_is_buried(&f.engine, "disk-1", name) && at(&f, "remove") < 0, "and nobody removes it");
	down(&f);
}

/* It was said to be done: it is, whatever becomes of the engine before; and once it was, never again. */
static void a_restore_outlives_the_engine(void)
{
	struct fixture f;
	struct item *data;
	struct err e = { 0 };

	up(&f);
	T_CHECK(!deploy(&f, 1, "", BOX("web", ON("data", "/srv")) "," VOLUME("data", "104857600"), &e), "%s", e.msg);
	settle(&f);
	T_NEED((data = engine_item(&f.engine, &f.owner.pub, "site", "data")), "item");
	log_clear(&f);
	T_CHECK(!engine_restore(&f.engine, data, "one", &e), "%s", e.msg);
	restart(&f);
	settle(&f);
	T_CHECK(at(&f, "remove machine web;") >= 0 && at(&f, "remove machine web;") < at(&f, "restore one;"), "under a machine that may run: %s",
		f.log.p);
	T_CHECK(at(&f, "restore one;") < at(&f, "apply machine web") && !strcmp(state_of(&f, "web"), "ok"), "%s", f.log.p);
	log_clear(&f);
	restart(&f);
	settle(&f);
	T_CHECK(at(&f, "apply storage data") >= 0 && at(&f, "restore") < 0 && !strcmp(state_of(&f, "web"), "ok"), "%s", f.log.p);
	down(&f);
}

static void count_changes(void *ctx)
{
	(*(int *)ctx)++;
}

/* The cache moves under what runs; where its disk is gone, so is a machine's root: it starts again, but not before its image is there. */
static void images_move_under_machines(void)
{
	struct fixture f;
	struct err e = { 0 };
	int changes = 0;

	up(&f);
	f.engine.images_changed = count_changes;
	f.engine.images_ctx = &changes;
	T_NEED(!deploy(&f, 1, "", web(64), &e), "%s", e.msg);
	settle(&f);
	T_CHECK(!strcmp(state(&f), "ok") && changes == 1, "%s, %d", state(&f), changes);
	log_clear(&f);
	engine_images_moved(&f.engine, false);
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "apply image web;") && changes == 2, "'%s', %d", f.log.p, changes);
	log_clear(&f);
	f.fakes[STEP_IMAGE].fail = 1;
	engine_images_moved(&f.engine, true);
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "apply image web;") && !strcmp(state(&f), "retrying"), "'%s' %s", f.log.p, state(&f));
	log_clear(&f);
	engine_images_moved(&f.engine, false); /* to where it is */
	settle(&f);
	T_CHECK(!strcmp(f.log.p, "apply image web;remove machine web;apply machine web;") && !strcmp(state(&f), "ok"), "'%s' %s", f.log.p, state(&f));
	down(&f);
}

static void what_cannot_change_is_refused(void)
{
	static const struct {
		const char *workload, *why;
	} rows[] = {
		{ "{\"name\":\"data\",\"type\":\"volume\",\"data\":{\"size\":104857600,\"class\":\"ssd\"}}",
		  "/workloads/0/data/class: cannot change" },
		{ "{\"name\":\"data\",\"type\":\"zmount\",\"data\":{\"size\":104857600}}", "/workloads/0/type: 'data' is a volume" },
		{ BOX("data", ""), "/workloads/0/type: 'data' is a volume" },
	};
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	T_CHECK(!deploy(&f, 1, "", VOLUME("data", "104857600"), &e), "%s", e.msg);
	settle(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		T_CHECK(deploy(&f, 2, "", rows[i].workload, &e) == -EBADMSG && strstr(e.msg, rows[i].why), "row %zu: %s", i, e.msg);
	T_CHECK(!deploy(&f, 2, "", VOLUME("data", "314572800"), &e), "the right one: %s", e.msg);
	down(&f);
}

int main(void)
{
	T_RUN(storage_comes_first_and_goes_last);
	T_RUN(a_machine_waits_for_a_disk);
	T_RUN(an_update_takes_nothing_from_under_a_machine);
	T_RUN(a_restart_knows_where_it_is);
	T_RUN(its_place_is_kept_with_the_document);
	T_RUN(what_was_being_deleted_is_buried);
	T_RUN(a_damaged_document_buries_nothing);
	T_RUN(a_restore_outlives_the_engine);
	T_RUN(images_move_under_machines);
	T_RUN(what_cannot_change_is_refused);
	return T_END();
}
