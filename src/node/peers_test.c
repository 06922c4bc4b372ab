/* The table has no holes; what two nodes do over a line that loses, doubles and reorders ends with both on the same meeting. */
#include "node/peers.h"

#include "test/seeds.h"
#include "test/t.h"

#define NET "blog/net"

static const struct peers_times quick = {
	.first_ms = 2000, .patience_ms = 15000, .answer_ms = 45000, .renew_ms = 7200000, .pause_min_ms = 1000, .pause_max_ms = 300000
};
static const uint64_t unix_ms = 1700000000000;

static struct key_pub low = { .role = KEY_NODE, .bytes = { 1 } }, high = { .role = KEY_NODE, .bytes = { 2 } },
		      owner = { .role = KEY_USER, .bytes = { 3 } };

static struct peers table_of(const struct key_pub *self)
{
	struct peers p;

	peers_init(&p, self, &quick, 7);
	return p;
}

static void every_cell_is_written(void)
{
	for (int s = 0; s < PEER_STATES; s++)
		for (int ev = 0; ev < PEER_EVENTS; ev++) {
			const struct peer_step *c = &peer_steps[s][ev];

			T_CHECK(c->act > PEER_ACT_NONE && c->act < PEER_ACTS && c->next < PEER_STATES, "state %d, event %d", s, ev);
			T_CHECK((c->act == PEER_ACT_DIAL) ==
					(c->next != (enum peer_state)s && (c->next == PEER_DIALLING || c->next == PEER_RENEWING)),
				"state %d, event %d: what dials is under way, and nothing else becomes so", s, ev);
			T_CHECK((c->act == PEER_ACT_NOTE) == (ev == PEER_TAKEN), "state %d, event %d", s, ev);
		}
}

static struct peer *want(struct peers *p, const struct key_pub *node, const char *network)
{
	T_NEED(!peers_want(p, node, &owner, network, 0), "want");
	return peers_find(p, node, &owner, network);
}

static void the_lower_key_dials_first(void)
{
	CLEANUP(peers_deinit) struct peers a = table_of(&low), b = table_of(&high);
	struct peer *x = want(&a, &high, NET), *y = want(&b, &low, NET);

	T_CHECK(peers_next(&a, 0, unix_ms) == x && x->state == PEER_DIALLING && x->proposed == unix_ms && x->id, "the lower at once");
	T_CHECK(!peers_next(&a, 0, unix_ms), "once");
	T_CHECK(!peers_next(&b, quick.first_ms - 1, unix_ms) && peers_due_ms(&b) == quick.first_ms, "the higher waits");
	T_CHECK(peers_next(&b, quick.first_ms, unix_ms) == y, "not for ever");
	T_CHECK(!peers_offered(&b, y, unix_ms + 1, 100, unix_ms) && y->state == PEER_MET, "and takes what comes");
}

static void failures_wait_longer_and_longer(void)
{
	CLEANUP(peers_deinit) struct peers p = table_of(&low);
	struct peer *x = want(&p, &high, NET);
	uint64_t now = 0, pause = quick.pause_min_ms;

	for (unsigned i = 0; i < 20; i++) {
		T_NEED(peers_next(&p, now, unix_ms + now) == x, "try %u", i);
		peers_failed(&p, x, "nobody there", now);
		T_CHECK(x->state == PEER_WANTED && !x->id && !strcmp(x->why, "nobody there"), "try %u", i);
		T_CHECK(x->due_ms - now >= pause - pause / 4 && x->due_ms - now < pause + pause / 4 + 1, "try %u waits %llu", i,
			(unsigned long long)(x->due_ms - now));
		now = x->due_ms;
		pause = 2 * pause > quick.pause_max_ms ? quick.pause_max_ms : 2 * pause;
	}
	T_NEED(peers_next(&p, now, unix_ms + now) == x, "again");
	T_CHECK(!peers_answered(&p, x, now, unix_ms + now) && x->state == PEER_MET && !x->tries && !x->why[0], "met at last");
}

