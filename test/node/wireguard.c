/* wireguard-pair -- two WireGuard devices on a kernel that has them, for test/node/wireguard_test.py: each made in a namespace of its own, "outside", and
 * moved into another, "inside", so that what it encrypts leaves by the first. A test program of the debug flavour. */
#include "sys/wireguard.h"

#include "base/file.h"
#include "test/t.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>

enum { PORT = 51820, PATIENCE_MS = 30000, QUIET_MS = 1500, ECHO_PORT = 7 };

struct side {
	int outside, inside; /* namespaces */
	int nl_outside, nl_inside; /* netlink, in each */
	struct genl wg; /* inside */
	uint8_t public_key[WIREGUARD_KEY_LEN];
	struct endpoint at;
	struct netlink_net ranges[2];
};

static struct side a, b;
static uint8_t stranger[WIREGUARD_KEY_LEN] = { 9, 8, 7 };

static int enter_new(int *ret_nl)
{
	struct err e = { 0 };
	int fd;

	T_NEED(!unshare(CLONE_NEWNET), "unshare: %m");
	T_NEED(!netlink_open(ret_nl, &e) && !netlink_up(*ret_nl, "lo", &e), "%s", e.msg);
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	T_NEED(fd >= 0, "open: %m");
	return fd;
}

/* N: 1 or 2, the last byte of all addresses. */
static void side_make(struct side *s, uint8_t n)
{
	struct err e = { 0 };

	s->inside = enter_new(&s->nl_inside);
	T_NEED(!wireguard_open(&s->wg, &e), "%s", e.msg);
	s->outside = enter_new(&s->nl_outside);
	s->at = (struct endpoint){ .family = AF_INET, .address = { 192, 0, 2, n }, .port = PORT };
	s->ranges[0] = (struct netlink_net){ .family = AF_INET, .address = { 10, n, 0, 0 }, .prefix = 16 };
	s->ranges[1] = (struct netlink_net){ .family = AF_INET6, .address = { 0xfd, 0, 0, n }, .prefix = 32 };
}

static void device_make(struct side *s, uint8_t n)
{
	AUTO_WIREGUARD_KEY struct wireguard_key key;
	AUTO_WIREGUARD_STATE struct wireguard_state is = WIREGUARD_STATE_NONE;
	struct wireguard_config c = { .private_key = &key, .has_port = true, .port = PORT, .has_fwmark = true, .fwmark = n };
	uint8_t v6[16] = { 0xfd, 0, 0, n, [15] = 1 };
	struct err e = { 0 };

	random_bytes(key.bytes, sizeof(key.bytes));
	T_NEED(!wireguard_make(s->nl_outside, "wg0", s->inside, &e), "%s", e.msg);
	T_CHECK(wireguard_make(s->nl_outside, "wg0", s->inside, &e) == -EEXIST, "twice: %s", e.msg);
	T_CHECK(netlink_up(s->nl_outside, "wg0", &e) == -ENODEV, "nothing stays behind");
	T_NEED(!wireguard_configure(&s->wg, "wg0", &c, &e), "%s", e.msg);
	T_NEED(!netlink_set_mtu(s->nl_inside, "wg0", 1500 - WIREGUARD_OVERHEAD, &e) && !netlink_up(s->nl_inside, "wg0", &e), "%s", e.msg);
	T_NEED(!netlink_add_address(s->nl_inside, "wg0", 0x0a000001u | (uint32_t)n << 16, 32, &e), "%s", e.msg);
	T_NEED(!netlink_add_address6(s->nl_inside, "wg0", v6, 128, &e), "%s", e.msg);
	T_NEED(!wireguard_get(&s->wg, "wg0", &is, &e), "%s", e.msg);
	T_CHECK(is.has_key && is.port == PORT && is.fwmark == n && !is.n_peers, "port %u, mark %u, %zu peers", is.port, is.fwmark, is.n_peers);
	memcpy(s->public_key, is.public_key, sizeof(s->public_key));
}

/* OTHER is S's peer, with KEY between them. */
static int know(struct side *s, const struct side *other, const struct wireguard_key *key, struct err *e)
{
	struct wireguard_peer p = { .changes = WIREGUARD_MAKE | WIREGUARD_PRESHARED | WIREGUARD_ENDPOINT | WIREGUARD_KEEPALIVE | WIREGUARD_ALLOWED,
				    .preshared = key,
				    .endpoint = other->at,
				    .keepalive_s = 25,
				    .allowed = other->ranges,
				    .n_allowed = ARRAY_LEN(other->ranges) };

	memcpy(p.public_key, other->public_key, sizeof(p.public_key));
	return wireguard_set_peer(&s->wg, "wg0", &p, e);
}

