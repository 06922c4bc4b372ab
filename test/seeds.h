/* Simulations: what bad luck does, by seeds. SEED=N in the environment repeats one, SEEDS=N tries so many; the first that fails is the last. */
#pragma once
#include "test/t.h"

static inline unsigned seeds_env(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static inline void seeds_run(void (*run)(unsigned seed), unsigned otherwise)
{
	unsigned n = seeds_env("SEEDS", otherwise);

	if (getenv("SEED"))
		run(seeds_env("SEED", 0));
	for (unsigned seed = 0; !getenv("SEED") && seed < n && !t_bad; seed++)
		run(seed);
}
