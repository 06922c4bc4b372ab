/* Private networks in namespaces of this test's own: what a hostile machine sends does not arrive, and beside each such frame the honest one does. */
#include "network/network.h"

#include "base/file.h"
#include "sys/netlink.h"
#include "sys/netns.h"
#include "test/rate.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

enum { PATIENCE_MS = 400, LONG_MS = 2000, FILTER_PATIENCE_US = 20 * 1000000 };
#define NETWORK "00000000000000c0"
#define FAMILY "00000000000000f0"

struct fixture {
	char dir[32], resolv[64];
	sd_event *event;
	struct provider *p;
	struct work net, a, b;
	int ears; /* what arrives at b */
};
static struct fixture f;

static const uint8_t prefix6[8] = { 0xfd, 0, 0, 1, 0, 2, 0, 3 };
#define OWN 0x0a140105u
#define PEER 0x0a140106u
#define GATEWAY 0x0a140101u

static void children_block(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	T_NEED(!sigprocmask(SIG_BLOCK, &set, NULL), "sigprocmask: %m");
}

static void address6(uint32_t v4, uint8_t ret[static 16])
{
	const uint8_t tail[4] = { (uint8_t)(v4 >> 24), (uint8_t)(v4 >> 16), (uint8_t)(v4 >> 8), (uint8_t)v4 };

	memcpy(ret, prefix6, 8);
	memset(ret + 8, 0, 4);
	memcpy(ret + 12, tail, 4);
}

static void network_work(struct work *w, bool outgoing)
{
	*w = (struct work){ .kind = WORKLOAD_NETWORK, .id = NETWORK, .family = FAMILY };
	w->net = (struct network){ .subnet = { 0x0a140100, 24 }, .range = { 0x0a140000, 16 }, .outgoing = outgoing };
	memcpy(w->net.subnet6.address, prefix6, 8);
	w->net.subnet6.prefix = 64;
	w->net.range6 = w->net.subnet6;
}

static void machine_work(struct work *w, const char *id, const char *name, uint32_t address)
{
	struct network_link *l = &w->links[0];

	*w = (struct work){ .kind = WORKLOAD_ZMACHINE, .family = FAMILY, .name = name, .spec.isolation = ISOLATION_CONTAINER, .n_links = 1 };
	snprintf(w->id, sizeof(w->id), "%s", id);
	snprintf(l->network, sizeof(l->network), NETWORK);
	snprintf(l->name, sizeof(l->name), "blog");
	l->end = (struct card){ .mac = { 2, 0, 0, 0, 0, (uint8_t)address },
				.address = { address, 24 },
				.range = { 0x0a140000, 16 },
				.gateway = GATEWAY,
				.address6.prefix = 64,
				.range6.prefix = 64 };
	address6(address, l->end.address6.address);
	memcpy(l->end.range6.address, prefix6, 8);
	address6(GATEWAY, l->end.gateway6);
}

static bool is_done;

static void on_done(void *engine, struct work *w, int r, const struct err *e)
{
	(void)engine;
	(void)w;
	T_CHECK(!r, "%s", e->msg);
	is_done = true;
}

static void settle(void)
{
	while (!network_filter_is_current(f.p))
		T_NEED(sd_event_run(f.event, FILTER_PATIENCE_US) > 0, "the filters are not loaded");
}

static void apply(struct work *w)
{
	struct err e = { 0 };
	int r;

	is_done = false;
	r = f.p->ops->apply(f.p, w, &e);
	T_NEED(r == (w->kind == WORKLOAD_NETWORK ? PROVIDER_BUSY : 0), "%d %s", r, e.msg);
	while (r == PROVIDER_BUSY && !is_done)
		T_NEED(sd_event_run(f.event, FILTER_PATIENCE_US) > 0, "the network does not stand");
}

static void provider_up(void)
{
	const struct network_options o = { .dir = f.dir, .resolv_conf = f.resolv, .imaged_uid = 902, .filter = FILTER_PROGRAM };
	struct err e = { 0 };

	T_NEED(!network_provider_new(f.event, &o, &f.p, &e), "%s", e.msg);
	f.p->done = on_done;
}

static int ears_open(void *ctx, struct err *e)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex("eth1") };

	(void)e;
	*(int *)ctx = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	T_NEED(*(int *)ctx >= 0 && !bind(*(int *)ctx, (struct sockaddr *)&at, sizeof(at)), "listen: %m");
	return 0;
}

