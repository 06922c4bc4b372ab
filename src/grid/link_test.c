/* Two links over a network that loses, doubles, delays and reorders, on time that the test owns. */
#include "grid/link.h"

#include "test/t.h"

enum { FLYING_MAX = 4096, RUN_MAX_MS = 600000 };

struct message {
	uint64_t at_ms;
	int to;
	size_t n;
	uint8_t *bytes;
};

struct end {
	struct link link;
	uint64_t sent, received, total; /* bytes of the stream */
	bool ended;
};

struct world {
	uint64_t seed, now_ms;
	struct end end[2];
	struct message flying[FLYING_MAX];
	size_t n_flying;
	uint64_t outage_from_ms, outage_to_ms;
	unsigned lose, twice, late; /* of 1000 */
	uint64_t last_at_ms[2];
};

static uint64_t draw(struct world *w)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return w->seed * 0x2545f4914f6cdd1dull;
}

static bool chance(struct world *w, unsigned per_mille)
{
	return draw(w) >> 33 < (uint64_t)per_mille * ((1ull << 31) / 1000);
}

/* The stream itself: byte AT of the stream that end WHO sends. */
static uint8_t byte_at(int who, uint64_t at)
{
	return (uint8_t)(at * 2654435761u >> 7 ^ at >> 11 ^ (uint64_t)who * 91);
}

static void launch(struct world *w, int to, const uint8_t *p, size_t n)
{
	uint64_t at = w->now_ms + 1 + draw(w) % 5;

	if (w->n_flying == FLYING_MAX || chance(w, w->lose))
		return;
	if (w->now_ms >= w->outage_from_ms && w->now_ms < w->outage_to_ms)
		return;
	if (chance(w, w->late))
		at += draw(w) % 400;
	else if (at < w->last_at_ms[to]) /* mostly in order, as NATS has it */
		at = w->last_at_ms[to];
	else
		w->last_at_ms[to] = at;
	w->flying[w->n_flying] = (struct message){ at, to, n, malloc(n) };
	memcpy(w->flying[w->n_flying++].bytes, p, n);
}

static void land(struct world *w, size_t i)
{
	struct message m = w->flying[i];
	struct frame f;

	memmove(&w->flying[i], &w->flying[i + 1], (--w->n_flying - i) * sizeof(m));
	T_NEED(!frame_decode(m.bytes, m.n, &f), "own frame does not decode");
	link_input(&w->end[m.to].link, &f, m.bytes + FRAME_HEAD, w->now_ms);
	free(m.bytes);
}

static void feed(struct world *w, int who)
{
	struct end *e = &w->end[who];
	uint8_t piece[5000];
	size_t n = 1 + draw(w) % sizeof(piece);

	if (n > e->total - e->sent)
		n = (size_t)(e->total - e->sent);
	for (size_t i = 0; i < n; i++)
		piece[i] = byte_at(who, e->sent + i);
	e->sent += link_write(&e->link, piece, n);
	if (e->sent == e->total)
		link_finish(&e->link);
}

static bool drain(struct world *w, int who)
{
	struct end *e = &w->end[who];
	uint8_t piece[7000];
	size_t n = link_read(&e->link, piece, 1 + draw(w) % sizeof(piece));

	for (size_t i = 0; i < n; i++)
		if (piece[i] != byte_at(!who, e->received + i))
			return false;
	e->received += n;
	e->ended = link_ended(&e->link);
	return true;
}

static void speak(struct world *w, int who)
{
	uint8_t out[FRAME_MAX];
	size_t n;

	while ((n = link_output(&w->end[who].link, out, w->now_ms))) {
		launch(w, !who, out, n);
		if (chance(w, w->twice))
			launch(w, !who, out, n);
	}
}

static bool bounded(const struct link *l)
{
	return l->out.len <= LINK_WINDOW && l->in.len <= LINK_WINDOW;
}

static bool step(struct world *w)
{
	for (size_t i = 0; i < w->n_flying;)
		if (w->flying[i].at_ms <= w->now_ms)
			land(w, i);
		else
			i++;
	for (int who = 0; who < 2; who++) {
		link_tick(&w->end[who].link, w->now_ms);
		feed(w, who);
		if (!drain(w, who) || !bounded(&w->end[who].link))
			return false;
		speak(w, who);
	}
	return true;
}

