#include "node/peers.h"

#include <stdio.h>

/* clang-format off */
const struct peer_step peer_steps[PEER_STATES][PEER_EVENTS] = {
	[PEER_WANTED] = {
		[PEER_DUE]     = { PEER_ACT_DIAL,     PEER_DIALLING },
		[PEER_TAKEN]   = { PEER_ACT_NOTE,     PEER_MET },
		[PEER_FAILED]  = { PEER_ACT_IGNORE,   PEER_WANTED },
		[PEER_CHANGED] = { PEER_ACT_AT_ONCE,  PEER_WANTED },
	},
	[PEER_DIALLING] = {
		[PEER_DUE]     = { PEER_ACT_BACK_OFF, PEER_WANTED },
		[PEER_TAKEN]   = { PEER_ACT_NOTE,     PEER_MET },
		[PEER_FAILED]  = { PEER_ACT_BACK_OFF, PEER_WANTED },
		[PEER_CHANGED] = { PEER_ACT_AGAIN,    PEER_DIALLING },
	},
	[PEER_MET] = {
		[PEER_DUE]     = { PEER_ACT_DIAL,     PEER_RENEWING },
		[PEER_TAKEN]   = { PEER_ACT_NOTE,     PEER_MET },
		[PEER_FAILED]  = { PEER_ACT_IGNORE,   PEER_MET },
		[PEER_CHANGED] = { PEER_ACT_AT_ONCE,  PEER_MET },
	},
	[PEER_STALE] = {
		[PEER_DUE]     = { PEER_ACT_DIAL,     PEER_RENEWING },
		[PEER_TAKEN]   = { PEER_ACT_NOTE,     PEER_MET },
		[PEER_FAILED]  = { PEER_ACT_IGNORE,   PEER_STALE },
		[PEER_CHANGED] = { PEER_ACT_AT_ONCE,  PEER_STALE },
	},
	[PEER_RENEWING] = {
		[PEER_DUE]     = { PEER_ACT_BACK_OFF, PEER_STALE },
		[PEER_TAKEN]   = { PEER_ACT_NOTE,     PEER_MET },
		[PEER_FAILED]  = { PEER_ACT_BACK_OFF, PEER_STALE },
		[PEER_CHANGED] = { PEER_ACT_AGAIN,    PEER_RENEWING },
	},
};
/* clang-format on */

const struct peers_times peers_times = {
	.first_ms = 2 * 1000,
	.patience_ms = 15 * 1000,
	.answer_ms = 45 * 1000,
	.renew_ms = 2 * 3600 * 1000,
	.pause_min_ms = 1000,
	.pause_max_ms = 300 * 1000,
};

static uint64_t draw(struct peers *p, uint64_t below)
{
	p->seed ^= p->seed << 13;
	p->seed ^= p->seed >> 7;
	p->seed ^= p->seed << 17;
	return below ? (p->seed >> 3) % below : 0;
}

void peers_init(struct peers *ret, const struct key_pub *self, const struct peers_times *times, uint64_t seed)
{
	*ret = (struct peers){ .self = *self, .times = *times, .seed = seed | 1, .last_id = seed >> 16 }; /* ids of an earlier run are nobody's */
	ret->list = calloc(PEERS_MAX, sizeof(*ret->list));
	BUG_ON(!ret->list);
}

void peers_deinit(struct peers *p)
{
	free(p->list);
	*p = (struct peers)PEERS_NONE;
}

struct peer *peers_find(struct peers *p, const struct key_pub *node, const struct key_pub *owner, const char *network)
{
	for (size_t i = 0; i < p->n; i++)
		if (key_pub_eq(&p->list[i].node, node) && key_pub_eq(&p->list[i].owner, owner) && !strcmp(p->list[i].network, network))
			return &p->list[i];
	return NULL;
}

struct peer *peers_under_way(struct peers *p, uint64_t id)
{
	for (size_t i = 0; i < p->n; i++)
		if (id && p->list[i].id == id)
			return &p->list[i];
	return NULL;
}

static bool dials_first(const struct peers *p, const struct peer *x)
{
	return memcmp(p->self.bytes, x->node.bytes, sizeof(p->self.bytes)) < 0;
}