static void up(void)
{
	struct err e = { 0 };
	AUTO_FD int nl = -1;

	T_NEED(!unshare(CLONE_NEWNET | CLONE_NEWNS), "unshare: %m");
	strcpy(f.dir, "/tmp/segment_test.XXXXXX");
	T_NEED(mkdtemp(f.dir) != NULL, "mkdtemp: %m");
	snprintf(f.resolv, sizeof(f.resolv), "%s/.resolv.conf", f.dir);
	T_NEED(!netlink_open(&nl, &e) && !netlink_up(nl, "lo", &e), "%s", e.msg);
	children_block();
	T_NEED(sd_event_new(&f.event) >= 0, "event");
	provider_up();
	network_work(&f.net, true);
	machine_work(&f.a, "000000000000000a", "a", OWN);
	machine_work(&f.b, "000000000000000b", "b", PEER);
	apply(&f.net);
	apply(&f.a);
	apply(&f.b);
	settle();
	T_NEED(!netns_run(f.b.network.netns, ears_open, &f.ears, &e), "%s", e.msg);
}

struct frame {
	uint8_t bytes[256];
	size_t n;
};

static void put(struct frame *p, const void *bytes, size_t n)
{
	memcpy(p->bytes + p->n, bytes, n);
	p->n += n;
}

static void put_be(struct frame *p, uint64_t v, int n)
{
	while (n--)
		p->bytes[p->n++] = (uint8_t)(v >> (8 * n));
}

static const uint8_t own_mac[6] = { 2, 0, 0, 0, 0, 5 }, peer_mac[6] = { 2, 0, 0, 0, 0, 6 }, other_mac[6] = { 2, 0, 0, 0, 0, 7 };
static const uint8_t own_local[16] = { 0xfe, 0x80, [11] = 0xff, 0xfe, 0, 0, 5 }, other_local[16] = { 0xfe, 0x80, [11] = 0xff, 0xfe, 0, 0, 7 };

static void ether(struct frame *p, const uint8_t src[static 6], unsigned type)
{
	put(p, peer_mac, 6);
	put(p, src, 6);
	put_be(p, type, 2);
}

static void arp(struct frame *p, const uint8_t mac[static 6], uint32_t from, unsigned op)
{
	ether(p, own_mac, 0x0806);
	put_be(p, 0x0001080006040000ull | op, 8);
	put(p, mac, 6);
	put_be(p, from, 4);
	put(p, peer_mac, 6);
	put_be(p, PEER, 4);
}

static void udp(struct frame *p, unsigned sport)
{
	put_be(p, sport, 2);
	put_be(p, 9, 2);
	put_be(p, 12, 2);
	put_be(p, 0, 2);
}

static void checksum(uint8_t *head)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)head[i] << 8 | head[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	head[10] = (uint8_t)(sum >> 8);
	head[11] = (uint8_t)sum;
}

static void ip4(struct frame *p, uint32_t from, unsigned offset, unsigned proto)
{
	size_t at = p->n;

	put_be(p, 0x45000020, 4);
	put_be(p, offset, 4); /* id 0, flags and offset */
	put_be(p, 0x40000000u | proto << 16, 4);
	put_be(p, from, 4);
	put_be(p, PEER, 4);
	checksum(p->bytes + at);
}

static void ip6(struct frame *p, const uint8_t from[static 16], unsigned next, unsigned length)
{
	uint8_t to[16];

	address6(PEER, to);
	put_be(p, 0x60000000, 4);
	put_be(p, length, 2);
	put_be(p, next, 1);
	put_be(p, 255, 1);
	put(p, from, 16);
	put(p, to, 16);
}

static void udp4(struct frame *p, const uint8_t mac[static 6], uint32_t from, unsigned sport)
{
	ether(p, mac, 0x0800);
	ip4(p, from, 0, 17);
	udp(p, sport);
}

static void udp6(struct frame *p, const uint8_t from[static 16], unsigned sport)
{
	ether(p, own_mac, 0x86dd);
	ip6(p, from, 17, 12);
	udp(p, sport);
}

/* Neighbour discovery about ABOUT, which is as long a router's advertisement. */
static void icmp6(struct frame *p, const uint8_t from[static 16], unsigned type, const uint8_t about[static 16])
{
	ether(p, own_mac, 0x86dd);
	ip6(p, from, 58, 28);
	put_be(p, (uint64_t)type << 56, 8);
	put(p, about, 16);
}