static void a_key_is_renewed_in_time(void)
{
	CLEANUP(peers_deinit) struct peers p = table_of(&low);
	struct peer *x = want(&p, &high, NET);
	uint64_t first;

	T_NEED(peers_next(&p, 0, unix_ms) == x && !peers_answered(&p, x, 10, unix_ms), "met");
	first = x->taken;
	T_CHECK(x->due_ms <= 10 + quick.renew_ms && x->due_ms > 10 + quick.renew_ms - quick.renew_ms / 8, "within two hours");
	T_NEED(peers_next(&p, x->due_ms, unix_ms) == x && x->state == PEER_RENEWING && x->proposed > first,
	       "renewing, above the last even with a clock that stands");
	peers_failed(&p, x, "no way", x->due_ms);
	T_CHECK(x->state == PEER_STALE, "the old key is stale");
	T_NEED(peers_next(&p, x->due_ms, unix_ms) == x && !peers_answered(&p, x, x->due_ms, unix_ms) && x->state == PEER_MET, "and met again");
}

static void no_answer_is_a_failure(void)
{
	CLEANUP(peers_deinit) struct peers p = table_of(&low);
	struct peer *x = want(&p, &high, NET);
	uint64_t id;

	T_NEED(peers_next(&p, 0, unix_ms) == x, "dial");
	id = x->id;
	T_CHECK(peers_under_way(&p, id) == x && !peers_under_way(&p, 0), "by its id");
	T_CHECK(!peers_next(&p, quick.answer_ms, unix_ms) && x->state == PEER_WANTED && !peers_under_way(&p, id), "its time is over");
	T_NEED(peers_next(&p, x->due_ms, unix_ms) == x && x->id != id, "another one");
	peers_line_down(&p, 99);
	T_CHECK(x->state == PEER_WANTED && !x->id && x->why[0], "the line is down");
}

static void networks_of_one_node_are_renewed_together(void)
{
	CLEANUP(peers_deinit) struct peers p = table_of(&low);
	struct key_pub third = { .role = KEY_NODE, .bytes = { 9 } };
	struct peer *list[] = { want(&p, &high, "a/a"), want(&p, &high, "b/b"), want(&p, &third, "c/c") };
	uint64_t due = UINT64_MAX;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		T_NEED(peers_next(&p, 0, unix_ms) == list[i] && !peers_answered(&p, list[i], 1000 * i, unix_ms), "met");
	list[2]->due_ms = UINT64_MAX / 2;
	due = peers_due_ms(&p);
	while (peers_next(&p, due, unix_ms))
		n++;
	T_CHECK(n == 2 && list[0]->state == PEER_RENEWING && list[1]->state == PEER_RENEWING && list[2]->state == PEER_MET, "%zu", n);
}

static void a_change_is_said_at_once(void)
{
	CLEANUP(peers_deinit) struct peers p = table_of(&high);
	struct peer *x = want(&p, &low, NET);

	peers_changed(&p, &owner, "other/net", 5);
	T_CHECK(!peers_next(&p, 5, unix_ms), "another network's");
	peers_changed(&p, &owner, NET, 5);
	T_NEED(peers_next(&p, 5, unix_ms) == x, "ours");
	peers_changed(&p, &owner, NET, 6);
	T_CHECK(!peers_next(&p, 6, unix_ms) && x->again, "one is under way");
	T_NEED(!peers_answered(&p, x, 7, unix_ms) && peers_next(&p, 7, unix_ms) == x, "once more");
	T_CHECK(!x->again && !peers_answered(&p, x, 8, unix_ms) && !peers_next(&p, 8, unix_ms), "and no more");
	peers_changed(&p, &owner, NET, 9);
	T_NEED(peers_next(&p, 9, unix_ms) == x && !peers_offered(&p, x, x->proposed + 1, 10, unix_ms), "overtaken by the other's");
	peers_failed(&p, x, "too late", 11);
	T_CHECK(x->state == PEER_MET && !x->why[0] && !x->id, "its failure is nobody's: '%s'", x->why);
}