bool peers_node_is_new(const struct peers *p, size_t i)
{
	size_t k = 0;

	while (!key_pub_eq(&p->list[k].node, &p->list[i].node))
		k++;
	return k == i;
}

static size_t nodes_count(const struct peers *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += peers_node_is_new(p, i);
	return n;
}

static bool node_is_known(const struct peers *p, const struct key_pub *node)
{
	for (size_t i = 0; i < p->n; i++)
		if (key_pub_eq(&p->list[i].node, node))
			return true;
	return false;
}

int peers_want(struct peers *p, const struct key_pub *node, const struct key_pub *owner, const char *network, uint64_t now_ms)
{
	struct peer *x;

	if (!meet_network_ok(str_c(network)) || node->role != KEY_NODE)
		return -EINVAL;
	if (key_pub_eq(node, &p->self))
		return -ELOOP;
	if (peers_find(p, node, owner, network))
		return 0;
	if (p->n == PEERS_MAX || (!node_is_known(p, node) && nodes_count(p) >= PEERS_NODES_MAX))
		return -ENOSPC;
	x = &p->list[p->n++];
	*x = (struct peer){ .node = *node, .owner = *owner, .state = PEER_WANTED };
	snprintf(x->network, sizeof(x->network), "%s", network);
	x->due_ms = now_ms + (dials_first(p, x) ? 0 : p->times.first_ms);
	return 0;
}

void peers_forget(struct peers *p, const struct key_pub *node, const struct key_pub *owner, const char *network)
{
	struct peer *x = peers_find(p, node, owner, network);

	if (x)
		*x = p->list[--p->n];
}

static void back_off(struct peers *p, struct peer *x, uint64_t now_ms)
{
	uint64_t pause_ms = x->tries < 16 ? p->times.pause_min_ms << x->tries : p->times.pause_max_ms;

	if (pause_ms > p->times.pause_max_ms)
		pause_ms = p->times.pause_max_ms;
	x->tries++;
	x->due_ms = now_ms + pause_ms - pause_ms / 4 + draw(p, pause_ms / 2);
}

static void renew_arm(struct peers *p, struct peer *x, uint64_t now_ms)
{
	x->tries = 0;
	x->why[0] = '\0';
	x->due_ms = now_ms + p->times.renew_ms - (dials_first(p, x) ? draw(p, p->times.renew_ms / 8) : 0) +
		    (dials_first(p, x) ? 0 : p->times.patience_ms);
}

static void event(struct peers *p, struct peer *x, enum peer_event ev, uint64_t now_ms)
{
	const struct peer_step *s = &peer_steps[x->state][ev];
	bool again = x->again;

	BUG_ON(s->act == PEER_ACT_NONE);
	x->state = s->next;
	if (s->act == PEER_ACT_AGAIN)
		x->again = true;
	if (s->act == PEER_ACT_IGNORE || s->act == PEER_ACT_AGAIN)
		return;
	if (s->act == PEER_ACT_AT_ONCE)
		x->due_ms = now_ms;
	if (s->act == PEER_ACT_DIAL)
		x->due_ms = now_ms + p->times.answer_ms;
	if (s->act == PEER_ACT_BACK_OFF)
		back_off(p, x, now_ms);
	if (s->act == PEER_ACT_NOTE)
		renew_arm(p, x, now_ms);
	if (s->act != PEER_ACT_AT_ONCE)
		x->again = false;
	if (again && s->act == PEER_ACT_NOTE)
		x->due_ms = now_ms; /* what was said is not what is true any more */
}

static bool flies(const struct peer *x)
{
	return x->state == PEER_DIALLING || x->state == PEER_RENEWING;
}

static size_t flying(const struct peers *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += flies(&p->list[i]);
	return n;
}

/* All networks with one node are renewed together, in one session. */
static void renew_beside(struct peers *p, const struct peer *x, uint64_t now_ms)
{
	for (size_t i = 0; i < p->n; i++) {
		struct peer *y = &p->list[i];

		if (y->state == PEER_MET && key_pub_eq(&y->node, &x->node) && y->due_ms <= now_ms + p->times.renew_ms / 4)
			y->due_ms = now_ms;
	}
}

