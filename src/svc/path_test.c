/* The table has no holes; one end of a peer whose ways work or do not, as a test's world has it. */
#include "svc/path.h"

#include "test/t.h"

#include <sys/socket.h>

enum { LOOK_MS = 2000, WAYS = 4 };

static void every_cell_is_written(void)
{
	for (int s = 0; s < PATH_STATES; s++)
		for (int ev = 0; ev < PATH_EVENTS; ev++) {
			const struct path_step *c = &path_steps[s][ev];

			T_CHECK(c->act > PATH_ACT_NONE && c->act < PATH_ACTS && c->next < PATH_STATES, "state %d, event %d", s, ev);
			T_CHECK((c->act == PATH_ACT_KEEP) == (ev == PATH_HEARD), "state %d, event %d: who is heard is kept", s, ev);
		}
}

static struct endpoint at_of(uint8_t n)
{
	return (struct endpoint){ .family = AF_INET, .address = { 192, 0, 2, n }, .port = 1 };
}

/* Way I of the world is 192.0.2.I; it works or not. Something flows or not. */
struct world {
	struct path p;
	bool works[WAYS];
	bool flows, dials_us; /* the other end reaches us from 192.0.2.99 */
	struct path_seen seen;
	uint64_t now;
	unsigned n_set, n_lost_looks; /* changes of the way; looks at which a flow had no way */
};

static bool way_works(const struct world *w)
{
	uint8_t n = w->seen.endpoint.address[3];

	return w->seen.endpoint.family && (n < WAYS ? w->works[n] : w->dials_us);
}

static void run(struct world *w, uint64_t ms)
{
	for (uint64_t end = w->now + ms; w->now < end; w->now += LOOK_MS) {
		struct endpoint set;

		if (w->dials_us && !way_works(w))
			w->seen.endpoint = at_of(99);
		w->seen.tx_bytes += w->flows ? 5000 : w->now % 26000 ? 0 : 32;
		if (way_works(w)) {
			w->seen.rx_bytes += w->flows ? 5000 : w->now % 26000 ? 0 : 32;
			if (w->p.state != PATH_SETTLED || w->now % 120000 < LOOK_MS)
				w->seen.handshake_s++;
		}
		w->n_lost_looks += w->flows && !way_works(w);
		if (path_look(&w->p, &w->seen, w->now, &set) != PATH_SET)
			continue;
		w->seen.endpoint = set;
		w->n_set++;
	}
}

static struct world world_make(size_t n, bool has_relay)
{
	struct world w = { .p = PATH_NEW, .now = 1000000 };
	struct endpoint list[WAYS], relay = at_of(3);

	for (size_t i = 0; i < WAYS; i++)
		list[i] = at_of((uint8_t)i);
	path_candidates(&w.p, list, n, w.now);
	path_relays(&w.p, &relay, has_relay, w.now);
	return w;
}

static void the_first_that_works_is_used(void)
{
	for (size_t good = 0; good < WAYS; good++) {
		struct world w = world_make(3, true);

		w.works[good] = true;
		run(&w, 60000);
		T_CHECK(w.p.state == PATH_SETTLED && w.seen.endpoint.address[3] == good, "way %zu: state %d at %u", good, w.p.state,
			w.seen.endpoint.address[3]);
		T_CHECK(path_kind(&w.p) == (good == 3 ? PATH_KIND_RELAY : PATH_KIND_DIRECT), "way %zu is %s", good, path_kind_names[path_kind(&w.p)]);
	}
}

static void nothing_works_and_then_it_does(void)
{
	struct world w = world_make(2, false);

	run(&w, 600000);
	T_CHECK(w.p.state != PATH_SETTLED && path_kind(&w.p) == PATH_KIND_NONE && w.n_set > 10 && w.n_set < 60, "%u tries", w.n_set);
	w.works[1] = true;
	run(&w, 90000);
	T_CHECK(w.p.state == PATH_SETTLED && path_kind(&w.p) == PATH_KIND_DIRECT, "at last");
}

static void who_reaches_us_is_answered(void)
{
	struct world w = world_make(0, false);

	run(&w, 100000);
	T_CHECK(w.p.state == PATH_LOST && !w.n_set, "nowhere to go");
	w.dials_us = true;
	run(&w, 10000);
	T_CHECK(w.p.state == PATH_SETTLED && path_kind(&w.p) == PATH_KIND_LEARNED && !w.n_set, "where it came from");
}

static void a_way_that_dies_is_left(void)
{
	struct world w = world_make(1, true);

	w.works[0] = w.works[3] = true;
	run(&w, 600000);
	T_CHECK(path_kind(&w.p) == PATH_KIND_DIRECT && w.n_set == 1, "direct, and left alone: %u", w.n_set);
	w.works[0] = false;
	run(&w, PATH_SILENT_MS + 30000);
	T_CHECK(path_kind(&w.p) == PATH_KIND_RELAY, "%s", path_kind_names[path_kind(&w.p)]);
}

