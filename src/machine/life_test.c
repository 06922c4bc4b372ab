#include "machine/life.h"

#include "test/t.h"

static void every_cell_is_written(void)
{
	for (int s = 0; s < LIFE_STATES; s++)
		for (int ev = 0; ev < LIFE_EVENTS; ev++) {
			struct life l = { .state = s };
			uint64_t timer;

			T_CHECK(machine_life_step(&l, ev, 0, 0, &timer) != LIFE_UNWRITTEN, "state %d event %d", s, ev);
		}
}

static void the_policy_decides(void)
{
	static const struct {
		enum restart_policy policy;
		int status;
		enum life_act act;
	} rows[] = {
		{ RESTART_ALWAYS, 0, LIFE_DELAY },     { RESTART_ALWAYS, 1, LIFE_DELAY }, { RESTART_ON_FAILURE, 0, LIFE_REST },
		{ RESTART_ON_FAILURE, 1, LIFE_DELAY }, { RESTART_NEVER, 0, LIFE_REST },   { RESTART_NEVER, 137, LIFE_REST },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct life l = LIFE_NEW(rows[i].policy);
		uint64_t timer;

		machine_life_step(&l, LIFE_STARTED, 0, 5, &timer);
		T_CHECK(machine_life_step(&l, LIFE_ENDED, rows[i].status, 10, &timer) == rows[i].act, "row %zu", i);
		T_CHECK(!!timer == (rows[i].act == LIFE_DELAY) && l.exit_status == rows[i].status, "row %zu", i);
	}
}

static void pauses_grow_until_it_runs_steadily(void)
{
	struct life l = LIFE_NEW(RESTART_ALWAYS);
	uint64_t timer, now = 1, before = 0;

	for (int i = 0; i < 20; i++) {
		machine_life_step(&l, LIFE_STARTED, 0, now, &timer);
		T_CHECK(machine_life_step(&l, LIFE_ENDED, 1, now + 5, &timer) == LIFE_DELAY, "round %d", i);
		T_CHECK(timer >= before && timer <= LIFE_BACKOFF_MAX_MS, "round %d: %llu", i, (unsigned long long)timer);
		before = timer;
		now += timer;
		T_CHECK(machine_life_step(&l, LIFE_TIMER, 0, now, &timer) == LIFE_START, "round %d", i);
	}
	T_CHECK(before == LIFE_BACKOFF_MAX_MS && l.restarts == 20, "%llu", (unsigned long long)before);
	machine_life_step(&l, LIFE_STARTED, 0, now, &timer);
	machine_life_step(&l, LIFE_ENDED, 1, now + LIFE_STEADY_MS, &timer);
	T_CHECK(timer == LIFE_BACKOFF_FIRST_MS, "a steady run starts over: %llu", (unsigned long long)timer);
}

static void stops_politely_then_not(void)
{
	struct life l = LIFE_NEW(RESTART_ALWAYS);
	uint64_t timer;

	machine_life_step(&l, LIFE_STARTED, 0, 1, &timer);
	T_CHECK(machine_life_step(&l, LIFE_STOP, 0, 2, &timer) == LIFE_TERM && timer == LIFE_GRACE_MS, "asked");
	T_CHECK(machine_life_step(&l, LIFE_TIMER, 0, 3, &timer) == LIFE_KILL, "made");
	T_CHECK(machine_life_step(&l, LIFE_ENDED, 137, 4, &timer) == LIFE_QUIT, "no restart");
}

static void held_and_released(void)
{
	struct life l = LIFE_NEW(RESTART_ALWAYS);
	uint64_t timer;

	machine_life_step(&l, LIFE_STARTED, 0, 1, &timer);
	T_CHECK(machine_life_step(&l, LIFE_HOLD, 0, 2, &timer) == LIFE_TERM && timer == LIFE_GRACE_MS, "asked to end");
	T_CHECK(machine_life_step(&l, LIFE_TIMER, 0, 3, &timer) == LIFE_KILL, "made to end");
	T_CHECK(machine_life_step(&l, LIFE_ENDED, 137, 4, &timer) == LIFE_REST && l.state == LIFE_HELD && !timer && !l.restarts, "rests");
	T_CHECK(machine_life_step(&l, LIFE_RELEASE, 0, 5, &timer) == LIFE_SOON && timer == LIFE_SOON_MS, "released");
	T_CHECK(machine_life_step(&l, LIFE_TIMER, 0, 6, &timer) == LIFE_START, "starts");
	machine_life_step(&l, LIFE_STARTED, 0, 7, &timer);
	T_CHECK(machine_life_step(&l, LIFE_RESTART, 0, 8, &timer) == LIFE_TERM, "restarted");
	T_CHECK(machine_life_step(&l, LIFE_ENDED, 1, 9, &timer) == LIFE_SOON && !l.restarts && !l.failures, "at once, and it is no failure");
	T_CHECK(machine_life_step(&l, LIFE_HOLD, 0, 10, &timer) == LIFE_REST && l.state == LIFE_HELD, "held before it came up");
	T_CHECK(machine_life_step(&l, LIFE_TIMER, 0, 11, &timer) == LIFE_NOTHING && machine_life_step(&l, LIFE_STOP, 0, 12, &timer) == LIFE_QUIT,
		"goes");
}

static void who_is_unwell_is_started_anew(void)
{
	static const struct {
		enum restart_policy policy;
		enum life_act act;
		uint64_t restarts;
	} rows[] = { { RESTART_ALWAYS, LIFE_DELAY, 1 }, { RESTART_ON_FAILURE, LIFE_DELAY, 1 }, { RESTART_NEVER, LIFE_REST, 0 } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct life l = LIFE_NEW(rows[i].policy);
		uint64_t timer;

		machine_life_step(&l, LIFE_STARTED, 0, 1, &timer);
		T_CHECK(machine_life_step(&l, LIFE_UNWELL, 0, 2, &timer) == LIFE_TERM && timer == LIFE_GRACE_MS, "row %zu: asked", i);
		T_CHECK(machine_life_step(&l, LIFE_TIMER, 0, 3, &timer) == LIFE_KILL, "row %zu: made", i);
		T_CHECK(machine_life_step(&l, LIFE_ENDED, 0, 4, &timer) == rows[i].act && l.restarts == rows[i].restarts, "row %zu: %llu", i,
			(unsigned long long)l.restarts);
	}
}

int main(void)
{
	T_RUN(who_is_unwell_is_started_anew);
	T_RUN(held_and_released);
	T_RUN(every_cell_is_written);
	T_RUN(the_policy_decides);
	T_RUN(pauses_grow_until_it_runs_steadily);
	T_RUN(stops_politely_then_not);
	return T_END();
}
