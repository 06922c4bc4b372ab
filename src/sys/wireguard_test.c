/* What goes to the kernel and comes back, byte for byte, as linux/wireguard.h describes it; test/node/wireguard.c does it with a kernel that has it. */
#include "sys/wireguard.h"

#include "base/parse.h"
#include "test/t.h"

#include <arpa/inet.h>

static const char set_all[] =
	"d80000001d0005000000000000000000010100000800020077673000bc000880b800008024000100111111111111111111111111111111111111111111111111"
	"11111111111111110800030002000000240002002222222222222222222222222222222222222222222222222222222222222222140004000200ca6cc0000201"
	"00000000000000000600050019000000480009801c0000800600010002000000080002000a010000050003001000000028000080060001000a00000014000200"
	"fd0000000000000000000000000000000500030008000000";
static const char set_none[] =
	"740000001d0005000000000000000000010100000800020077673000580008805400008024000100111111111111111111111111111111111111111111111111"
	"11111111111111110800030004000000240002000000000000000000000000000000000000000000000000000000000000000000";
static const char answer[] =
	"3c0100001d000200000000000000000000010000060006006cca0000080007000700000008000100030000000800020077673000240003004444444444444444"
	"444444444444444444444444444444444444444444444444240004005555555555555555555555555555555555555555555555555555555555555555c0000880"
	"bc000080240001001111111111111111111111111111111111111111111111111111111111111111240002002222222222222222222222222222222222222222"
	"2222222222222222222222221400060000f1536500000000050000000000000006000500190000000c000800e8030000000000000c000700d007000000000000"
	"08000a0001000000140004000200ca6cc00002010000000000000000200009801c0000800600010002000000080002000a010000050003001000000020010000"
	"1d000200000000000000000000010000080002007767300004010880540000802400010011111111111111111111111111111111111111111111111111111111"
	"111111112c00098028000080060001000a00000014000200fd0000000000000000000000000000000500030008000000ac000080240001003333333333333333"
	"33333333333333333333333333333333333333333333333324000200000000000000000000000000000000000000000000000000000000000000000014000600"
	"0000000000000000000000000000000006000500000000000c00080000000000000000000c000700000000000000000008000a0001000000200004000a001194"
	"0000000020010db800000000000000000000000100000000040009801400000003000200000000000000000000000000";

enum { FAMILY = 0x1d, HEAD = 16 };

static const struct genl family = { .fd = -1, .family = FAMILY, .version = 1 };

static size_t bytes_of(const char *hex, uint8_t *ret)
{
	size_t n = strlen(hex) / 2;

	T_NEED(!parse_hex(str_c(hex), ret, n), "a vector");
	return n;
}

static bool is_bytes(const struct nlmsg *q, const char *hex)
{
	AUTO_BUF struct buf is = { 0 };

	format_hex(&is, q, q->head.nlmsg_len);
	return !strcmp(is.p, hex) || (fprintf(stderr, "%s\n", is.p), false);
}

static struct netlink_net net_of(const char *text, unsigned prefix)
{
	struct netlink_net n = { .family = strchr(text, ':') ? AF_INET6 : AF_INET, .prefix = prefix };

	T_NEED(inet_pton(n.family, text, n.address) == 1, "%s", text);
	return n;
}

static void test_set_peer(void)
{
	const struct netlink_net allowed[] = { net_of("10.1.0.0", 16), net_of("fd00::", 8) };
	struct wireguard_key psk;
	struct wireguard_peer p = { .changes = WIREGUARD_MAKE | WIREGUARD_PRESHARED | WIREGUARD_ENDPOINT | WIREGUARD_KEEPALIVE | WIREGUARD_ALLOWED,
				    .preshared = &psk,
				    .endpoint = { .family = AF_INET, .address = { 192, 0, 2, 1 }, .port = 51820 },
				    .keepalive_s = 25,
				    .allowed = allowed,
				    .n_allowed = ARRAY_LEN(allowed) };
	struct nlmsg q;

	memset(p.public_key, 0x11, sizeof(p.public_key));
	memset(psk.bytes, 0x22, sizeof(psk.bytes));
	wireguard_encode_peer(&q, &family, "wg0", &p);
	T_CHECK(is_bytes(&q, set_all), "all of a peer");
	p.changes = WIREGUARD_PRESHARED;
	p.preshared = NULL;
	wireguard_encode_peer(&q, &family, "wg0", &p);
	T_CHECK(is_bytes(&q, set_none), "no key any more, and nothing else");
}

static int on_device(void *ctx, struct rd body)
{
	return wireguard_decode(body, ctx);
}