/* A datagram from inside a to the address TO inside b arrives within WAIT_MS. */
static bool reaches(const char *to, int wait_ms)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(ECHO_PORT) }, at = any;
	struct pollfd wait = { .events = POLLIN };
	bool came;
	int out;

	T_NEED(inet_pton(AF_INET6, to, &at.sin6_addr) == 1, "%s", to);
	T_NEED(!setns(b.inside, CLONE_NEWNET) && (wait.fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)) >= 0, "socket: %m");
	T_NEED(!bind(wait.fd, (struct sockaddr *)&any, sizeof(any)), "bind: %m");
	T_NEED(!setns(a.inside, CLONE_NEWNET) && (out = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)) >= 0, "socket: %m");
	came = sendto(out, "x", 1, 0, (struct sockaddr *)&at, sizeof(at)) == 1 && poll(&wait, 1, wait_ms) == 1;
	close(wait.fd);
	close(out);
	return came;
}

static const struct wireguard_peer_state *peer_of(const struct wireguard_state *s, const uint8_t *key)
{
	for (size_t i = 0; i < s->n_peers; i++)
		if (!memcmp(s->peers[i].public_key, key, WIREGUARD_KEY_LEN))
			return &s->peers[i];
	return NULL;
}

static void test_a_pair_is_made(void)
{
	struct err e = { 0 };

	side_make(&a, 1);
	side_make(&b, 2);
	device_make(&a, 1);
	device_make(&b, 2);
	T_NEED(!netlink_add_veth(a.nl_outside, "line", "line", b.outside, &e), "%s", e.msg);
	T_NEED(!netlink_up(a.nl_outside, "line", &e) && !netlink_up(b.nl_outside, "line", &e), "%s", e.msg);
	T_NEED(!netlink_add_address(a.nl_outside, "line", 0xc0000201, 24, &e), "%s", e.msg);
	T_NEED(!netlink_add_address(b.nl_outside, "line", 0xc0000202, 24, &e), "%s", e.msg);
	for (size_t i = 0; i < 2; i++) {
		T_NEED(!netlink_add_route(a.nl_inside, "wg0", &b.ranges[i], &e), "%s", e.msg);
		T_NEED(!netlink_add_route(b.nl_inside, "wg0", &a.ranges[i], &e), "%s", e.msg);
	}
}

static void test_packets_pass_with_one_key(void)
{
	AUTO_WIREGUARD_STATE struct wireguard_state is = WIREGUARD_STATE_NONE;
	const struct wireguard_key key = { { 1, 2, 3 } }, other = { { 3, 2, 1 } };
	const struct wireguard_peer_state *p;
	struct err e = { 0 };

	T_CHECK(!know(&a, &b, &key, &e) && !know(&b, &a, &other, &e), "%s", e.msg);
	T_CHECK(!reaches("::ffff:10.2.0.1", QUIET_MS), "each has another pre-shared key");
	T_CHECK(!know(&b, &a, &key, &e), "%s", e.msg);
	T_CHECK(reaches("::ffff:10.2.0.1", PATIENCE_MS) && reaches("fd00:2::1", PATIENCE_MS), "both have the same");
	T_NEED(!wireguard_get(&b.wg, "wg0", &is, &e) && (p = peer_of(&is, a.public_key)), "%s", e.msg);
	T_CHECK(p->handshake_s && p->rx_bytes && p->tx_bytes && p->has_preshared && p->keepalive_s == 25, "its counters");
	T_CHECK(p->endpoint.family == AF_INET && p->endpoint.port == PORT && !memcmp(p->endpoint.address, a.at.address, 4), "it came from outside");
	T_CHECK(p->n_allowed == 2, "%zu ranges", p->n_allowed);
}

