#include "svc/path.h"

#include <string.h>

/* clang-format off */
const struct path_step path_steps[PATH_STATES][PATH_EVENTS] = {
	[PATH_TRYING] = {
		[PATH_HEARD]   = { PATH_ACT_KEEP,   PATH_SETTLED },
		[PATH_SILENT]  = { PATH_ACT_NEXT,   PATH_TRYING },
		[PATH_CHANGED] = { PATH_ACT_FIRST,  PATH_TRYING },
		[PATH_IDLE]    = { PATH_ACT_IGNORE, PATH_TRYING },
		[PATH_RELAYED] = { PATH_ACT_RELAY,  PATH_TRYING },
	},
	[PATH_SETTLED] = {
		[PATH_HEARD]   = { PATH_ACT_KEEP,   PATH_SETTLED },
		[PATH_SILENT]  = { PATH_ACT_FIRST,  PATH_TRYING },
		[PATH_CHANGED] = { PATH_ACT_LOOK,   PATH_SETTLED },
		[PATH_IDLE]    = { PATH_ACT_FIRST,  PATH_TRYING },
		[PATH_RELAYED] = { PATH_ACT_LOOK,   PATH_SETTLED },
	},
	[PATH_LOST] = {
		[PATH_HEARD]   = { PATH_ACT_KEEP,   PATH_SETTLED },
		[PATH_SILENT]  = { PATH_ACT_FIRST,  PATH_TRYING },
		[PATH_CHANGED] = { PATH_ACT_FIRST,  PATH_TRYING },
		[PATH_IDLE]    = { PATH_ACT_IGNORE, PATH_LOST },
		[PATH_RELAYED] = { PATH_ACT_RELAY,  PATH_TRYING },
	},
};
/* clang-format on */

const char *const path_kind_names[] = { "none", "direct", "learned", "relay" };

static size_t way_find(const struct path *p, const struct endpoint *at)
{
	size_t i = 0;

	while (i < p->n_ways && !endpoint_eq(&p->ways[i], at))
		i++;
	return i;
}

static bool is_relay(const struct path *p, size_t at)
{
	return at < p->n_ways && at + p->n_relays >= p->n_ways;
}

static void enter(struct path *p, enum path_state state, size_t at, uint64_t now_ms)
{
	p->state = state;
	p->at = at;
	p->since_ms = now_ms;
}

/* Way AT, or a pause where there is none. */
static void try(struct path *p, size_t at, uint64_t now_ms)
{
	enter(p, at < p->n_ways ? PATH_TRYING : PATH_LOST, at, now_ms);
}

static void event(struct path *p, enum path_event ev, uint64_t now_ms)
{
	const struct path_step *s = &path_steps[p->state][ev];

	switch (s->act) {
	case PATH_ACT_KEEP:
		if (p->state != s->next)
			enter(p, s->next, p->at, now_ms);
		p->at = way_find(p, &p->seen.endpoint); /* it may have been heard from elsewhere */
		return;
	case PATH_ACT_FIRST:
		try(p, 0, now_ms);
		return;
	case PATH_ACT_NEXT:
		try(p, p->at + 1, now_ms);
		return;
	case PATH_ACT_LOOK:
		p->at = way_find(p, &p->seen.endpoint);
		p->since_ms = now_ms < PATH_AGAIN_MS ? 0 : now_ms - PATH_AGAIN_MS; /* on a relay long enough, if it is on one */
		return;
	case PATH_ACT_RELAY:
		try(p, p->n_ways - p->n_relays, now_ms);
		return;
	default:
		return;
	}
}

/* Puts the N ways of TO in the place of the N_OLD from AT on; whether any is another. */
static bool ways_replace(struct path *p, size_t at, size_t n_old, const struct endpoint *to, size_t n)
{
	bool same = n == n_old;

	for (size_t i = 0; same && i < n; i++)
		same = endpoint_eq(&to[i], &p->ways[at + i]);
	if (same)
		return false;
	memmove(&p->ways[at + n], &p->ways[at + n_old], (p->n_ways - at - n_old) * sizeof(*p->ways));
	for (size_t i = 0; i < n; i++)
		p->ways[at + i] = to[i];
	p->n_ways += n - n_old;
	return true;
}

