/* The engine in a world of bad luck: documents, deletions, disks that go and come, programs that fail, restarts, as a seed says. Whatever happens,
 * data is made once, found where it was made, and gone only when its owner wanted that; with good luck again all becomes as it is wanted.
 * SEED=N repeats one, SEEDS=N tries so many. */
#include "node/engine_test.h"
#include "node/placed.h"
#include "test/seeds.h"

enum { VOLUMES = 3, ROUNDS = 30, SEEDS_DEFAULT = 300, THINGS_MAX = 400 };

struct thing { /* data on the one disk of this world */
	char name[STORAGE_NAME_SIZE];
	bool is_there;
};

struct world {
	struct fixture f;
	uint64_t rng;
	unsigned seed, sequence;
	bool has_disk, is_lucky;
	struct thing things[THINGS_MAX];
	size_t n_things;
	bool wanted[VOLUMES];      /* by the newest document */
	bool ever_dropped[VOLUMES]; /* a document without it was taken since it was made */
};

static struct world *world;

static unsigned dice(unsigned n)
{
	world->rng ^= world->rng << 13;
	world->rng ^= world->rng >> 7;
	world->rng ^= world->rng << 17;
	return (unsigned)(world->rng % n);
}

static bool has_bad_luck(void)
{
	return !world->is_lucky && !dice(5);
}

static struct thing *thing_find(const char *name)
{
	for (size_t i = 0; i < world->n_things; i++)
		if (!strcmp(world->things[i].name, name))
			return &world->things[i];
	return NULL;
}

static unsigned number(const struct work *w)
{
	return (unsigned)(w->name[1] - '0');
}

static int sim_apply(struct provider *p, struct work *w, struct err *e)
{
	struct storage_result *s = &w->storage;
	struct thing *t = thing_find(s->name);

	s->path[0] = '\0';
	if (!world->has_disk)
		return err_set(e, -ENODEV, "sim: no disk");
	if (has_bad_luck())
		return err_set(e, -EIO, "sim: bad luck");
	if (s->stage == STORAGE_MADE) {
		T_CHECK(t && t->is_there, "seed %u: %s was made and is not there", world->seed, s->name);
		snprintf(s->path, sizeof(s->path), "/sim/%s", s->name);
		return 0;
	}
	if (!t) {
		T_NEED(world->n_things < THINGS_MAX, "room");
		t = &world->things[world->n_things++];
		snprintf(t->name, sizeof(t->name), "%s", s->name);
		world->ever_dropped[number(w)] = false;
	}
	T_CHECK(!t->is_there || s->stage == STORAGE_CHOSEN, "seed %u: %s is made a second time", world->seed, s->name);
	t->is_there = true;
	strcpy(s->disk, "disk-1");
	s->stage = STORAGE_MADE;
	if (p->keep(p->engine, w, e)) {
		s->stage = STORAGE_CHOSEN;
		return -EIO;
	}
	snprintf(s->path, sizeof(s->path), "/sim/%s", s->name);
	return 0;
}

static void thing_remove(const char *name)
{
	struct thing *t = thing_find(name);

	if (t)
		t->is_there = false;
}

static int sim_remove(struct provider *p, struct work *w, struct err *e)
{
	struct storage_result *s = &w->storage;

	T_CHECK(world->ever_dropped[number(w)], "seed %u: %s goes, and no document ever left it out", world->seed, s->name);
	s->path[0] = '\0';
	if (!world->has_disk)
		return s->stage == STORAGE_NOWHERE ? 0 : p->bury(p->engine, w, e);
	if (has_bad_luck())
		return err_set(e, -EIO, "sim: bad luck");
	thing_remove(s->name);
	s->stage = STORAGE_NOWHERE;
	s->disk[0] = '\0';
	return p->keep(p->engine, w, e);
}

static int sim_admit(struct provider *p, const struct deployment *d, const struct deployment *old,
		     char ret_disks[static DEPLOYMENT_WORKLOADS_MAX][STORAGE_UUID_SIZE], struct err *e)
{
	(void)p;
	(void)e;
	for (size_t i = 0; i < d->n_workloads; i++)
		if (d->workloads[i].kind == WORKLOAD_VOLUME && !(old && deployment_workload(old, d->workloads[i].name)))
			strcpy(ret_disks[i], "disk-1");
	return 0;
}

static int sim_machine(struct provider *p, struct work *w, struct err *e)
{
	(void)p;
	(void)e;
	for (size_t i = 0; i < w->spec.n_mounts; i++)
		T_CHECK(world->has_disk && !strncmp(w->sources[i], "/sim/", 5), "seed %u: a machine starts without its volume", world->seed);
	strcpy(w->machine.state, "running");
	return 0;
}