enum what {
	UDP4,
	MAC,
	IP4,
	IP4_GATEWAY,
	ARP,
	ARP_REPLY,
	ARP_IP,
	ARP_MAC,
	UDP6,
	IP6,
	LOCAL6,
	LOCAL6_OTHER,
	NS,
	NS_OTHER,
	NA,
	NA_GATEWAY,
	DAD,
	DAD_OTHER,
	RA,
	REDIRECT,
	RA_HIDDEN,
	RA_SPLIT,
	DHCP_CLIENT,
	DHCP_SERVER,
	DHCP6_CLIENT,
	DHCP6_SERVER,
	DHCP6_SPLIT,
	FRAGMENT4,
	FRAGMENT6,
	VLAN,
	LLDP,
	WHATS
};

/* What hides something, or is of no kind that machines speak. */
static void frame_odd(enum what what, const uint8_t own[static 16], struct frame *p)
{
	const uint8_t none[16] = { 0 };

	switch (what) {
	case RA_HIDDEN: /* behind options for every hop */
		ether(p, own_mac, 0x86dd);
		ip6(p, own_local, 0, 36);
		put_be(p, 0x3a00050200000000ull, 8);
		put_be(p, 134ull << 56, 8);
		put(p, none, 16);
		break;
	case RA_SPLIT: /* a first fragment that ends before one could see, and what looks as if one could behind it */
	case DHCP6_SPLIT:
		ether(p, own_mac, 0x86dd);
		ip6(p, own, 44, 16);
		put_be(p, 0x3c00000100000001ull, 8);
		put_be(p, what == RA_SPLIT ? 0x3a00010400000000ull : 0x1100010400000000ull, 8);
		break;
	case FRAGMENT6:
		ether(p, own_mac, 0x86dd);
		ip6(p, own, 44, 16);
		put_be(p, 0x1100000100000001ull, 8);
		udp(p, 7);
		break;
	case FRAGMENT4:
		ether(p, own_mac, 0x0800);
		ip4(p, OWN, 0x0010, 17);
		put_be(p, 0x0043, 2);
		put_be(p, 0, 6);
		break;
	case VLAN:
		ether(p, own_mac, 0x8100);
		put_be(p, 0x00000800, 4);
		ip4(p, OWN, 0, 17);
		udp(p, 7);
		break;
	case LLDP:
		ether(p, own_mac, 0x88cc);
		break;
	default:
		bug(__FILE__, __LINE__, "no frame");
	}
}

static void frame_make(enum what what, struct frame *p)
{
	uint8_t own[16], peer[16], gateway[16];
	const uint8_t none[16] = { 0 };

	address6(OWN, own);
	address6(PEER, peer);
	address6(GATEWAY, gateway);
	*p = (struct frame){ 0 };
	switch (what) {
	case UDP4:
		udp4(p, own_mac, OWN, 7);
		break;
	case MAC:
		udp4(p, other_mac, OWN, 7);
		break;
	case IP4:
		udp4(p, own_mac, PEER, 7);
		break;
	case IP4_GATEWAY:
		udp4(p, own_mac, GATEWAY, 7);
		break;
	case DHCP_CLIENT:
		udp4(p, own_mac, OWN, 68);
		break;
	case DHCP_SERVER:
		udp4(p, own_mac, OWN, 67);
		break;
	case ARP:
		arp(p, own_mac, OWN, 1);
		break;
	case ARP_REPLY:
		arp(p, own_mac, OWN, 2);
		break;
	case ARP_IP:
		arp(p, own_mac, GATEWAY, 2);
		break;
	case ARP_MAC:
		arp(p, other_mac, OWN, 2);
		break;
	case UDP6:
		udp6(p, own, 7);
		break;
	case IP6:
		udp6(p, peer, 7);
		break;
	case LOCAL6:
		udp6(p, own_local, 7);
		break;
	case LOCAL6_OTHER:
		udp6(p, other_local, 7);
		break;
	case DHCP6_CLIENT:
		udp6(p, own, 546);
		break;
	case DHCP6_SERVER:
		udp6(p, own, 547);
		break;
	case NS:
		icmp6(p, own, 135, peer);
		break;
	case NS_OTHER:
		icmp6(p, gateway, 135, peer);
		break;
	case NA:
		icmp6(p, own, 136, own);
		break;
	case NA_GATEWAY:
		icmp6(p, own, 136, gateway);
		break;
	case DAD:
		icmp6(p, none, 135, own);
		break;
	case DAD_OTHER:
		icmp6(p, none, 135, peer);
		break;
	case RA:
		icmp6(p, own_local, 134, none);
		break;
	case REDIRECT:
		icmp6(p, own_local, 137, peer);
		break;
	default:
		frame_odd(what, own, p);
	}
	put(p, "mark", 4);
	put_be(p, what, 4);
}

