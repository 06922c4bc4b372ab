#include "svc/path.h"

/* clang-format off */
const struct path_step path_steps[PATH_STATES][PATH_EVENTS] = {
	[PATH_TRYING] = {
		[PATH_HEARD]   = { PATH_ACT_KEEP,   PATH_SETTLED },
		[PATH_SILENT]  = { PATH_ACT_NEXT,   PATH_TRYING },
		[PATH_CHANGED] = { PATH_ACT_FIRST,  PATH_TRYING },
		[PATH_IDLE]    = { PATH_ACT_IGNORE, PATH_TRYING },
	},
	[PATH_SETTLED] = {
		[PATH_HEARD]   = { PATH_ACT_KEEP,   PATH_SETTLED },
		[PATH_SILENT]  = { PATH_ACT_FIRST,  PATH_TRYING },
		[PATH_CHANGED] = { PATH_ACT_LOOK,   PATH_SETTLED },
		[PATH_IDLE]    = { PATH_ACT_FIRST,  PATH_TRYING },
	},
	[PATH_LOST] = {
		[PATH_HEARD]   = { PATH_ACT_KEEP,   PATH_SETTLED },
		[PATH_SILENT]  = { PATH_ACT_FIRST,  PATH_TRYING },
		[PATH_CHANGED] = { PATH_ACT_FIRST,  PATH_TRYING },
		[PATH_IDLE]    = { PATH_ACT_IGNORE, PATH_LOST },
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
	return p->has_relay && at + 1 == p->n_ways;
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
		p->since_ms = now_ms < PATH_AGAIN_MS ? 0 : now_ms - PATH_AGAIN_MS; /* on the relay long enough, if it is on the relay */
		return;
	default:
		return;
	}
}

void path_candidates(struct path *p, const struct endpoint *endpoints, size_t n, const struct endpoint *relay, uint64_t now_ms)
{
	struct endpoint ways[PATH_CANDIDATES_MAX + 1] = { 0 };
	size_t n_ways = 0;
	bool same;

	for (size_t i = 0; i < n && n_ways < PATH_CANDIDATES_MAX; i++)
		ways[n_ways++] = endpoints[i];
	if (relay)
		ways[n_ways++] = *relay;
	same = n_ways == p->n_ways && p->has_relay == (relay != NULL);
	for (size_t i = 0; same && i < n_ways; i++)
		same = endpoint_eq(&ways[i], &p->ways[i]);
	if (same)
		return;
	for (size_t i = 0; i < n_ways; i++)
		p->ways[i] = ways[i];
	p->n_ways = n_ways;
	p->has_relay = relay != NULL;
	event(p, PATH_CHANGED, now_ms);
}

static uint64_t patience_ms(const struct path *p)
{
	static const uint64_t ms[] = { [PATH_TRYING] = PATH_TRY_MS, [PATH_SETTLED] = PATH_SILENT_MS, [PATH_LOST] = PATH_LOST_MS };

	return ms[p->state];
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
	else if (p->state == PATH_SETTLED && is_relay(p, p->at) && p->n_ways > 1 && now_ms - p->since_ms >= PATH_AGAIN_MS &&
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
