#include "node/plan.h"

#include "test/t.h"

/* Plays the engine: every order succeeds, except that the Nth fails. Returns orders until nothing is left to do, 0 when it never ends. */
static unsigned play(struct plan_view *v, unsigned fail_at, uint64_t *now_ms, int *forgotten)
{
	unsigned n = 0;

	*forgotten = 0;
	for (int rounds = 0; rounds < 100; rounds++) {
		struct plan_order o = plan_next(v, *now_ms);

		switch (o.act) {
		case PLAN_WAIT:
			*now_ms = o.until_ms;
			continue;
		case PLAN_NOTHING:
			return n + 1;
		case PLAN_FORGET:
			*forgotten = 1;
			return n + 1;
		case PLAN_APPLY:
		case PLAN_REMOVE:
			n++;
			v->steps[o.step] = o.act == PLAN_APPLY ? STEP_APPLYING : STEP_REMOVING;
			T_CHECK(plan_next(v, *now_ms).act == PLAN_NOTHING, "one thing at a time");
			if (n == fail_at) {
				v->steps[o.step] = STEP_FAILED;
				v->retry_at_ms = *now_ms + plan_backoff_ms(++v->attempts, 0);
				continue;
			}
			v->steps[o.step] = o.act == PLAN_APPLY ? STEP_DONE : STEP_ABSENT;
			if (v->stale && v->steps[STEP_MACHINE] == STEP_DONE && o.step == STEP_IMAGE)
				v->stale = 0;
			if (o.act == PLAN_REMOVE && o.step == STEP_MACHINE)
				v->changed = 0;
		}
	}
	return 0;
}

static void comes_up_in_order_and_goes_in_reverse(void)
{
	struct plan_view v = { .want = WANT_UP };
	uint64_t now = 5;
	int forgotten;

	T_CHECK(plan_next(&v, now).step == STEP_IMAGE, "the image first");
	T_CHECK(play(&v, 0, &now, &forgotten) == 4 && !forgotten, "three steps");
	for (int s = STEP_IMAGE; s <= STEP_MACHINE; s++)
		T_CHECK(v.steps[s] == STEP_DONE, "step %d", s);
	T_CHECK(v.steps[STEP_STORAGE] == STEP_ABSENT, "a machine is no storage");
	v.want = WANT_GONE;
	T_CHECK(plan_next(&v, now).act == PLAN_REMOVE && plan_next(&v, now).step == STEP_MACHINE, "the machine first");
	T_CHECK(play(&v, 0, &now, &forgotten) == 4 && forgotten, "and forgotten at the end");
}

/* From every state a workload can be in, with any single failure on the way, what is wanted becomes true. */
static void a_tag_is_looked_up_below_what_runs(void)
{
	struct plan_view v = { .want = WANT_UP, .stale = 1 };
	struct plan_order o;

	for (int s = STEP_IMAGE; s <= STEP_MACHINE; s++) {
		o = plan_next(&v, 5);
		T_CHECK(o.act == PLAN_APPLY && o.step == (enum plan_step)s, "what ran before comes up first: step %d", s);
		v.steps[s] = STEP_DONE;
	}
	o = plan_next(&v, 5);
	T_CHECK(o.act == PLAN_APPLY && o.step == STEP_IMAGE, "then the tag");
	v.retry_at_ms = 7;
	o = plan_next(&v, 5);
	T_CHECK(o.act == PLAN_WAIT && o.until_ms == 7, "and again later");
	v.want = WANT_PAUSED;
	T_CHECK(plan_next(&v, 5).act == PLAN_REMOVE, "not for what is paused");
}