/* A sequence that is far ahead is of a time when our clock was wrong. */
static void forget_ahead(struct peer *x, uint64_t unix_ms)
{
	if (x->taken > unix_ms + PEERS_AHEAD_MS)
		x->taken = 0;
	if (x->proposed > unix_ms + PEERS_AHEAD_MS)
		x->proposed = 0;
}

static void propose(struct peers *p, struct peer *x, uint64_t unix_ms)
{
	forget_ahead(x, unix_ms);
	x->proposed = x->proposed < x->taken ? x->taken + 1 : x->proposed + 1;
	if (x->proposed < unix_ms)
		x->proposed = unix_ms;
	x->id = ++p->last_id;
}

struct peer *peers_next(struct peers *p, uint64_t now_ms, uint64_t unix_ms)
{
	for (size_t i = 0; i < p->n; i++) {
		struct peer *x = &p->list[i];
		bool renews = x->state == PEER_MET;

		if (x->due_ms > now_ms)
			continue;
		if (flies(x)) {
			peers_failed(p, x, "no answer in time", now_ms);
			continue;
		}
		if (flying(p) >= PEERS_FLIGHT_MAX)
			continue; /* its time comes when another's is over */
		event(p, x, PEER_DUE, now_ms);
		propose(p, x, unix_ms);
		if (renews)
			renew_beside(p, x, now_ms);
		return x;
	}
	return NULL;
}

uint64_t peers_due_ms(const struct peers *p)
{
	bool full = flying(p) >= PEERS_FLIGHT_MAX;
	uint64_t due = UINT64_MAX;

	for (size_t i = 0; i < p->n; i++) {
		const struct peer *x = &p->list[i];

		if ((!full || flies(x)) && x->due_ms < due)
			due = x->due_ms;
	}
	return due;
}

int peers_answered(struct peers *p, struct peer *x, uint64_t now_ms, uint64_t unix_ms)
{
	x->id = 0;
	forget_ahead(x, unix_ms);
	if (x->proposed <= x->taken)
		return PEERS_LATE;
	x->taken = x->proposed;
	event(p, x, PEER_TAKEN, now_ms);
	return 0;
}

void peers_failed(struct peers *p, struct peer *x, const char *why, uint64_t now_ms)
{
	x->id = 0;
	if (flies(x)) /* else another one was taken meanwhile */
		snprintf(x->why, sizeof(x->why), "%s", why);
	event(p, x, PEER_FAILED, now_ms);
}

void peers_line_down(struct peers *p, uint64_t now_ms)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->list[i].id)
			peers_failed(p, &p->list[i], "gridd, which carries it, went away", now_ms);
}

void peers_hurry(struct peers *p, uint64_t now_ms)
{
	for (size_t i = 0; i < p->n; i++) {
		struct peer *x = &p->list[i];

		if (!x->tries || flies(x))
			continue;
		x->tries = 0;
		x->due_ms = now_ms;
	}
}

int peers_offered(struct peers *p, struct peer *x, uint64_t sequence, uint64_t now_ms, uint64_t unix_ms)
{
	forget_ahead(x, unix_ms);
	if (sequence > unix_ms + PEERS_AHEAD_MS)
		return PEERS_AHEAD;
	/* the other may have taken what we proposed, also when no answer came: below it there is no way back */
	if (sequence <= x->taken || sequence < x->proposed || (sequence == x->proposed && dials_first(p, x)))
		return PEERS_OLD;
	x->taken = sequence;
	event(p, x, PEER_TAKEN, now_ms); /* one of ours under way keeps its id: its answer is judged by its sequence */
	return 0;
}

void peers_changed(struct peers *p, const struct key_pub *owner, const char *network, uint64_t now_ms)
{
	for (size_t i = 0; i < p->n; i++)
		if (key_pub_eq(&p->list[i].owner, owner) && !strcmp(p->list[i].network, network))
			event(p, &p->list[i], PEER_CHANGED, now_ms);
}