static int sim_machine_gone(struct provider *p, struct work *w, struct err *e)
{
	(void)p;
	(void)e;
	w->machine.state[0] = '\0';
	return 0;
}

static const struct provider_ops sim_storage = { .apply = sim_apply, .remove = sim_remove, .admit = sim_admit },
				 sim_machines = { .apply = sim_machine, .remove = sim_machine_gone };

static void document_send(void)
{
	AUTO_BUF struct buf text = { 0 };
	struct err e = { 0 };
	bool has_machine = dice(3), next[VOLUMES];
	const char *comma = "";

	for (unsigned i = 0; i < VOLUMES; i++) {
		next[i] = dice(2);
		if (next[i])
			buf_addf(&text, "%s{\"name\":\"v%u\",\"type\":\"volume\",\"data\":{\"size\":104857600}}", comma, i);
		comma = text.len ? "," : "";
	}
	if (has_machine) {
		buf_addf(&text,
			 "%s{\"name\":\"web\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web:1\",\"cpu\":1,\"memory\":67108864,\"isolation\":"
			 "\"container\",\"mounts\":[",
			 comma);
		comma = "";
		for (unsigned i = 0; i < VOLUMES; i++)
			if (next[i] && dice(2)) {
				buf_addf(&text, "%s{\"name\":\"v%u\",\"path\":\"/v%u\"}", comma, i, i);
				comma = ",";
			}
		buf_addf(&text, "]}}");
	}
	buf_addf(&text, "%s", "");
	T_NEED(!buf_check(&text) && !deploy(&world->f, ++world->sequence, "", text.len ? text.p : "", &e), "seed %u: %s", world->seed, e.msg);
	for (unsigned i = 0; i < VOLUMES; i++) {
		world->ever_dropped[i] |= !next[i];
		world->wanted[i] = next[i];
	}
}

static void again_all(void)
{
	struct provider *p = world->f.providers[STEP_STORAGE];

	for (struct item *it = world->f.engine.items; it; it = it->next) {
		if (it->view.kind != PLAN_STORAGE)
			continue;
		if (!world->has_disk)
			it->work.storage.path[0] = '\0';
		p->again(&world->f.engine, &it->work);
	}
	for (size_t i = 0; world->has_disk && i < world->n_things; i++) /* as volumes_came() does */
		if (placed_is_buried(&world->f.engine, "disk-1", world->things[i].name))
			thing_remove(world->things[i].name);
}

static void disk_turn(bool has)
{
	world->has_disk = has;
	again_all();
}

static void restart(void)
{
	engine_deinit(&world->f.engine);
	engine_up(&world->f);
	again_all();
}

static void one_thing_happens(void)
{
	switch (dice(5)) {
	case 0:
	case 1:
		document_send();
		break;
	case 2:
		disk_turn(!world->has_disk);
		break;
	case 3:
		restart();
		break;
	default:
		again_all();
	}
	if (dice(3))
		settle(&world->f);
}

static void good_luck_again(void)
{
	world->is_lucky = true;
	for (int i = 0; i < 3; i++) {
		disk_turn(true);
		settle(&world->f);
	}
	for (unsigned i = 0; i < VOLUMES; i++) {
		char name[8];
		struct item *it;

		snprintf(name, sizeof(name), "v%u", i);
		it = engine_item(&world->f.engine, &world->f.owner.pub, "site", name);
		T_CHECK(!it == !world->wanted[i], "seed %u: %s is%s there", world->seed, name, it ? "" : " not");
		if (it)
			T_CHECK(it->work.storage.path[0] && thing_find(it->work.storage.name)->is_there, "seed %u: %s is not at hand: %s",
				world->seed, name, it->error);
	}
	for (size_t i = 0; i < world->n_things; i++) {
		bool is_used = false;

		for (struct item *it = world->f.engine.items; it; it = it->next)
			is_used |= !strcmp(it->work.storage.name, world->things[i].name);
		T_CHECK(world->things[i].is_there == is_used, "seed %u: %s is left over", world->seed, world->things[i].name);
	}
}

static void run_seed(unsigned seed)
{
	world = calloc(1, sizeof(*world));
	BUG_ON(!world);
	up(&world->f);
	world->seed = seed;
	world->rng = 0x9e3779b97f4a7c15ull * (seed + 1);
	world->has_disk = true;
	world->f.fakes[STEP_STORAGE].provider.ops = &sim_storage;
	world->f.fakes[STEP_MACHINE].provider.ops = &sim_machines;
	for (int i = 0; i < ROUNDS; i++)
		one_thing_happens();
	good_luck_again();
	down(&world->f);
	free(world);
}

static void bad_luck_loses_nothing(void)
{
	seeds_run(run_seed, SEEDS_DEFAULT);
}

int main(void)
{
	T_RUN(bad_luck_loses_nothing);
	return T_END();
}