static void every_start_reaches_its_end(void)
{
	static const enum plan_step_state from[] = { STEP_ABSENT, STEP_DONE, STEP_FAILED, STEP_UNKNOWN };

	for (int code = 0; code < 64; code++)
		for (int want = 0; want < WANTS; want++)
			for (unsigned fail_at = 0; fail_at < 6; fail_at++) {
				struct plan_view v = { .want = want, .changed = code & 1, .stale = code & 2 };
				uint64_t now = 1000;
				int forgotten;

				for (int s = STEP_IMAGE, c = code; s <= STEP_MACHINE; s++, c /= 4)
					v.steps[s] = from[c % 4];
				T_CHECK(play(&v, fail_at, &now, &forgotten), "code %d want %d fail %u never ends", code, want, fail_at);
				T_CHECK(forgotten == (want == WANT_GONE), "code %d want %d", code, want);
				T_CHECK(v.steps[STEP_MACHINE] == (want == WANT_UP ? STEP_DONE : STEP_ABSENT), "code %d want %d", code, want);
			}
}

static void a_failure_removes_nothing(void)
{
	for (int failed = STEP_IMAGE; failed <= STEP_MACHINE; failed++) {
		struct plan_view v = { .want = WANT_UP, .retry_at_ms = 2000, .attempts = 1 };
		struct plan_order o;

		for (int s = STEP_IMAGE; s <= STEP_MACHINE; s++)
			v.steps[s] = s < failed ? STEP_DONE : s == failed ? STEP_FAILED : STEP_ABSENT;
		o = plan_next(&v, 1999);
		T_CHECK(o.act == PLAN_WAIT && o.until_ms == 2000, "waits");
		o = plan_next(&v, 2000);
		T_CHECK(o.act == PLAN_APPLY && o.step == (enum plan_step)failed, "tries the same step again");
	}
}

static void a_change_restarts_only_the_machine(void)
{
	struct plan_view v = { .want = WANT_UP, .steps = { STEP_ABSENT, STEP_DONE, STEP_DONE, STEP_DONE }, .changed = 1 };
	struct plan_order o = plan_next(&v, 0);

	T_CHECK(o.act == PLAN_REMOVE && o.step == STEP_MACHINE, "stop the old one");
	v.steps[STEP_IMAGE] = STEP_ABSENT;
	o = plan_next(&v, 0);
	T_CHECK(o.act == PLAN_APPLY && o.step == STEP_IMAGE, "but not before the new image is here");
	v.steps[STEP_IMAGE] = STEP_FAILED;
	v.retry_at_ms = 9;
	T_CHECK(plan_next(&v, 0).act == PLAN_WAIT, "and for as long as it is not, the old one runs");
}

/* Of a view that nobody knows yet it is all the same: it is brought up, and goes; what may run meanwhile goes on, except under what is to be changed
 * when no machine has it. */
static void what_is_not_known_yet_may_be_there(void)
{
	struct plan_view v = plan_begin(PLAN_MACHINE);
	uint64_t now = 0;
	int forgotten;

	T_CHECK(!plan_is_known(&v, STEP_MACHINE) && v.steps[STEP_MACHINE] != STEP_ABSENT && v.steps[STEP_STORAGE] == STEP_ABSENT,
		"its own steps alone");
	v.blocked = v.changed = 1;
	T_CHECK(plan_next(&v, 0).act == PLAN_APPLY && plan_next(&v, 0).step == STEP_IMAGE, "it goes on");
	v.vacate = 1;
	T_CHECK(plan_next(&v, 0).act == PLAN_REMOVE && plan_next(&v, 0).step == STEP_MACHINE, "it leaves");
	v = plan_begin(PLAN_MACHINE);
	v.want = WANT_PAUSED;
	T_CHECK(play(&v, 0, &now, &forgotten) == 2 && v.steps[STEP_MACHINE] == STEP_ABSENT && !forgotten, "it is put down");
	v = plan_begin(PLAN_MACHINE);
	v.want = WANT_GONE;
	T_CHECK(play(&v, 0, &now, &forgotten) == 4 && forgotten, "three steps are taken down");
}