static int send_inside(void *ctx, struct err *e)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("eth1"), .sll_halen = 6 };
	AUTO_FD int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	const struct frame *p = ctx;

	(void)e;
	memcpy(to.sll_addr, peer_mac, 6);
	T_NEED(fd >= 0 && sendto(fd, p->bytes, p->n, 0, (struct sockaddr *)&to, sizeof(to)) == (ssize_t)p->n, "send: %m");
	return 0;
}

static void send_frame(const char *netns, enum what what)
{
	struct frame p;
	struct err e = { 0 };

	frame_make(what, &p);
	T_NEED(!netns_run(netns, send_inside, &p, &e), "%s", e.msg);
}

/* The mark of the next frame that has one; -1 = none comes. */
static int hear(int patience_ms)
{
	for (;;) {
		struct pollfd wait = { .fd = f.ears, .events = POLLIN };
		uint8_t bytes[512];
		ssize_t n;

		if (poll(&wait, 1, patience_ms) != 1)
			return -1;
		n = recv(f.ears, bytes, sizeof(bytes), 0);
		if (n >= 8 && !memcmp(bytes + n - 8, "mark", 4))
			return bytes[n - 1];
	}
}

/* Whether it arrives before the honest one that is sent after it. */
static bool arrives(enum what what)
{
	int mark;

	send_frame(f.a.network.netns, what);
	send_frame(f.a.network.netns, UDP4);
	mark = hear(LONG_MS);
	if (what != UDP4 && mark == (int)what)
		T_CHECK(hear(LONG_MS) == UDP4, "the honest one after %d", what);
	if (what == UDP4)
		T_CHECK(hear(LONG_MS) == UDP4, "both");
	return mark == (int)what;
}

static void only_what_is_a_machine_s_own_leaves_it(void)
{
	static const struct {
		enum what what;
		bool arrives;
	} rows[] = {
		{ UDP4, true },          { MAC, false },          { IP4, false },        { IP4_GATEWAY, false }, { ARP, true },
		{ ARP_REPLY, true },     { ARP_IP, false },       { ARP_MAC, false },    { UDP6, true },         { IP6, false },
		{ LOCAL6, true },        { LOCAL6_OTHER, false }, { NS, true },          { NS_OTHER, false },    { NA, true },
		{ NA_GATEWAY, false },   { DAD, true },           { DAD_OTHER, false },  { RA, false },          { REDIRECT, false },
		{ RA_HIDDEN, false },    { RA_SPLIT, false },     { DHCP_CLIENT, true }, { DHCP_SERVER, false }, { DHCP6_CLIENT, true },
		{ DHCP6_SERVER, false }, { DHCP6_SPLIT, false },  { FRAGMENT4, true },   { FRAGMENT6, true },    { VLAN, false },
		{ LLDP, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		T_CHECK(arrives(rows[i].what) == rows[i].arrives, "row %zu: frame %d", i, rows[i].what);
}

struct probe {
	int family;
	uint32_t to;
	unsigned port;
	int r;
};

static int probe_run(void *ctx, struct err *e)
{
	struct probe *p = ctx;
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)p->port), .sin_addr.s_addr = htonl(p->to) };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)p->port) };
	AUTO_FD int fd = socket(p->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	socklen_t n = sizeof(p->r);

	(void)e;
	address6(p->to, to6.sin6_addr.s6_addr);
	if (!(p->family == AF_INET ? connect(fd, (struct sockaddr *)&to4, sizeof(to4)) : connect(fd, (struct sockaddr *)&to6, sizeof(to6)))) {
		p->r = 0;
		return 0;
	}
	T_NEED(errno == EINPROGRESS, "connect: %m");
	if (poll(&wait, 1, PATIENCE_MS) != 1)
		p->r = ETIMEDOUT;
	else
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &p->r, &n);
	return 0;
}