static void test_answer(void)
{
	AUTO_WIREGUARD_STATE struct wireguard_state s = WIREGUARD_STATE_NONE;
	const struct netlink_net allowed[] = { net_of("10.1.0.0", 16), net_of("fd00::", 8) };
	const struct wireguard_peer_state *a, *b;
	uint8_t bytes[1024], key[32];
	size_t n = bytes_of(answer, bytes);

	T_NEED(!nlmsg_hear(&(struct nlmsg_ear){ .fn = on_device, .ctx = &s }, bytes, n), "the answer is taken");
	memset(key, 0x55, sizeof(key));
	T_CHECK(s.has_key && !memcmp(s.public_key, key, sizeof(key)) && s.port == 51820 && s.fwmark == 7, "the device");
	T_NEED(s.n_peers == 2, "%zu peers", s.n_peers);
	a = &s.peers[0];
	b = &s.peers[1];
	memset(key, 0x11, sizeof(key));
	T_CHECK(!memcmp(a->public_key, key, sizeof(key)) && a->has_preshared && a->keepalive_s == 25, "the first peer");
	T_CHECK(a->handshake_s == 1700000000 && a->rx_bytes == 2000 && a->tx_bytes == 1000, "its counters");
	T_CHECK(a->endpoint.family == AF_INET && a->endpoint.port == 51820 && !memcmp(a->endpoint.address, (uint8_t[]){ 192, 0, 2, 1 }, 4),
		"its endpoint");
	T_CHECK(a->n_allowed == 2 && !memcmp(a->allowed, allowed, sizeof(allowed)), "its ranges come in two messages");
	T_CHECK(!b->has_preshared && !b->handshake_s && !b->n_allowed, "the second peer");
	T_CHECK(b->endpoint.family == AF_INET6 && b->endpoint.port == 4500 && b->endpoint.address[0] == 0x20, "its endpoint");
}

/* Each changes one byte of the good answer. */
static void test_answer_refused(void)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t is;
		int r;
	} rows[] = {
		{ "unchanged", 0, 0x3c, 0 },
		{ "a message longer than its datagram", 1, 0xff, -EBADMSG },
		{ "a list of peers that ends in a message's middle", 1, 0, -EBADMSG },
		{ "a port of one byte", 20, 5, -EBADMSG },
		{ "a list of peers longer than its message", 0x7d, 0xff, -EBADMSG },
		{ "it changed while it was read", 6, 0x12, -EAGAIN },
	};
	uint8_t good[1024], bytes[1024];
	size_t n = bytes_of(answer, good);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_WIREGUARD_STATE struct wireguard_state s = WIREGUARD_STATE_NONE;
		int r;

		memcpy(bytes, good, n);
		bytes[rows[i].at] = rows[i].is;
		r = nlmsg_hear(&(struct nlmsg_ear){ .fn = on_device, .ctx = &s }, bytes, n);
		T_CHECK(r == rows[i].r, "%s: %d", rows[i].what, r);
	}
	for (size_t cut = 1; cut < n; cut++) { /* no piece is taken for the whole */
		AUTO_WIREGUARD_STATE struct wireguard_state s = WIREGUARD_STATE_NONE;

		T_CHECK(nlmsg_hear(&(struct nlmsg_ear){ .fn = on_device, .ctx = &s }, good, n - cut), "without the last %zu bytes", cut);
	}
}

static int on_anything(void *ctx, struct rd body)
{
	(void)body;
	++*(unsigned *)ctx;
	return 0;
}

static void test_errors_of_the_kernel(void)
{
	static const char refused[] = "240000000200000000000000000000"
				      "00edffffff00000000000000000000000000000000";
	static const char positive[] = "24000000020000000000000000000000"
				       "0100000000000000000000000000000000000000";
	static const char taken[] = "24000000020000000000000000000000"
				    "0000000000000000000000000000000000000000";
	unsigned n_heard = 0;
	uint8_t bytes[64];

	T_CHECK(!nlmsg_hear(&(struct nlmsg_ear){ .fn = on_anything, .ctx = &n_heard }, bytes, bytes_of(taken, bytes)), "an acknowledgement");
	T_CHECK(nlmsg_hear(&(struct nlmsg_ear){ .fn = on_anything, .ctx = &n_heard }, bytes, bytes_of(refused, bytes)) == -ENODEV, "an error");
	T_CHECK(nlmsg_hear(&(struct nlmsg_ear){ .fn = on_anything, .ctx = &n_heard }, bytes, bytes_of(positive, bytes)) == -EBADMSG, "no error");
	T_CHECK(!n_heard, "none of them is an answer");
}

/* The framing with a family that every kernel has. */
static void test_family(void)
{
	AUTO_GENL struct genl g = GENL_NONE, none = GENL_NONE;
	struct err e = { 0 };

	T_CHECK(!genl_open("nlctrl", 1, &g, &e) && g.family == 16, "%d: %s", g.family, e.msg);
	T_CHECK(genl_open("no-such-family", 1, &none, &e) == -EOPNOTSUPP && none.fd == -1 && e.msg[0], "%s", e.msg);
}

static void test_too_much(void)
{
	static const struct netlink_net allowed[WIREGUARD_ALLOWED_MAX + 1];
	struct wireguard_peer p = { .changes = WIREGUARD_ALLOWED, .allowed = allowed, .n_allowed = WIREGUARD_ALLOWED_MAX };
	struct err e = { 0 };
	struct nlmsg q;

	wireguard_encode_peer(&q, &family, "a-long-name-15b", &p); /* fits */
	T_CHECK(q.head.nlmsg_len <= sizeof(q), "%u", q.head.nlmsg_len);
	p.n_allowed++;
	T_CHECK(wireguard_set_peer(&family, "wg0", &p, &e) == -E2BIG && strstr(e.msg, "64"), "%s", e.msg);
	p.changes = WIREGUARD_ENDPOINT;
	T_CHECK(wireguard_set_peer(&family, "wg0", &p, &e) == -EAFNOSUPPORT, "%s", e.msg);
}

int main(void)
{
	T_RUN(test_set_peer);
	T_RUN(test_answer);
	T_RUN(test_answer_refused);
	T_RUN(test_errors_of_the_kernel);
	T_RUN(test_family);
	T_RUN(test_too_much);
	return T_END();
}