/* A machine waits for what it mounts with all else done, and stops when that goes away; neither is a failure. */
static void a_machine_waits_for_its_storage(void)
{
	struct plan_view v = { .want = WANT_UP, .blocked = 1 };
	uint64_t now = 0;
	int forgotten;

	T_CHECK(play(&v, 0, &now, &forgotten) == 3, "image and network");
	T_CHECK(v.steps[STEP_NETWORK] == STEP_DONE && v.steps[STEP_MACHINE] == STEP_ABSENT, "the machine waits");
	v.blocked = 0;
	T_CHECK(play(&v, 0, &now, &forgotten) == 2 && v.steps[STEP_MACHINE] == STEP_DONE, "and starts when it is there");
	v.blocked = 1;
	T_CHECK(play(&v, 0, &now, &forgotten) == 2 && v.steps[STEP_MACHINE] == STEP_ABSENT, "it stops when that is gone");
	T_CHECK(v.steps[STEP_IMAGE] == STEP_DONE && v.steps[STEP_NETWORK] == STEP_DONE, "and nothing else goes");
	v.want = WANT_GONE;
	T_CHECK(play(&v, 0, &now, &forgotten) && forgotten, "not wanted, it goes");
}

static void storage_stays_while_a_machine_has_it(void)
{
	struct plan_view v = { .kind = PLAN_STORAGE, .want = WANT_UP };
	uint64_t now = 0;
	int forgotten;

	T_CHECK(play(&v, 2, &now, &forgotten) == 2 && v.steps[STEP_STORAGE] == STEP_DONE, "one step");
	v.want = WANT_PAUSED;
	T_CHECK(plan_next(&v, now).act == PLAN_NOTHING, "paused, it stays");
	v.want = WANT_UP;
	v.steps[STEP_STORAGE] = STEP_FAILED;
	v.exclusive = v.blocked = 1;
	T_CHECK(plan_next(&v, now).act == PLAN_NOTHING, "something is to be done with it that needs it alone");
	v.blocked = 0;
	T_CHECK(plan_next(&v, now).act == PLAN_APPLY, "and is done then");
	v.exclusive = 0;
	v.want = WANT_GONE;
	v.blocked = 1;
	T_CHECK(plan_next(&v, now).act == PLAN_NOTHING, "a machine has it");
	v.blocked = 0;
	T_CHECK(play(&v, 1, &now, &forgotten) && forgotten && v.steps[STEP_STORAGE] == STEP_ABSENT, "also when the first try fails");
}

static void a_name_is_the_way_to_it_and_then_the_name(void)
{
	struct plan_view v = { .kind = PLAN_GATEWAY, .want = WANT_UP, .unlinked = 1, .blocked = 1 };
	uint64_t now = 0;
	int forgotten;

	T_CHECK(plan_next(&v, now).act == PLAN_NOTHING, "its network does not stand");
	v.unlinked = v.blocked = 0;
	T_CHECK(play(&v, 0, &now, &forgotten) && v.steps[STEP_NETWORK] == STEP_DONE && v.steps[STEP_GATEWAY] == STEP_DONE, "both");
	v.want = WANT_PAUSED;
	T_CHECK(plan_next(&v, now).act == PLAN_REMOVE && plan_next(&v, now).step == STEP_GATEWAY, "paused, nobody is let in");
	v.want = WANT_GONE;
	v.blocked = v.unlinked = 1;
	T_CHECK(play(&v, 1, &now, &forgotten) && forgotten && v.steps[STEP_NETWORK] == STEP_ABSENT, "it goes whatever else stands");
}

