/* Who gets a pair, and which datagrams pass. The macs are another program's (Python's hashlib). */
#include "relay/pairs.h"

#include "base/parse.h"
#include "test/t.h"

#include <sys/socket.h>

enum { INITIATION = 148, RESPONSE = 92, COOKIE = 64, NOW = 1000000 };

static struct relay_pairs *pairs;
static struct key_pub a = { .role = KEY_NODE, .bytes = { 1 } }, b = { .role = KEY_NODE, .bytes = { 2 } };

/* Of a message of KIND to who has the key 32 x TO, of the bytes that message_make() puts before it. */
static const char *const macs[3][3] = {
	[1] = { NULL, "adf2ee2ae08c4fa20fdde601923de424", "f824e3716526895356f3976c4bb345c8" },
	[2] = { NULL, "bdc9156ee8b4c45f244046ba05be271f", "aa4dd588fa0ca41544bc76a10ba35e11" },
};

static struct str message_make(char *bytes, unsigned kind, size_t n, unsigned to)
{
	memset(bytes, 0, n);
	bytes[0] = (char)kind;
	for (size_t i = 4; i + 32 < n || (i < n && kind > 2); i++)
		bytes[i] = (char)i;
	if (kind < 3 && to)
		T_NEED(!parse_hex(str_c(macs[kind][to]), (uint8_t *)bytes + n - 32, 16), "mac");
	return (struct str){ bytes, n };
}

static struct endpoint at_of(uint8_t n)
{
	return (struct endpoint){ .family = AF_INET, .address = { 192, 0, 2, n }, .port = 1000 };
}

static struct relay_ends ends_of(uint8_t own, uint8_t other)
{
	struct relay_ends ends;

	memset(ends.public_key, own, sizeof(ends.public_key));
	memset(ends.peer_key, other, sizeof(ends.peer_key));
	return ends;
}

static uint16_t ask(const struct key_pub *node, const struct key_pub *peer, uint8_t own, uint8_t other, uint64_t now_ms)
{
	const struct relay_ends ends = ends_of(own, other);
	struct err e = { 0 };
	uint16_t port = 0;
	int r = relay_pairs_ask(pairs, node, peer, &ends, now_ms, &port, &e);

	T_CHECK(!r || r == -ENOSPC, "%s", e.msg);
	return port;
}

static void table_new(void)
{
	memset(pairs, 0, sizeof(*pairs));
}

static void both_ends_get_a_port_each(void)
{
	uint16_t x, y, z;

	table_new();
	x = ask(&a, &b, 1, 2, NOW);
	y = ask(&b, &a, 2, 1, NOW);
	T_CHECK(x == RELAY_PORT_BASE && y == x + 1, "%u %u", x, y);
	T_CHECK(ask(&a, &b, 1, 2, NOW + 1) == x && ask(&b, &a, 2, 1, NOW + 1) == y, "the same again");
	z = ask(&a, &b, 3, 4, NOW);
	T_CHECK(z == RELAY_PORT_BASE + 2, "another network's: %u", z);
	T_CHECK(ask(&b, &a, 1, 2, NOW) == z + 2, "the same keys the other way round are others' ends");
	T_CHECK(relay_pairs_count(pairs, NOW) == 3 && !relay_pairs_count(pairs, NOW + 1 + RELAY_LIFE_MS), "they end");
	T_CHECK(ask(&a, &b, 7, 8, NOW + 2 * RELAY_LIFE_MS) == x, "their ports are others' then");
}

static void there_is_an_end_to_them(void)
{
	struct key_pub many = { .role = KEY_NODE };
	unsigned n = 0;

	table_new();
	for (unsigned i = 0; i < RELAY_NODE_MAX; i++)
		T_CHECK(ask(&a, &b, (uint8_t)(i + 1), 200, NOW), "%u", i);
	T_CHECK(!ask(&a, &b, 100, 201, NOW), "a node's share");
	T_CHECK(ask(&a, &b, 1, 200, NOW), "what it has it may ask for again");
	T_CHECK(ask(&b, &a, 200, 1, NOW), "who is named has a share of its own");
	for (many.bytes[0] = 3; many.bytes[0] < 10; many.bytes[0]++)
		for (unsigned i = 0; i < RELAY_NODE_MAX; i++)
			n += ask(&many, &b, (uint8_t)i, 200, NOW) != 0;
	T_CHECK(n == RELAY_PAIRS_MAX - RELAY_NODE_MAX, "all together: %u", n);
	T_CHECK(ask(&many, &b, 1, 2, NOW + RELAY_LIFE_MS), "until they end");
}

