#include "relay/pairs.h"

/* WireGuard's messages, by the first byte; three zeros follow. */
enum { MESSAGE_INITIATION = 1, MESSAGE_RESPONSE = 2, MESSAGE_COOKIE = 3, MESSAGE_DATA = 4, MESSAGES };
enum { DATA_MIN = 32, DATA_STEP = 16 };
static const struct {
	size_t n; /* bytes; 0 = DATA_MIN or more, in steps of DATA_STEP */
	bool is_handshake;
} messages[MESSAGES] = {
	[MESSAGE_INITIATION] = { 148, true },
	[MESSAGE_RESPONSE] = { 92, true },
	[MESSAGE_COOKIE] = { 64, false },
	[MESSAGE_DATA] = { 0, false },
};

static bool lives(const struct relay_pair *p, uint64_t now_ms)
{
	return p->until_ms > now_ms;
}

static bool is_end(const struct relay_end *x, const struct key_pub *node, const uint8_t key[static MEET_KEY_LEN])
{
	return key_pub_eq(&x->node, node) && !memcmp(x->public_key, key, sizeof(x->public_key));
}

/* The end of NODE in the pair, or NULL. */
static struct relay_end *end_find(struct relay_pair *p, const struct key_pub *node, const struct key_pub *peer, const struct relay_ends *ends)
{
	for (size_t k = 0; k < 2; k++)
		if (is_end(&p->ends[k], node, ends->public_key) && is_end(&p->ends[k ^ 1], peer, ends->peer_key))
			return &p->ends[k];
	return NULL;
}

static size_t asked_count(const struct relay_pairs *p, const struct key_pub *node, uint64_t now_ms)
{
	size_t n = 0;

	for (size_t i = 0; i < RELAY_PAIRS_MAX; i++)
		for (size_t k = 0; k < 2 && lives(&p->list[i], now_ms); k++)
			n += p->list[i].ends[k].has_asked && key_pub_eq(&p->list[i].ends[k].node, node);
	return n;
}

size_t relay_pairs_count(const struct relay_pairs *p, uint64_t now_ms)
{
	size_t n = 0;

	for (size_t i = 0; i < RELAY_PAIRS_MAX; i++)
		n += lives(&p->list[i], now_ms);
	return n;
}

static struct relay_end *pair_new(struct relay_pairs *p, const struct key_pub *node, const struct key_pub *peer, const struct relay_ends *ends,
				  uint64_t now_ms)
{
	size_t i = 0;

	while (i < RELAY_PAIRS_MAX && lives(&p->list[i], now_ms))
		i++;
	if (i == RELAY_PAIRS_MAX)
		return NULL;
	p->list[i] = (struct relay_pair){ .ends = { { .node = *node }, { .node = *peer } } };
	memcpy(p->list[i].ends[0].public_key, ends->public_key, MEET_KEY_LEN);
	memcpy(p->list[i].ends[1].public_key, ends->peer_key, MEET_KEY_LEN);
	return &p->list[i].ends[0];
}

int relay_pairs_ask(struct relay_pairs *p, const struct key_pub *node, const struct key_pub *peer, const struct relay_ends *ends, uint64_t now_ms,
		    uint16_t *ret, struct err *e)
{
	struct relay_end *x = NULL;

	for (size_t i = 0; i < RELAY_PAIRS_MAX && !x; i++)
		if (lives(&p->list[i], now_ms))
			x = end_find(&p->list[i], node, peer, ends);
	if ((!x || !x->has_asked) && asked_count(p, node, now_ms) >= RELAY_NODE_MAX)
		return err_set(e, -ENOSPC, "the node has its %d pairs on this relay already", RELAY_NODE_MAX);
	if (!x && !(x = pair_new(p, node, peer, ends, now_ms)))
		return err_set(e, -ENOSPC, "all %d pairs of this relay are in use", RELAY_PAIRS_MAX);
	x->has_asked = true;
	struct relay_pair *pair = &p->list[(size_t)((char *)x - (char *)p->list) / sizeof(*p->list)];
	pair->until_ms = now_ms + RELAY_LIFE_MS;
	*ret = (uint16_t)(RELAY_PORT_BASE + 2 * (pair - p->list) + (x - pair->ends));
	return 0;
}

/* A kind of message, or 0. */
static unsigned message_of(struct str d)
{
	unsigned kind = d.n >= 4 ? (uint8_t)d.p[0] : 0;

	if (!kind || kind >= MESSAGES || d.p[1] || d.p[2] || d.p[3])
		return 0;
	if (messages[kind].n)
		return d.n == messages[kind].n ? kind : 0;
	return d.n >= DATA_MIN && d.n % DATA_STEP == 0 ? kind : 0;
}

/* Whether what came is X's: it knows the other end's key, or comes from where somebody did. */
static bool is_from(struct relay_end *x, const struct relay_end *other, unsigned kind, const struct relay_hop *from, struct str datagram,
		    uint64_t now_ms)
{
	if (messages[kind].is_handshake) {
		if (!relay_mac_ok(other->public_key, datagram))
			return false;
		x->at = from->at;
		memcpy(x->by, from->by, sizeof(x->by));
	} else if (!x->at.family || !endpoint_eq(&x->at, &from->at)) {
		return false;
	}
	x->heard_ms = now_ms;
	return true;
}

int relay_pairs_take(struct relay_pairs *p, size_t port, const struct relay_hop *from, struct str datagram, uint64_t now_ms, struct relay_hop *ret)
{
	struct relay_pair *pair = &p->list[port / 2];
	struct relay_end *x = &pair->ends[port % 2], *other = &pair->ends[port % 2 ^ 1];
	unsigned kind = message_of(datagram);

	if (!lives(pair, now_ms) || !x->has_asked || !other->has_asked || !kind || !is_from(x, other, kind, from, datagram, now_ms) ||
	    !other->at.family || now_ms - other->heard_ms > RELAY_HEARD_MS) {
		p->dropped++;
		return 0;
	}
	pair->until_ms = now_ms + RELAY_LIFE_MS;
	p->datagrams++;
	p->bytes += datagram.n;
	ret->at = other->at;
	memcpy(ret->by, other->by, sizeof(ret->by));
	return RELAY_PASS;
}
