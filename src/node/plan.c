#include "node/plan.h"

enum { BACKOFF_FIRST_MS = 1000, BACKOFF_MAX_MS = 300000 };

static const bool has_step[PLAN_KINDS][STEPS] = {
	[PLAN_MACHINE] = { [STEP_IMAGE] = true, [STEP_NETWORK] = true, [STEP_MACHINE] = true },
	[PLAN_STORAGE] = { [STEP_STORAGE] = true },
	[PLAN_NETWORK] = { [STEP_NETWORK] = true },
	[PLAN_STORE] = { [STEP_STORAGE] = true, [STEP_NETWORK] = true, [STEP_MACHINE] = true },
	[PLAN_GATEWAY] = { [STEP_NETWORK] = true, [STEP_GATEWAY] = true },
};

struct plan_view plan_begin(enum plan_kind kind)
{
	struct plan_view v = { .kind = kind };

	for (int s = 0; s < STEPS; s++)
		v.steps[s] = has_step[kind][s] ? STEP_UNKNOWN : STEP_ABSENT;
	return v;
}

bool plan_is_known(const struct plan_view *v, enum plan_step step)
{
	return v->steps[step] != STEP_ABSENT && v->steps[step] != STEP_UNKNOWN;
}

static struct plan_order act(enum plan_act what, enum plan_step step)
{
	return (struct plan_order){ .act = what, .step = step };
}

static struct plan_order wait_until(uint64_t ms)
{
	return (struct plan_order){ .act = PLAN_WAIT, .until_ms = ms };
}

/* A failed step is tried again in the direction it is needed, not before its time. */
static struct plan_order again(const struct plan_view *v, enum plan_act what, enum plan_step step, uint64_t now_ms)
{
	if (v->steps[step] == STEP_FAILED && now_ms < v->retry_at_ms)
		return wait_until(v->retry_at_ms);
	return act(what, step);
}

static struct plan_order bring_up(const struct plan_view *v, uint64_t now_ms)
{
	for (int s = 0; s < STEPS; s++) {
		if (!has_step[v->kind][s] || v->steps[s] == STEP_DONE)
			continue;
		if ((s == STEP_MACHINE && v->blocked) || (s == STEP_NETWORK && v->unlinked))
			return act(PLAN_NOTHING, 0);
		return again(v, PLAN_APPLY, s, now_ms);
	}
	/* a registry that is out of reach must not keep down what ran before: looking again comes last */
	if (v->stale)
		return now_ms < v->retry_at_ms ? wait_until(v->retry_at_ms) : act(PLAN_APPLY, STEP_IMAGE);
	return act(PLAN_NOTHING, 0);
}

/* Takes down the steps above and including LOWEST. */
static struct plan_order take_down(const struct plan_view *v, int lowest, uint64_t now_ms, enum plan_act at_the_end)
{
	for (int s = STEPS - 1; s >= lowest; s--)
		if (v->steps[s] != STEP_ABSENT)
			return again(v, PLAN_REMOVE, s, now_ms);
	return act(at_the_end, 0);
}

/* Of a machine the image, of a store its storage: the network stays as it is under changes. */
static bool is_ground_done(const struct plan_view *v)
{
	return v->steps[v->kind == PLAN_STORE ? STEP_STORAGE : STEP_IMAGE] == STEP_DONE;
}

/* The new image, or more room, first: as long as it cannot be had, the old machine goes on. So does one of which the engine does not know yet, while
 * what it mounts is looked for. */
static bool is_to_leave(const struct plan_view *v)
{
	if (plan_is_known(v, STEP_MACHINE))
		return v->blocked || (v->changed && is_ground_done(v));
	return v->steps[STEP_MACHINE] == STEP_UNKNOWN && v->vacate;
}

static struct plan_order machine_next(const struct plan_view *v, uint64_t now_ms)
{
	switch (v->want) {
	case WANT_UP:
		if (is_to_leave(v))
			return again(v, PLAN_REMOVE, STEP_MACHINE, now_ms);
		return bring_up(v, now_ms);
	case WANT_PAUSED:
		return take_down(v, STEP_MACHINE, now_ms, PLAN_NOTHING);
	case WANT_GONE:
	case WANTS:
		break;
	}
	return take_down(v, 0, now_ms, PLAN_FORGET);
}

/* Storage, networks and public addresses. What is paused keeps its data at hand; what is not wanted any more stays for as long as a machine has it. */
static struct plan_order ground_next(const struct plan_view *v, uint64_t now_ms)
{
	if (v->want != WANT_GONE)
		return v->exclusive && v->blocked ? act(PLAN_NOTHING, 0) : bring_up(v, now_ms);
	return v->blocked ? act(PLAN_NOTHING, 0) : take_down(v, 0, now_ms, PLAN_FORGET);
}

/* Changed, it is applied once more, and whoever is connected stays. */
static struct plan_order gateway_next(const struct plan_view *v, uint64_t now_ms)
{
	return v->want == WANT_UP ? bring_up(v, now_ms) : take_down(v, 0, now_ms, v->want == WANT_GONE ? PLAN_FORGET : PLAN_NOTHING);
}

struct plan_order plan_next(const struct plan_view *v, uint64_t now_ms)
{
	static struct plan_order (*const next[PLAN_KINDS])(const struct plan_view *v, uint64_t now_ms) = {
		[PLAN_MACHINE] = machine_next, [PLAN_STORAGE] = ground_next,  [PLAN_STORE] = machine_next,
		[PLAN_NETWORK] = ground_next,  [PLAN_GATEWAY] = gateway_next, [PLAN_IP] = ground_next,
	};

	for (int s = 0; s < STEPS; s++) /* one thing at a time for a workload; workloads do not wait for one another */
		if (v->steps[s] == STEP_APPLYING || v->steps[s] == STEP_REMOVING)
			return act(PLAN_NOTHING, 0);
	return next[v->kind](v, now_ms);
}

uint64_t plan_backoff_ms(unsigned attempts, uint64_t jitter)
{
	uint64_t pause = BACKOFF_MAX_MS;

	if (attempts < 10 && (uint64_t)BACKOFF_FIRST_MS << attempts < BACKOFF_MAX_MS)
		pause = (uint64_t)BACKOFF_FIRST_MS << (attempts ? attempts - 1 : 0);
	return pause - jitter % (pause / 4);
}