/* A peer that comes, changes and goes is no other's business: no handshake more, no packet less. */
static void test_another_peer_is_not_touched(void)
{
	AUTO_WIREGUARD_STATE struct wireguard_state before = WIREGUARD_STATE_NONE, with = WIREGUARD_STATE_NONE, after = WIREGUARD_STATE_NONE;
	struct netlink_net many[WIREGUARD_ALLOWED_MAX];
	struct wireguard_peer p = { .changes = WIREGUARD_KEEPALIVE, .keepalive_s = 7, .allowed = many, .n_allowed = ARRAY_LEN(many) };
	const struct wireguard_peer_state *was, *is;
	struct err e = { 0 };

	memcpy(p.public_key, stranger, sizeof(p.public_key));
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (struct netlink_net){ .family = AF_INET6, .address = { 0xfd, 9, (uint8_t)i }, .prefix = 24 };
	T_NEED(!wireguard_get(&a.wg, "wg0", &before, &e) && (was = peer_of(&before, b.public_key)), "%s", e.msg);
	T_CHECK(!wireguard_set_peer(&a.wg, "wg0", &p, &e), "a change of nobody is fine: %s", e.msg);
	p.changes |= WIREGUARD_MAKE | WIREGUARD_ALLOWED | WIREGUARD_ENDPOINT;
	p.endpoint = (struct endpoint){ .family = AF_INET6, .address = { 0x20, 1, 0xd, 0xb8, [15] = 1 }, .port = 4500 };
	T_CHECK(!wireguard_set_peer(&a.wg, "wg0", &p, &e), "%s", e.msg);
	T_NEED(!wireguard_get(&a.wg, "wg0", &with, &e) && (is = peer_of(&with, stranger)), "%s", e.msg);
	T_CHECK(with.n_peers == 2 && is->n_allowed == WIREGUARD_ALLOWED_MAX && is->keepalive_s == 7 && !is->handshake_s, "%zu ranges", is->n_allowed);
	T_CHECK(is->endpoint.family == AF_INET6 && is->endpoint.port == 4500 && is->endpoint.address[15] == 1, "its endpoint");
	T_CHECK(reaches("::ffff:10.2.0.1", PATIENCE_MS), "beside it");
	T_CHECK(!wireguard_remove_peer(&a.wg, "wg0", stranger, &e) && !wireguard_remove_peer(&a.wg, "wg0", stranger, &e), "%s", e.msg);
	T_NEED(!wireguard_get(&a.wg, "wg0", &after, &e) && (is = peer_of(&after, b.public_key)), "%s", e.msg);
	T_CHECK(after.n_peers == 1 && is->handshake_s == was->handshake_s && is->n_allowed == 2 && is->has_preshared, "the other is as it was");
}

/* A pre-shared key that is renewed on both sides costs no packet: it counts from the next handshake on. */
static void test_a_key_is_renewed(void)
{
	const struct wireguard_key key = { { 4, 5, 6 } };
	struct wireguard_peer p = { .changes = WIREGUARD_PRESHARED, .preshared = &key };
	struct err e = { 0 };

	memcpy(p.public_key, b.public_key, sizeof(p.public_key));
	T_CHECK(!wireguard_set_peer(&a.wg, "wg0", &p, &e), "%s", e.msg);
	T_CHECK(reaches("::ffff:10.2.0.1", PATIENCE_MS), "one side has it");
	memcpy(p.public_key, a.public_key, sizeof(p.public_key));
	T_CHECK(!wireguard_set_peer(&b.wg, "wg0", &p, &e), "%s", e.msg);
	T_CHECK(reaches("::ffff:10.2.0.1", PATIENCE_MS), "both have it");
}

static void test_a_removed_peer_is_gone(void)
{
	struct err e = { 0 };

	T_CHECK(!wireguard_remove_peer(&b.wg, "wg0", a.public_key, &e), "%s", e.msg);
	T_CHECK(!reaches("::ffff:10.2.0.1", QUIET_MS), "b knows a no more");
	T_CHECK(!netlink_remove(b.nl_inside, "wg0", &e), "%s", e.msg);
	AUTO_WIREGUARD_STATE struct wireguard_state is = WIREGUARD_STATE_NONE;
	T_CHECK(wireguard_get(&b.wg, "wg0", &is, &e) == -ENODEV && e.msg[0], "%s", e.msg);
}

int main(void)
{
	T_RUN(test_a_pair_is_made);
	T_RUN(test_packets_pass_with_one_key);
	T_RUN(test_another_peer_is_not_touched);
	T_RUN(test_a_key_is_renewed);
	T_RUN(test_a_removed_peer_is_gone);
	return T_END();
}