static void world_init(struct world *w, uint64_t seed, uint64_t n_bytes)
{
	*w = (struct world){ .seed = seed * 0x9e3779b97f4a7c15ull + 1, .now_ms = 1000 };
	for (int who = 0; who < 2; who++) {
		link_init(&w->end[who].link, !who, 4711, w->now_ms);
		w->end[who].total = n_bytes;
	}
}

static void world_deinit(struct world *w)
{
	while (w->n_flying)
		free(w->flying[--w->n_flying].bytes);
	link_deinit(&w->end[0].link);
	link_deinit(&w->end[1].link);
}

static bool both_closed(const struct world *w)
{
	for (int who = 0; who < 2; who++)
		if (w->end[who].link.state != LINK_CLOSED || w->end[who].link.in.len)
			return false;
	return true;
}

/* Milliseconds until both are closed; 0 when a byte was wrong or a bound was passed. A closed side is gone: whoever
 * still speaks to it is told so, as grid does. */
static uint64_t run(struct world *w)
{
	for (uint64_t t = 0; t < RUN_MAX_MS; t++, w->now_ms++) {
		if (!step(w))
			return 0;
		for (int who = 0; who < 2; who++)
			if (w->end[who].link.state == LINK_CLOSED && w->end[who].link.end == LINK_END_CLEAN && chance(w, 20))
				link_input(&w->end[!who].link, &(struct frame){ .type = FRAME_RESET, .session = 4711, .len = LINK_END_UNKNOWN }, NULL,
					   w->now_ms);
		if (both_closed(w))
			return t + 1;
	}
	return 0;
}

static bool whole(const struct world *w)
{
	for (int who = 0; who < 2; who++)
		if (!w->end[who].ended || w->end[who].received != w->end[!who].total)
			return false;
	return true;
}

static const struct weather {
	const char *name;
	unsigned lose, twice, late;
	uint64_t outage_ms;
	uint64_t bytes;
	int seeds;
} weathers[] = {
	{ "calm", 0, 0, 0, 0, 1 << 20, 5 },
	{ "loss", 50, 0, 0, 0, 300000, 30 },
	{ "heavy loss", 300, 0, 0, 0, 60000, 20 },
	{ "doubles", 0, 300, 0, 0, 300000, 20 },
	{ "reordering", 0, 0, 200, 0, 300000, 20 },
	{ "everything", 100, 100, 100, 0, 100000, 60 },
	{ "a hub that is away for 12 s", 10, 10, 10, 12000, 400000, 20 },
	{ "nothing to send", 50, 50, 50, 0, 0, 20 },
};

static void streams_arrive_whole(void)
{
	static struct world w;

	for (size_t i = 0; i < ARRAY_LEN(weathers); i++)
		for (int seed = 1; seed <= weathers[i].seeds; seed++) {
			const struct weather *c = &weathers[i];
			uint64_t took;

			world_init(&w, (uint64_t)seed, c->bytes);
			w.lose = c->lose;
			w.twice = c->twice;
			w.late = c->late;
			w.outage_from_ms = 1000 + (uint64_t)seed * 7;
			w.outage_to_ms = w.outage_from_ms + c->outage_ms;
			took = run(&w);
			T_CHECK(took && whole(&w), "%s, seed %d: state %d/%d end %d/%d received %llu/%llu", c->name, seed, w.end[0].link.state,
				w.end[1].link.state, w.end[0].link.end, w.end[1].link.end, (unsigned long long)w.end[0].received,
				(unsigned long long)w.end[1].received);
			T_CHECK(w.end[0].link.end == LINK_END_CLEAN && w.end[1].link.end == LINK_END_CLEAN, "%s, seed %d", c->name, seed);
			if (c->outage_ms)
				T_CHECK(took < c->outage_ms + 6000, "seed %d: stalled %llu ms after the outage", seed,
					(unsigned long long)(took - c->outage_ms));
			world_deinit(&w);
		}
}

static void a_long_silence_breaks_it(void)
{
	static struct world w;

	world_init(&w, 3, 1 << 22);
	w.outage_from_ms = 1200;
	w.outage_to_ms = UINT64_MAX;
	T_CHECK(run(&w) >= LINK_DEAD_MS, "too early");
	for (int who = 0; who < 2; who++) {
		T_CHECK(w.end[who].link.end == LINK_END_SILENT, "%s", link_end_text(w.end[who].link.end));
		T_CHECK(w.now_ms <= 1200 + LINK_DEAD_MS + 100, "at %llu", (unsigned long long)w.now_ms);
	}
	world_deinit(&w);
}

