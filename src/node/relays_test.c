/* Both ends come to the same relays, which are neither of them, and all relays have something to do. */
#include "api/doc.h"
#include "node/relays.h"

#include "test/t.h"

enum { RELAYS = 5, NODES = 40 };

static struct farm *farm;

static struct key_pub key_of(size_t n)
{
	struct key_pub k = { .role = KEY_NODE };

	for (size_t i = 0; i < sizeof(k.bytes); i++)
		k.bytes[i] = (uint8_t)(n * 101 + i * 37 + n * n * (i + 1)); /* far apart */
	return k;
}

static void farm_make(size_t n)
{
	memset(farm, 0, sizeof(*farm));
	for (farm->n_relays = 0; farm->n_relays < n; farm->n_relays++)
		farm->relays[farm->n_relays].node = key_of(100 + farm->n_relays);
}

static size_t index_of(const struct key_pub *relay)
{
	size_t i = 0;

	while (!key_pub_eq(&farm->relays[i].node, relay))
		i++;
	return i;
}

static void both_come_to_the_same(void)
{
	unsigned used[RELAYS] = { 0 };

	farm_make(RELAYS);
	for (size_t i = 0; i < NODES; i++)
		for (size_t k = 0; k < i; k++) {
			struct key_pub a = key_of(i), b = key_of(k), x[PATH_RELAYS_MAX], y[PATH_RELAYS_MAX];

			T_NEED(relays_choose(farm, &a, &b, x) == PATH_RELAYS_MAX && relays_choose(farm, &b, &a, y) == PATH_RELAYS_MAX, "two");
			T_CHECK(key_pub_eq(&x[0], &y[0]) && key_pub_eq(&x[1], &y[1]) && !key_pub_eq(&x[0], &x[1]), "%zu and %zu", i, k);
			used[index_of(&x[0])]++;
		}
	for (size_t i = 0; i < RELAYS; i++)
		T_CHECK(used[i] > NODES * (NODES - 1) / 2 / RELAYS / 4, "relay %zu: %u", i, used[i]);
}

static void the_nearest_is_first_wherever_it_stands(void)
{
	struct key_pub a = key_of(1), b = key_of(2), x[PATH_RELAYS_MAX], y[PATH_RELAYS_MAX];

	farm_make(RELAYS);
	T_NEED(relays_choose(farm, &a, &b, x) == PATH_RELAYS_MAX, "two");
	for (size_t i = 0; i < RELAYS; i++) {
		struct farm_relay last = farm->relays[RELAYS - 1];

		memmove(&farm->relays[1], &farm->relays[0], (RELAYS - 1) * sizeof(last));
		farm->relays[0] = last;
		T_CHECK(relays_choose(farm, &a, &b, y) == PATH_RELAYS_MAX && key_pub_eq(&x[0], &y[0]) && key_pub_eq(&x[1], &y[1]), "turn %zu", i);
	}
}

static void an_end_is_no_relay_of_its_own(void)
{
	struct key_pub a = key_of(100), b = key_of(1), x[PATH_RELAYS_MAX];

	farm_make(0);
	T_CHECK(!relays_choose(farm, &a, &b, x), "there is none");
	farm_make(1);
	T_CHECK(!relays_choose(farm, &a, &b, x) && !relays_choose(farm, &b, &a, x), "one of the two is the only one");
	farm_make(2);
	T_CHECK(relays_choose(farm, &a, &b, x) == 1 && index_of(&x[0]) == 1, "the other is there");
}

int main(void)
{
	farm = calloc(1, sizeof(*farm));
	T_NEED(farm, "memory");
	T_RUN(both_come_to_the_same);
	T_RUN(the_nearest_is_first_wherever_it_stands);
	T_RUN(an_end_is_no_relay_of_its_own);
	free(farm);
	return T_END();
}