static void sequences(void)
{
	CLEANUP(peers_deinit) struct peers a = table_of(&low), b = table_of(&high);
	struct peer *x = want(&a, &high, NET), *y = want(&b, &low, NET);

	T_CHECK(!peers_offered(&b, y, unix_ms, 0, unix_ms) && y->taken == unix_ms, "taken");
	T_CHECK(peers_offered(&b, y, unix_ms, 0, unix_ms) == PEERS_OLD, "not twice");
	T_CHECK(peers_offered(&b, y, unix_ms - 1, 0, unix_ms) == PEERS_OLD, "not an older one");
	T_CHECK(peers_offered(&b, y, unix_ms + PEERS_AHEAD_MS + 1, 0, unix_ms) == PEERS_AHEAD, "not from the future");
	T_CHECK(!peers_offered(&b, y, unix_ms + PEERS_AHEAD_MS, 0, unix_ms), "clocks differ a little");
	T_CHECK(!peers_offered(&b, y, 5000, 0, 1000), "a clock that was set back makes nobody wait for years");
	/* both propose the same */
	peers_changed(&b, &owner, NET, 1);
	T_NEED(peers_next(&a, 1, unix_ms) == x && peers_next(&b, 1, unix_ms) == y && x->proposed == unix_ms && y->proposed == unix_ms, "both");
	T_CHECK(peers_offered(&a, x, unix_ms, 2, unix_ms) == PEERS_OLD, "the lower holds on to its own");
	T_CHECK(!peers_offered(&b, y, unix_ms, 2, unix_ms), "the higher gives way");
	T_CHECK(peers_answered(&b, y, 3, unix_ms) == PEERS_LATE, "and takes no answer to its own");
	/* the other may have taken what it never answered */
	T_NEED(peers_next(&a, quick.answer_ms + 1, unix_ms) == NULL && x->state == PEER_WANTED && !x->taken, "no answer came");
	T_CHECK(peers_offered(&a, x, unix_ms - 1, 0, unix_ms) == PEERS_OLD, "nothing below what was proposed");
	T_CHECK(!peers_offered(&a, x, unix_ms + 1, 0, unix_ms), "above it");
}

static void limits(void)
{
	CLEANUP(peers_deinit) struct peers p = table_of(&low);
	struct key_pub n = { .role = KEY_NODE }, user = { .role = KEY_USER };
	size_t flying = 0;

	T_CHECK(peers_want(&p, &low, &owner, NET, 0) == -ELOOP, "itself");
	T_CHECK(peers_want(&p, &high, &owner, "net", 0) == -EINVAL && peers_want(&p, &user, &owner, NET, 0) == -EINVAL, "no network, no node");
	for (unsigned i = 0; i < PEERS_NODES_MAX; i++) {
		n.bytes[0] = (uint8_t)(10 + i);
		T_CHECK(!peers_want(&p, &n, &owner, NET, 0) && !peers_want(&p, &n, &owner, NET, 0), "node %u", i);
	}
	n.bytes[0] = 200;
	T_CHECK(peers_want(&p, &n, &owner, NET, 0) == -ENOSPC, "one node more");
	for (unsigned i = 1; p.n < PEERS_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%u/net", i);
		n.bytes[0] = 10;
		T_NEED(!peers_want(&p, &n, &owner, name, 0), "network %u", i);
	}
	T_CHECK(peers_want(&p, &n, &owner, "one/more", 0) == -ENOSPC, "one network more");
	while (peers_next(&p, 0, unix_ms))
		flying++;
	T_CHECK(flying == PEERS_FLIGHT_MAX && peers_due_ms(&p) == quick.answer_ms, "%zu under way", flying);
	peers_failed(&p, &p.list[0], "no", 1);
	T_CHECK(peers_due_ms(&p) == 0 && peers_next(&p, 1, unix_ms), "the next has its turn");
	n = p.list[3].node;
	peers_forget(&p, &n, &owner, p.list[3].network);
	T_CHECK(p.n == PEERS_MAX - 1, "forgotten");
}

/* Two ends, and what is under way between them: orders and answers, in any order, some lost. */
enum { MESSAGES_MAX = 64 };
struct message {
	int to;            /* which end */
	bool is_answer;
	uint64_t id, sequence;
};
struct world {
	struct peers p[2];
	struct peer *x[2];
	struct message list[MESSAGES_MAX];
	size_t n;
	uint64_t key[2]; /* sequence of the meeting whose key each end has */
	unsigned n_same; /* how often all was said and both had met */
	uint64_t now, seed;
	unsigned loss; /* of 100 */
	int64_t skew_ms; /* of the second clock */
};