void path_candidates(struct path *p, const struct endpoint *endpoints, size_t n, uint64_t now_ms)
{
	if (ways_replace(p, 0, p->n_ways - p->n_relays, endpoints, n < PATH_CANDIDATES_MAX ? n : PATH_CANDIDATES_MAX))
		event(p, PATH_CHANGED, now_ms);
}

void path_relays(struct path *p, const struct endpoint *relays, size_t n, uint64_t now_ms)
{
	size_t n_straight = p->n_ways - p->n_relays;
	bool tries_straight = p->state == PATH_TRYING && p->at < n_straight;

	if (n > PATH_RELAYS_MAX)
		n = PATH_RELAYS_MAX;
	if (!ways_replace(p, n_straight, p->n_relays, relays, n))
		return;
	p->n_relays = n;
	if (!tries_straight) /* else its turn comes */
		event(p, PATH_RELAYED, now_ms);
}

bool path_needs_relay(const struct path *p)
{
	return p->state == PATH_LOST || (p->state == PATH_TRYING && (p->at || is_relay(p, 0)));
}

static uint64_t patience_ms(const struct path *p)
{
	static const uint64_t ms[] = { [PATH_TRYING] = PATH_TRY_MS, [PATH_SETTLED] = PATH_SILENT_MS, [PATH_LOST] = PATH_LOST_MS };

	return p->state == PATH_SETTLED && is_relay(p, p->at) ? PATH_RELAY_SILENT_MS : ms[p->state];
}

/* Whether something came, and whether more than keep-alives went or came. A count that goes back is a device that was made anew. */
static bool hear(struct path *p, const struct path_seen *seen, uint64_t now_ms)
{
	bool is_new = seen->rx_bytes < p->seen.rx_bytes || seen->tx_bytes < p->seen.tx_bytes;
	uint64_t rx = is_new ? seen->rx_bytes : seen->rx_bytes - p->seen.rx_bytes, tx = is_new ? seen->tx_bytes : seen->tx_bytes - p->seen.tx_bytes;
	bool heard = rx || seen->handshake_s != p->seen.handshake_s;

	if (rx > PATH_KEEPALIVE_BYTES || tx > PATH_KEEPALIVE_BYTES)
		p->flowed_ms = now_ms;
	if (heard)
		p->heard_ms = now_ms;
	p->seen = *seen;
	return heard;
}

int path_look(struct path *p, const struct path_seen *seen, uint64_t now_ms, struct endpoint *ret)
{
	uint64_t quiet_since_ms;

	if (hear(p, seen, now_ms))
		event(p, PATH_HEARD, now_ms);
	quiet_since_ms = p->state == PATH_SETTLED && p->heard_ms > p->since_ms ? p->heard_ms : p->since_ms;
	if (now_ms - quiet_since_ms >= patience_ms(p))
		event(p, PATH_SILENT, now_ms);
	else if (p->state == PATH_SETTLED && is_relay(p, p->at) && p->n_ways > p->n_relays && now_ms - p->since_ms >= PATH_AGAIN_MS &&
		 now_ms - p->flowed_ms >= PATH_IDLE_MS)
		event(p, PATH_IDLE, now_ms);
	if (p->state != PATH_TRYING || endpoint_eq(&p->ways[p->at], &seen->endpoint))
		return 0;
	*ret = p->ways[p->at];
	return PATH_SET;
}

enum path_kind path_kind(const struct path *p)
{
	if (p->state != PATH_SETTLED)
		return PATH_KIND_NONE;
	if (p->at == p->n_ways)
		return PATH_KIND_LEARNED;
	return is_relay(p, p->at) ? PATH_KIND_RELAY : PATH_KIND_DIRECT;
}