/* One end asks for relays when it needs one, and they come when it is where it is. */
static void relays_come_when_they_are_needed(void)
{
	struct world w = world_make(2, false);
	struct endpoint relays[] = { at_of(2), at_of(3) };

	run(&w, PATH_TRY_MS - LOOK_MS);
	T_CHECK(w.p.state == PATH_TRYING && !path_needs_relay(&w.p), "the first way may work");
	run(&w, 2 * LOOK_MS);
	T_CHECK(w.p.at == 1 && path_needs_relay(&w.p), "it does not");
	path_relays(&w.p, relays, 1, w.now);
	T_CHECK(w.p.state == PATH_TRYING && w.p.at == 1, "the second is tried all the same");
	path_relays(&w.p, relays, 0, w.now);
	run(&w, 2 * PATH_TRY_MS);
	T_NEED(w.p.state == PATH_LOST && path_needs_relay(&w.p), "nor does that");
	w.works[2] = true;
	path_relays(&w.p, relays, 2, w.now);
	run(&w, 2 * LOOK_MS);
	T_CHECK(path_kind(&w.p) == PATH_KIND_RELAY && w.seen.endpoint.address[3] == 2 && !path_needs_relay(&w.p), "at once");
	w.works[2] = false;
	w.works[3] = true;
	run(&w, PATH_RELAY_SILENT_MS + 4 * PATH_TRY_MS);
	T_CHECK(path_kind(&w.p) == PATH_KIND_RELAY && w.seen.endpoint.address[3] == 3, "the other, once the first is dead");
	path_relays(&w.p, relays, 1, w.now);
	T_CHECK(w.p.state == PATH_SETTLED && path_kind(&w.p) == PATH_KIND_LEARNED, "it works, whatever is said of it");
}

/* The direct way comes back: looked for when nothing flows, and not before. */
static void a_flow_over_the_relay_is_not_broken(void)
{
	struct world w = world_make(1, true);
	unsigned set;

	w.works[3] = true;
	run(&w, 60000);
	T_NEED(path_kind(&w.p) == PATH_KIND_RELAY, "relay");
	w.works[0] = w.flows = true;
	set = w.n_set;
	run(&w, 10 * PATH_AGAIN_MS);
	T_CHECK(path_kind(&w.p) == PATH_KIND_RELAY && w.n_set == set && !w.n_lost_looks, "%u changes, %u lost", w.n_set - set, w.n_lost_looks);
	w.flows = false;
	run(&w, PATH_AGAIN_MS);
	T_CHECK(path_kind(&w.p) == PATH_KIND_DIRECT && w.n_set == set + 1, "when it is quiet");
}

static void candidates_change(void)
{
	struct world w = world_make(2, true);
	struct endpoint list[] = { at_of(1), at_of(2) };
	unsigned set;

	w.works[1] = w.flows = true;
	run(&w, 60000);
	T_NEED(path_kind(&w.p) == PATH_KIND_DIRECT, "direct");
	set = w.n_set;
	w.n_lost_looks = 0;
	path_candidates(&w.p, list, 2, w.now);
	path_candidates(&w.p, list, 2, w.now);
	run(&w, 60000);
	T_CHECK(w.n_set == set && !w.n_lost_looks && path_kind(&w.p) == PATH_KIND_DIRECT, "the way in use is among the new ones");
	path_candidates(&w.p, list, 0, w.now);
	run(&w, 60000);
	T_CHECK(w.n_set == set && path_kind(&w.p) == PATH_KIND_LEARNED, "it is not, and works all the same");
	w.works[1] = false;
	w.works[3] = true;
	run(&w, PATH_SILENT_MS + 30000);
	T_CHECK(path_kind(&w.p) == PATH_KIND_RELAY, "until it does not");
	w.works[2] = true;
	path_candidates(&w.p, list, 2, w.now);
	w.n_lost_looks = 0;
	run(&w, 30000);
	T_CHECK(path_kind(&w.p) == PATH_KIND_RELAY && !w.n_lost_looks, "a new one is better, but something flows");
	w.flows = false;
	run(&w, 2 * PATH_IDLE_MS);
	T_CHECK(path_kind(&w.p) == PATH_KIND_DIRECT && w.seen.endpoint.address[3] == 2, "and then it does not");
}

static void too_many_are_left_out(void)
{
	struct endpoint list[2 * PATH_CANDIDATES_MAX], relays[] = { at_of(200), at_of(201), at_of(202) };
	struct path p = PATH_NEW;

	for (size_t i = 0; i < 2 * PATH_CANDIDATES_MAX; i++)
		list[i] = at_of((uint8_t)(10 + i));
	path_relays(&p, relays, ARRAY_LEN(relays), 1);
	path_candidates(&p, list, 2 * PATH_CANDIDATES_MAX, 1);
	T_CHECK(p.n_ways == PATH_CANDIDATES_MAX + PATH_RELAYS_MAX && endpoint_eq(&p.ways[PATH_CANDIDATES_MAX], &relays[0]) &&
			endpoint_eq(&p.ways[PATH_CANDIDATES_MAX + 1], &relays[1]),
		"%zu", p.n_ways);
}

int main(void)
{
	T_RUN(every_cell_is_written);
	T_RUN(the_first_that_works_is_used);
	T_RUN(nothing_works_and_then_it_does);
	T_RUN(who_reaches_us_is_answered);
	T_RUN(a_way_that_dies_is_left);
	T_RUN(relays_come_when_they_are_needed);
	T_RUN(a_flow_over_the_relay_is_not_broken);
	T_RUN(candidates_change);
	T_RUN(too_many_are_left_out);
	return T_END();
}