static void machines_reach_each_other_and_of_the_gateway_its_names(void)
{
	static const struct {
		uint32_t to;
		unsigned port;
		int r;
	} rows[] = {
		{ PEER, 80, ECONNREFUSED }, /* its kernel answers: nobody listens */
		{ GATEWAY, 53, ECONNREFUSED }, /* open, and nobody there in this test */
		{ GATEWAY, 80, ETIMEDOUT },
		{ GATEWAY, 22, ETIMEDOUT },
	};
	static const int families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < ARRAY_LEN(rows) * 2; i++) {
		struct probe p = { .family = families[i % 2], .to = rows[i / 2].to, .port = rows[i / 2].port };
		struct err e = { 0 };

		T_CHECK(!netns_run(f.a.network.netns, probe_run, &p, &e) && p.r == rows[i / 2].r, "row %zu: %s", i, strerror(p.r));
	}
}

/* A's port, as the link of a machine to the node (network_test.c); B's is as it was. The bridge passes on what comes through the ifb as it came. */
static void a_machine_keeps_to_its_bandwidth_in_a_network(void)
{
	enum { LIMIT = 1 << 20 };
	char heard[256];

	for (int up = 0; up < 2; up++) {
		uint64_t rate;

		for (int limited = 0; limited < 2; limited++) {
			f.a.spec.bandwidth = limited ? LIMIT : 0;
			apply(&f.a);
			rate = rate_of(f.a.network.netns, f.b.network.netns, PEER, up, LIMIT);
			T_CHECK(limited ? rate > LIMIT / 4 && rate < LIMIT * 5 / 4 : rate > 8 * LIMIT, "%d: %lu", up, (unsigned long)rate);
		}
	}
	while (recv(f.ears, heard, sizeof(heard), MSG_DONTWAIT) > 0)
		;
	T_CHECK(arrives(UDP4) && !arrives(IP4) && !arrives(MAC), "and is nobody else");
}

/* The engine's next process finds all as it was, before it has applied anything again. */
static void a_restart_changes_nothing(void)
{
	network_provider_free(f.p);
	T_CHECK(arrives(UDP4) && !arrives(IP4), "while it is not there");
	provider_up();
	settle();
	T_CHECK(arrives(UDP4) && arrives(UDP6) && !arrives(IP4) && !arrives(MAC), "before a machine is applied");
	apply(&f.net);
	apply(&f.a);
	apply(&f.b);
	settle();
	T_CHECK(arrives(UDP4) && arrives(UDP6) && !arrives(IP4), "and after");
}

static void another_address_is_another_identity(void)
{
	machine_work(&f.a, "000000000000000a", "a", 0x0a140109);
	apply(&f.a);
	settle();
	send_frame(f.a.network.netns, UDP4); /* with the old MAC and address */
	T_CHECK(hear(PATIENCE_MS) == -1, "what it was is it no more");
	machine_work(&f.a, "000000000000000a", "a", OWN);
	apply(&f.a);
	settle();
	T_CHECK(arrives(UDP4), "and again it is");
}

static void nothing_is_left(void)
{
	struct err e = { 0 };
	char path[128];

	T_CHECK(if_nametoindex("zn0") && if_nametoindex("zm1"), "a link each");
	network_work(&f.net, false);
	apply(&f.net);
	T_CHECK(!if_nametoindex("zn0"), "without a way out there is no link");
	T_CHECK(!f.p->ops->remove(f.p, &f.a, &e) && !f.p->ops->remove(f.p, &f.b, &e) && !f.p->ops->remove(f.p, &f.net, &e), "%s", e.msg);
	snprintf(path, sizeof(path), "%s/" NETWORK, f.dir);
	T_CHECK(access(path, F_OK) && !if_nametoindex("zm1") && !if_nametoindex("zm2"), "gone");
	T_CHECK(!f.p->ops->remove(f.p, &f.net, &e), "absent is fine: %s", e.msg);
}

int main(void)
{
	struct err e = { 0 };

	up();
	T_RUN(machines_reach_each_other_and_of_the_gateway_its_names);
	T_RUN(only_what_is_a_machine_s_own_leaves_it);
	T_RUN(a_machine_keeps_to_its_bandwidth_in_a_network);
	T_RUN(a_restart_changes_nothing);
	T_RUN(another_address_is_another_identity);
	T_RUN(nothing_is_left);
	network_provider_free(f.p);
	sd_event_unref(f.event);
	close(f.ears);
	T_CHECK(!tree_remove(AT_FDCWD, f.dir, &e), "%s", e.msg);
	return T_END();
}
