#include "zdb/keydir.h"

#include "test/seeds.h"

enum { MODEL_MAX = 20000 };

static struct { /* what is to be found: TAG by number */
	uint32_t tag[MODEL_MAX], offset[MODEL_MAX];
	unsigned n;
} model;
static const uint8_t hash_key[KEYDIR_HASH_KEY_BYTES];

/* Tags that crowd: many share their slots, some are the same. */
static uint32_t crowded(void)
{
	return (uint32_t)(random() & 0x3ff) << 22 | (uint32_t)(random() & 0x1f);
}

static void check_all(const struct keydir *k, unsigned seed)
{
	struct keydir_seek s;

	T_CHECK(k->n == model.n, "seed %u: %llu entries for %u", seed, (unsigned long long)k->n, model.n);
	for (unsigned i = 0; i < model.n; i++)
		if (!keydir_find(k, model.tag[i], (struct place){ 1, model.offset[i] }, &s)) {
			T_CHECK(false, "seed %u: entry %u is not found", seed, i);
			return;
		}
}

static void step(struct keydir *k, unsigned n)
{
	struct keydir_seek s;
	unsigned i;

	if (model.n < MODEL_MAX && (!model.n || random() % 5 < 3)) {
		model.tag[model.n] = random() % 2 ? crowded() : (uint32_t)random() << 1;
		model.offset[model.n] = n + 1;
		T_NEED(!keydir_add(k, model.tag[model.n], (struct place){ 1, n + 1 }), "an entry is refused");
		model.n++;
		return;
	}
	i = (unsigned)random() % model.n;
	T_NEED(keydir_find(k, model.tag[i], (struct place){ 1, model.offset[i] }, &s), "it is gone");
	if (random() % 2) {
		keydir_set(&s, (struct place){ 1, n + 1 });
		model.offset[i] = n + 1;
		return;
	}
	keydir_remove(k, &s);
	model.n--;
	model.tag[i] = model.tag[model.n];
	model.offset[i] = model.offset[model.n];
}

static void copy_is_the_same(const struct keydir *k, unsigned seed)
{
	struct keydir copy;
	uint64_t at = 0, to = 0;
	const struct keydir_segment *s;

	keydir_init(&copy, hash_key);
	while ((s = keydir_each(k, &at)))
		T_NEED(!keydir_load(&copy, s, &to, k->depth), "seed %u: a segment is not taken", seed);
	check_all(&copy, seed);
	keydir_deinit(&copy);
}

static void run(unsigned seed)
{
	struct keydir k;

	srandom(seed);
	model.n = 0;
	keydir_init(&k, hash_key);
	for (unsigned n = 0; n < 30000; n++)
		step(&k, n);
	check_all(&k, seed);
	copy_is_the_same(&k, seed);
	keydir_deinit(&k);
}

static void test_does_what_a_list_does(void)
{
	seeds_run(run, 20);
}

static void test_memory_of_a_key(void)
{
	struct keydir k;
	double most = 0, least = 100;

	keydir_init(&k, hash_key);
	for (uint32_t i = 0; i < 400000; i++) {
		T_NEED(!keydir_add(&k, keydir_tag(&k, (struct str){ (char *)&i, sizeof(i) }), (struct place){ 1, i + 1 }), "an entry is refused");
		if (i >= 100000 && i % 20000 == 0) {
			double each = (double)keydir_bytes(&k) / (double)k.n;

			most = each > most ? each : most;
			least = each < least ? each : least;
		}
	}
	T_CHECK(most <= 32, "up to %.1f bytes a key", most);
	printf("# %.1f to %.1f bytes a key\n", least, most);
	keydir_deinit(&k);
}

static void test_segments_that_do_not_fit_are_refused(void)
{
	struct keydir from, to;
	struct keydir_segment bad;
	uint64_t at = 0;

	keydir_init(&from, hash_key);
	keydir_init(&to, hash_key);
	for (uint32_t i = 0; i < 2000; i++)
		T_NEED(!keydir_add(&from, i << 21, (struct place){ 1, i + 1 }), "an entry is refused");
	bad = *from.dir[0];
	T_NEED(!keydir_load(&to, &bad, &at, from.depth), "the right one is refused");
	at = 0;
	T_CHECK(keydir_load(&to, from.dir[(1u << from.depth) - 1], &at, from.depth) == -EBADMSG, "one of another place");
	bad.n++;
	T_CHECK(keydir_load(&to, &bad, &at, from.depth) == -EBADMSG, "a wrong number of entries");
	bad.n--;
	bad.depth = from.depth + 1;
	T_CHECK(keydir_load(&to, &bad, &at, from.depth) == -EBADMSG, "deeper than the whole");
	keydir_deinit(&from);
	keydir_deinit(&to);
}

int main(void)
{
	T_RUN(test_does_what_a_list_does);
	T_RUN(test_memory_of_a_key);
	T_RUN(test_segments_that_do_not_fit_are_refused);
	return T_END();
}
