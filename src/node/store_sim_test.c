/* The node's memory on disks that come, go, lie and fail, as a seed says: what was once said to be kept is what is read, as long as one of the disks that
 * had it then is there and its copy is not damaged. SEED=N repeats one, SEEDS=N tries so many. */
#include "node/store.h"

#include "base/file.h"
#include "test/seeds.h"

#include <fcntl.h>
#include <stdio.h>

enum { DISKS = 4, NAMES = 3, ROUNDS = 40, SEEDS_DEFAULT = 400 };

struct world {
	char top[40], dirs[DISKS][64];
	struct store s;
	uint64_t rng, version[NAMES];
	char value[NAMES][32];
	bool is_home[DISKS]; /* of the store now */
	bool has[NAMES][DISKS]; /* the newest value, undamaged */
	unsigned seed;
};

static const char *const names[NAMES] = { "identity", "deployments/U/web", "deployments/U/db" };

static unsigned dice(struct world *w, unsigned n)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return (unsigned)(w->rng % n);
}

static unsigned count(const bool *all)
{
	unsigned n = 0;

	for (int i = 0; i < DISKS; i++)
		n += all[i];
	return n;
}

/* Whether the store without the disk WITHOUT (-1 = as it is) knows the newest of everything. */
static bool knows_all(const struct world *w, int without)
{
	for (int n = 0; n < NAMES; n++) {
		bool found = !w->version[n];

		for (int i = 0; i < DISKS; i++)
			found |= i != without && w->is_home[i] && w->has[n][i];
		if (!found)
			return false;
	}
	return true;
}

static void look(struct world *w, int n)
{
	AUTO_BUF struct buf value = { 0 };
	struct err e = { 0 };
	uint64_t version = 0;
	int r = store_get(&w->s, names[n], &version, &value, &e);

	if (!w->version[n]) {
		T_CHECK(r == STORE_ABSENT, "seed %u: %s: %d", w->seed, names[n], r);
		return;
	}
	T_CHECK(!r && version == w->version[n] && str_eq(buf_str(&value), str_c(w->value[n])), "seed %u: %s is %llu, not %llu: %d %s", w->seed,
		names[n], (unsigned long long)version, (unsigned long long)w->version[n], r, e.msg);
	for (int i = 0; i < DISKS; i++) /* and the others have it too now */
		w->has[n][i] |= w->is_home[i];
}

static void put(struct world *w, int n)
{
	struct err e = { 0 };
	char value[32];

	snprintf(value, sizeof(value), "%u", dice(w, 1000000));
	T_CHECK(!store_put(&w->s, names[n], w->version[n] + 1, str_c(value), &e), "seed %u: %s", w->seed, e.msg);
	w->version[n]++;
	memcpy(w->value[n], value, sizeof(value));
	for (int i = 0; i < DISKS; i++)
		w->has[n][i] = w->is_home[i];
}

static void turn(struct world *w, int disk)
{
	struct err e = { 0 };

	if (!w->is_home[disk]) {
		T_CHECK(!store_add(&w->s, w->dirs[disk], true, &e), "seed %u: %s", w->seed, e.msg);
		w->is_home[disk] = true;
		for (int n = 0; n < NAMES; n++)
			look(w, n);
	} else if (count(w->is_home) > 1 && knows_all(w, disk)) {
		store_drop(&w->s, w->dirs[disk]);
		w->is_home[disk] = false;
	}
}

/* One byte of one copy, of which another undamaged one is there. */
static void damage(struct world *w, int n, int disk)
{
	char path[128];
	AUTO_BUF struct buf file = { 0 };
	bool had = w->has[n][disk];
	struct err e;

	snprintf(path, sizeof(path), "%s/%s", w->dirs[disk], names[n]);
	w->has[n][disk] = false;
	if (!knows_all(w, -1) || file_read(AT_FDCWD, path, 4096, &file, NULL)) {
		w->has[n][disk] = had;
		return;
	}
	file.p[dice(w, (unsigned)file.len)] ^= (char)(1 + dice(w, 255));
	T_NEED(!file_save(AT_FDCWD, path, buf_str(&file), 0600, &e), "%s", e.msg);
}

/* As after a start, with some of the disks in some order, all that is needed among them. */
static void start_again(struct world *w)
{
	struct err e = { 0 };
	const char *list[DISKS];
	bool before[DISKS];
	size_t n = 0;

	memcpy(before, w->is_home, sizeof(before));
	for (int tries = 0; tries < 10; tries++) {
		for (int i = 0; i < DISKS; i++)
			w->is_home[i] = dice(w, 2);
		if (count(w->is_home) && knows_all(w, -1))
			break;
		memcpy(w->is_home, before, sizeof(before));
	}
	for (int i = 0, first = (int)dice(w, DISKS); i < DISKS; i++)
		if (w->is_home[(first + i) % DISKS])
			list[n++] = w->dirs[(first + i) % DISKS];
	store_close(&w->s);
	T_NEED(!store_open(&w->s, list, n, true, &e), "%s", e.msg);
}

static void run_seed(unsigned seed)
{
	struct world w = { .seed = seed, .rng = 0x9e3779b97f4a7c15ull * (seed + 1) };
	struct err e = { 0 };
	const char *first;

	strcpy(w.top, "/tmp/store_sim.XXXXXX");
	T_NEED(mkdtemp(w.top), "mkdtemp: %m");
	for (int i = 0; i < DISKS; i++)
		snprintf(w.dirs[i], sizeof(w.dirs[i]), "%s/%d", w.top, i);
	first = w.dirs[0];
	w.is_home[0] = true;
	T_NEED(!store_open(&w.s, &first, 1, true, &e), "%s", e.msg);
	for (int i = 0; i < ROUNDS; i++) {
		int n = (int)dice(&w, NAMES), disk = (int)dice(&w, DISKS);

		switch (dice(&w, 6)) {
		case 0:
		case 1:
			put(&w, n);
			break;
		case 2:
			turn(&w, disk);
			break;
		case 3:
			damage(&w, n, disk);
			break;
		case 4:
			start_again(&w);
			break;
		default:
			look(&w, n);
		}
	}
	for (int n = 0; n < NAMES; n++)
		look(&w, n);
	store_close(&w.s);
	T_CHECK(!tree_remove(AT_FDCWD, w.top, &e), "%s", e.msg);
}

static void what_was_kept_is_read(void)
{
	seeds_run(run_seed, SEEDS_DEFAULT);
}

int main(void)
{
	T_RUN(what_was_kept_is_read);
	return T_END();
}