static uint64_t draw(struct world *w, uint64_t below)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return (w->seed >> 3) % below;
}

static uint64_t clock_of(const struct world *w, int end)
{
	return unix_ms + w->now + (end ? (uint64_t)w->skew_ms : 0);
}

static void post(struct world *w, int to, bool is_answer, uint64_t id, uint64_t sequence)
{
	if (w->n < MESSAGES_MAX && draw(w, 100) >= w->loss)
		w->list[w->n++] = (struct message){ to, is_answer, id, sequence };
}

static void arrive(struct world *w, struct message m)
{
	struct peers *p = &w->p[m.to];
	struct peer *x = m.is_answer ? peers_under_way(p, m.id) : w->x[m.to];
	bool is_taken = false;

	if (m.is_answer)
		is_taken = x && !peers_answered(p, x, w->now, clock_of(w, m.to));
	else
		is_taken = !peers_offered(p, x, m.sequence, w->now, clock_of(w, m.to));
	if (is_taken)
		w->key[m.to] = m.sequence;
	if (is_taken && !m.is_answer)
		post(w, !m.to, true, m.id, m.sequence);
}

/* Nothing is on its way, and both believe that they have met: then they have met each other. */
static void same_check(struct world *w, unsigned seed)
{
	if (w->n || w->x[0]->state != PEER_MET || w->x[1]->state != PEER_MET)
		return;
	w->n_same++;
	T_NEED(w->key[0] == w->key[1], "seed %u at %llu ms: keys of %llu and %llu", seed, (unsigned long long)w->now, (unsigned long long)w->key[0],
	       (unsigned long long)w->key[1]);
}

static void dial_all(struct world *w)
{
	struct peer *x;

	for (int end = 0; end < 2; end++)
		while ((x = peers_next(&w->p[end], w->now, clock_of(w, end))))
			post(w, !end, false, x->id, x->proposed);
}

static void step(struct world *w, bool changes)
{
	dial_all(w);
	if (w->n && draw(w, 2)) {
		size_t i = draw(w, w->n);
		struct message m = w->list[i];

		w->list[i] = w->list[--w->n];
		arrive(w, m);
	} else if (changes && !draw(w, 6)) {
		peers_changed(&w->p[draw(w, 2)], &owner, NET, w->now);
	}
	w->now += draw(w, 4) ? draw(w, 4) : draw(w, 2000);
}

static void world_run(unsigned seed)
{
	struct world w = { .seed = seed * 2ull + 1, .loss = seed % 3 * 20 };

	w.skew_ms = (int64_t)draw(&w, 60000) - 30000;
	w.p[0] = table_of(&low);
	w.p[1] = table_of(&high);
	w.x[0] = want(&w.p[0], &high, NET);
	w.x[1] = want(&w.p[1], &low, NET);
	for (unsigned i = 0; i < 3000; i++) {
		step(&w, i % 100 < 60); /* storms, and calm between them */
		same_check(&w, seed);
	}
	T_CHECK(w.n_same, "seed %u: never met", seed);
	w.loss = 0;
	for (uint64_t end_ms = w.now + 900000; w.now < end_ms;)
		step(&w, false);
	while (w.n)
		arrive(&w, w.list[--w.n]);
	T_CHECK(w.x[0]->state == PEER_MET && w.x[1]->state == PEER_MET && w.key[0] == w.key[1], "seed %u: in the end", seed);
	peers_deinit(&w.p[0]);
	peers_deinit(&w.p[1]);
}

static void both_end_on_the_same_meeting(void)
{
	seeds_run(world_run, 300);
}

int main(void)
{
	T_RUN(every_cell_is_written);
	T_RUN(the_lower_key_dials_first);
	T_RUN(failures_wait_longer_and_longer);
	T_RUN(a_key_is_renewed_in_time);
	T_RUN(no_answer_is_a_failure);
	T_RUN(networks_of_one_node_are_renewed_together);
	T_RUN(a_change_is_said_at_once);
	T_RUN(sequences);
	T_RUN(limits);
	T_RUN(both_end_on_the_same_meeting);
	return T_END();
}