static void a_store_is_its_storage_and_then_its_program(void)
{
	struct plan_view v = { .kind = PLAN_STORE, .want = WANT_UP, .blocked = 1 };
	uint64_t now = 0;
	int forgotten;

	T_CHECK(play(&v, 1, &now, &forgotten) && v.steps[STEP_STORAGE] == STEP_DONE && v.steps[STEP_MACHINE] == STEP_ABSENT, "its storage first");
	v.blocked = 0;
	T_CHECK(play(&v, 0, &now, &forgotten) && v.steps[STEP_MACHINE] == STEP_DONE && v.steps[STEP_IMAGE] == STEP_ABSENT, "no image, no network");
	v.changed = 1;
	v.steps[STEP_STORAGE] = STEP_FAILED;
	T_CHECK(plan_next(&v, now).step == STEP_STORAGE, "while there is no more room, it goes on as it was");
	v.steps[STEP_STORAGE] = STEP_DONE;
	T_CHECK(plan_next(&v, now).act == PLAN_REMOVE && plan_next(&v, now).step == STEP_MACHINE, "then it starts anew");
	v.changed = 0;
	v.blocked = 1;
	T_CHECK(plan_next(&v, now).act == PLAN_REMOVE && plan_next(&v, now).step == STEP_MACHINE, "its disk went");
	v.blocked = 0;
	v.want = WANT_PAUSED;
	T_CHECK(play(&v, 0, &now, &forgotten) && v.steps[STEP_MACHINE] == STEP_ABSENT && v.steps[STEP_STORAGE] == STEP_DONE,
		"paused, its data stays");
	v.want = WANT_GONE;
	T_CHECK(play(&v, 0, &now, &forgotten) && forgotten && v.steps[STEP_STORAGE] == STEP_ABSENT, "not wanted, all goes");
}

static void pauses_grow_and_end(void)
{
	uint64_t before = 0;

	T_CHECK(plan_backoff_ms(1, 0) == 1000, "%llu", (unsigned long long)plan_backoff_ms(1, 0));
	for (unsigned n = 1; n < 40; n++) {
		uint64_t pause = plan_backoff_ms(n, 0);

		T_CHECK(pause >= before && pause <= 300000, "attempt %u: %llu", n, (unsigned long long)pause);
		T_CHECK(plan_backoff_ms(n, 12345678) > pause / 2 && plan_backoff_ms(n, 12345678) <= pause, "jitter at %u", n);
		before = pause;
	}
	T_CHECK(before == 300000, "the longest");
}

static void a_network_is_one_step_and_stays_while_machines_have_it(void)
{
	struct plan_view v = { .kind = PLAN_NETWORK, .want = WANT_UP }, machine = { .want = WANT_UP, .blocked = 1, .unlinked = 1 };
	uint64_t now = 5;
	int forgotten;

	T_CHECK(play(&machine, 0, &now, &forgotten) == 2 && machine.steps[STEP_IMAGE] == STEP_DONE && machine.steps[STEP_NETWORK] == STEP_ABSENT,
		"a machine gets no link into what does not stand");
	T_CHECK(play(&v, 0, &now, &forgotten) == 2 && v.steps[STEP_NETWORK] == STEP_DONE, "one step");
	machine.blocked = machine.unlinked = 0;
	T_CHECK(play(&machine, 0, &now, &forgotten) == 3 && machine.steps[STEP_MACHINE] == STEP_DONE, "then it comes up");
	v.want = WANT_GONE;
	v.blocked = 1;
	T_CHECK(play(&v, 0, &now, &forgotten) == 1 && !forgotten && v.steps[STEP_NETWORK] == STEP_DONE, "a machine has it");
	v.blocked = 0;
	T_CHECK(play(&v, 0, &now, &forgotten) == 2 && forgotten && v.steps[STEP_NETWORK] == STEP_ABSENT, "and no more");
}

int main(void)
{
	T_RUN(comes_up_in_order_and_goes_in_reverse);
	T_RUN(a_tag_is_looked_up_below_what_runs);
	T_RUN(every_start_reaches_its_end);
	T_RUN(a_failure_removes_nothing);
	T_RUN(a_change_restarts_only_the_machine);
	T_RUN(what_is_not_known_yet_may_be_there);
	T_RUN(a_machine_waits_for_its_storage);
	T_RUN(storage_stays_while_a_machine_has_it);
	T_RUN(a_name_is_the_way_to_it_and_then_the_name);
	T_RUN(a_store_is_its_storage_and_then_its_program);
	T_RUN(pauses_grow_and_end);
	T_RUN(a_network_is_one_step_and_stays_while_machines_have_it);
	return T_END();
}