/* An idle pair lives for an hour on a few messages. */
static void idle_is_cheap(void)
{
	static struct world w;
	unsigned messages = 0;

	world_init(&w, 5, 10);
	w.end[0].total = w.end[1].total = 1 << 30;
	for (uint64_t end = w.now_ms + 3600000; w.now_ms < end; w.now_ms++) {
		uint64_t due = link_due_ms(&w.end[0].link), other = link_due_ms(&w.end[1].link);

		due = due < other ? due : other;
		if (!w.n_flying && due > w.now_ms)
			w.now_ms = due;
		while (w.n_flying)
			land(&w, 0);
		for (int who = 0; who < 2; who++) {
			size_t before = w.n_flying;

			link_tick(&w.end[who].link, w.now_ms);
			speak(&w, who);
			messages += (unsigned)(w.n_flying - before);
		}
	}
	T_CHECK(w.end[0].link.state == LINK_UP && w.end[1].link.state == LINK_UP, "an idle session died");
	T_CHECK(messages < 3 * 360 && messages > 300, "%u messages in an hour", messages);
	world_deinit(&w);
}

static void hostile_headers_are_clamped(void)
{
	struct link l;
	struct frame f = { FRAME_CREDIT, 0, 0, 9, 0, 1 << 30, INT64_MAX - 1 };
	uint8_t out[FRAME_MAX], bytes[100] = { 0 };
	uint64_t sent = 0;
	size_t n;

	link_init(&l, false, 9, 1);
	T_CHECK(link_write(&l, bytes, 100) == 100, "write");
	link_input(&l, &f, NULL, 1); /* acknowledges what was never sent, allows everything */
	T_CHECK(l.una == 0 && l.out.len == 100, "an impossible acknowledgement was believed");
	while ((n = link_output(&l, out, 1)))
		sent += n - FRAME_HEAD;
	T_CHECK(sent == 100, "sent %llu", (unsigned long long)sent);
	f = (struct frame){ FRAME_CREDIT, 0, 0, 8, 0, 100, 0 };
	link_input(&l, &f, NULL, 1);
	T_CHECK(l.una == 0, "another session's frame was taken");
	link_deinit(&l);
}

static void nobody_there(void)
{
	struct link l;
	uint8_t out[FRAME_MAX];
	unsigned tries = 0;

	link_init(&l, true, 9, 1);
	for (uint64_t now = 1; l.state != LINK_CLOSED && now < LINK_DEAD_MS; now++) {
		link_tick(&l, now);
		for (; link_output(&l, out, now); tries++)
			link_absent(&l, now);
	}
	T_CHECK(l.end == LINK_END_ABSENT, "%s", link_end_text(l.end));
	T_CHECK(tries >= 3 && tries <= 5, "%u tries", tries);
	link_deinit(&l);
}

/* The hub says now and then that somebody is gone; who answers is not. */
static void who_does_not_answer_a_doubt_is_gone(void)
{
	struct frame here = { .type = FRAME_CREDIT, .session = 7, .limit = LINK_WINDOW };

	for (int answers = 0; answers < 2; answers++) {
		struct link l;
		uint8_t out[FRAME_MAX];
		unsigned asked = 0;
		uint64_t now = 1000, end = now + LINK_GONE_MS + LINK_ABSENT_MS + 2 * LINK_ASK_MAX_MS;

		link_init(&l, false, 7, now);
		link_input(&l, &here, NULL, now);
		for (; now < end && l.state != LINK_CLOSED; now += 50) {
			link_tick(&l, now);
			while (link_output(&l, out, now)) {
				asked++;
				if (answers)
					link_input(&l, &here, NULL, now);
				else
					link_doubt(&l, now);
			}
			if (answers || now < 3000)
				link_doubt(&l, now);
		}
		T_CHECK(answers ? l.state == LINK_UP : l.state == LINK_CLOSED && l.end == LINK_END_ABSENT, "state %d, end %d at %llu", l.state, l.end,
			(unsigned long long)now);
		T_CHECK(asked >= 5 && asked < 40, "asked %u times", asked);
		T_CHECK(answers || now >= 1000 + LINK_GONE_MS, "gone after %llu ms", (unsigned long long)now - 1000);
		link_deinit(&l);
	}
}

int main(void)
{
	T_RUN(streams_arrive_whole);
	T_RUN(a_long_silence_breaks_it);
	T_RUN(idle_is_cheap);
	T_RUN(hostile_headers_are_clamped);
	T_RUN(nobody_there);
	T_RUN(who_does_not_answer_a_doubt_is_gone);
	return T_END();
}