/* One after the other in one world: what comes to whose port, from where, and where it goes. */
enum { A = 0, B = 1, STRANGE = 9 };
struct step {
	const char *what;
	unsigned kind, to_key; /* 0: no mac */
	size_t n;
	size_t port;
	uint8_t from, goes; /* 0 = nowhere */
	uint64_t later_ms;
};
static const struct step steps[] = {
	{ "b is not known yet", 1, 2, INITIATION, A, 11, 0, 0 },
	{ "data of a stranger", 4, 0, 64, B, STRANGE, 0, 0 },
	{ "a handshake for somebody else", 1, 2, INITIATION, B, STRANGE, 0, 0 },
	{ "b is known now, and heard by a", 1, 1, INITIATION, B, 12, 11, 0 },
	{ "a answers", 2, 2, RESPONSE, A, 11, 12, 0 },
	{ "data", 4, 0, 64, B, 12, 11, 0 },
	{ "data", 4, 0, 1424, A, 11, 12, 0 },
	{ "a keep-alive", 4, 0, 32, A, 11, 12, 0 },
	{ "a cookie", 3, 0, COOKIE, A, 11, 12, 0 },
	{ "a's data at b's port", 4, 0, 64, B, 11, 0, 0 },
	{ "data from elsewhere", 4, 0, 64, A, STRANGE, 0, 0 },
	{ "a cookie from elsewhere", 3, 0, COOKIE, A, STRANGE, 0, 0 },
	{ "a handshake without the key, from elsewhere", 1, 0, INITIATION, A, STRANGE, 0, 0 },
	{ "a handshake that is too long", 1, 2, INITIATION + 16, A, 11, 0, 0 },
	{ "a response that is no initiation", 2, 2, RESPONSE - 1, A, 11, 0, 0 },
	{ "data that is too short", 4, 0, 16, A, 11, 0, 0 },
	{ "data that is none", 4, 0, 65, A, 11, 0, 0 },
	{ "no message", 5, 0, 64, A, 11, 0, 0 },
	{ "nobody was diverted", 4, 0, 64, B, 12, 11, 0 },
	{ "a moves", 1, 2, INITIATION, A, 13, 12, 0 },
	{ "and is followed", 4, 0, 64, B, 12, 13, 0 },
	{ "where it was it is not", 4, 0, 64, A, 11, 0, 0 },
	{ "b says nothing for long", 4, 0, 64, A, 13, 0, RELAY_HEARD_MS + 1 },
	{ "and comes back", 4, 0, 64, B, 12, 13, 0 },
	{ "the pair has ended", 4, 0, 64, A, 13, 0, RELAY_LIFE_MS + 1 },
};

static void only_who_knows_the_key_is_passed_on(void)
{
	uint64_t now = NOW;
	uint64_t passed = 0, dropped = 0;

	table_new();
	T_NEED(ask(&a, &b, 1, 2, now) && ask(&b, &a, 2, 1, now), "a pair");
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		const struct step *s = &steps[i];
		const struct relay_hop from = { .at = at_of(s->from), .by = { s->from } };
		const struct endpoint want = at_of(s->goes);
		char bytes[2048];
		struct relay_hop to = { 0 };
		int r;

		now += s->later_ms;
		r = relay_pairs_take(pairs, s->port, &from, message_make(bytes, s->kind, s->n, s->to_key), now, &to);
		T_CHECK(r == (s->goes ? RELAY_PASS : 0) && (!s->goes || (endpoint_eq(&to.at, &want) && to.by[0] == s->goes)), "%s: %d, to %u",
			s->what, r, to.at.address[3]);
		passed += s->goes != 0;
		dropped += !s->goes;
	}
	T_CHECK(pairs->datagrams == passed && pairs->dropped == dropped && pairs->bytes, "counted");
}

static void nothing_passes_until_both_have_asked(void)
{
	char bytes[2048];
	const struct relay_hop from = { .at = at_of(11) };
	struct relay_hop to;

	table_new();
	T_NEED(ask(&a, &b, 1, 2, NOW), "one end");
	T_CHECK(!relay_pairs_take(pairs, A, &from, message_make(bytes, 1, INITIATION, 2), NOW, &to) && !pairs->list[0].ends[A].at.family,
		"the other has not asked");
	T_NEED(ask(&b, &a, 2, 1, NOW), "the other");
	T_CHECK(!relay_pairs_take(pairs, A, &from, message_make(bytes, 1, INITIATION, 2), NOW, &to) && pairs->list[0].ends[A].at.family,
		"now it is heard");
	for (size_t port = 2; port < RELAY_PORTS; port++)
		T_CHECK(!relay_pairs_take(pairs, port, &from, message_make(bytes, 1, INITIATION, 2), NOW, &to), "port %zu is nobody's", port);
}

int main(void)
{
	pairs = calloc(1, sizeof(*pairs));
	T_NEED(pairs, "memory");
	T_RUN(both_ends_get_a_port_each);
	T_RUN(there_is_an_end_to_them);
	T_RUN(only_who_knows_the_key_is_passed_on);
	T_RUN(nothing_passes_until_both_have_asked);
	free(pairs);
	return T_END();
}
