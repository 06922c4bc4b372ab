/* What a network's filter passes between its machines, its peers and its owner's devices, without a kernel that has WireGuard: a cable in its place, behind which somebody
 * has addresses that are declared and others that are not. And what is kept of peers. test/node/span_test.py has the rest. */
#include "network/network.h"
#include "network/segment.h"

#include "base/file.h"
#include "sys/netns.h"
#include "test/t.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { PATIENCE_MS = 400, FILTER_PATIENCE_US = 20 * 1000000 };
#define NETWORK "00000000000000c0"
#define FAMILY "00000000000000f0"
#define KEY "1111111111111111111111111111111111111111111111111111111111111111"
#define PHONE "2222222222222222222222222222222222222222222222222222222222222222"
#define KEPT "28999\n- " KEY " 10.20.9.0/24 fd00:1:2:9::/64\nphone " PHONE " 10.20.1.9/32 fd00:1:2:1::a14:109/128"

static struct fixture {
	char dir[32], resolv[64], far[64];
	sd_event *event;
	struct provider *p;
	struct work net, machine;
} f;

static bool is_done;

static void on_done(void *engine, struct work *w, int r, const struct err *e)
{
	(void)engine;
	(void)w;
	T_CHECK(!r, "%s", e->msg);
	is_done = true;
}

static void provider_up(void)
{
	const struct network_options o = { .dir = f.dir, .resolv_conf = f.resolv, .imaged_uid = 902, .filter = FILTER_PROGRAM };
	struct err e = { 0 };

	T_NEED(!network_provider_new(f.event, &o, &f.p, &e), "%s", e.msg);
	f.p->done = on_done;
}

static void apply(struct work *w)
{
	struct err e = { 0 };
	int r;

	is_done = false;
	r = f.p->ops->apply(f.p, w, &e);
	T_NEED(r == (w->kind == WORKLOAD_NETWORK ? PROVIDER_BUSY : 0), "%d %s", r, e.msg);
	while ((r == PROVIDER_BUSY && !is_done) || !network_filter_is_current(f.p))
		T_NEED(sd_event_run(f.event, FILTER_PATIENCE_US) > 0, "the network does not stand");
}

static void ip6(const char *text, uint8_t ret[static 16])
{
	T_NEED(inet_pton(AF_INET6, text, ret) == 1, "%s", text);
}

static void network_work(void)
{
	f.net = (struct work){ .kind = WORKLOAD_NETWORK, .id = NETWORK, .family = FAMILY, .deployment = "blog", .name = "net" };
	f.net.net = (struct network){ .subnet = { 0x0a140100, 24 }, .range = { 0x0a140000, 16 } };
	ip6("fd00:1:2:1::", f.net.net.subnet6.address);
	f.net.net.subnet6.prefix = 64;
	ip6("fd00:1:2::", f.net.net.range6.address);
	f.net.net.range6.prefix = 48;
}

static void machine_work(uint32_t address)
{
	struct network_link *l = &f.machine.links[0];

	f.machine = (struct work){ .kind = WORKLOAD_ZMACHINE, .id = "000000000000000a", .family = FAMILY, .name = "web", .n_links = 1 };
	f.machine.spec.isolation = ISOLATION_CONTAINER;
	snprintf(l->network, sizeof(l->network), NETWORK);
	snprintf(l->name, sizeof(l->name), "net");
	l->end = (struct card){
		.mac = { 2, 0, 0, 0, 0, (uint8_t)address }, .address = { address, 24 }, .range = { 0x0a140000, 16 }, .gateway = 0x0a140101
	};
	l->end.address6.prefix = 64;
	network_address6(&f.net.net, address, l->end.address6.address);
	l->end.range6 = f.net.net.range6;
	network_address6(&f.net.net, 0x0a140101, l->end.gateway6);
}

/* As WireGuard's, a link that asks nobody for a MAC: it takes its own for the other's, so both are the same. */
static int quiet(int netlink, const char *name, struct err *e)
{
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = { 0 };

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	T_NEED(fd >= 0 && !ioctl(fd, SIOCGIFFLAGS, &req), "%s: %m", name);
	req.ifr_flags |= IFF_NOARP;
	T_NEED(!ioctl(fd, SIOCSIFFLAGS, &req), "%s: %m", name);
	return netlink_set_mac(netlink, name, mac, e);
}

/* As span.c does it with a device. */
static int phone_near(int fd, struct err *e)
{
	struct netlink_net v4 = { .family = AF_INET, .address = { 10, 20, 1, 9 }, .prefix = 32 }, v6 = { .family = AF_INET6, .prefix = 128 };

	ip6("fd00:1:2:1::a14:109", v6.address);
	T_NEED(!tunnel_proxies_allow(e), "%s", e->msg);
	return netlink_add_route(fd, SPAN_DEVICE, &v4, e) || netlink_add_route(fd, SPAN_DEVICE, &v6, e) ||
	       netlink_add_proxy(fd, SEGMENT_BRIDGE, &v4, e) || netlink_add_proxy(fd, SEGMENT_BRIDGE, &v6, e);
}

/* In the cable's place of wg0: what is reached by it, declared and not. */
static int cable_near(void *ctx, struct err *e)
{
	static const char *const forwarding[] = { "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding" };
	AUTO_FD int far = open(f.far, O_RDONLY | O_CLOEXEC), fd = -1;
	uint8_t nine[16], eight[16];

	(void)ctx;
	ip6("fd00:1:2:9::1", nine);
	ip6("fd00:1:2:8::1", eight);
	T_NEED(far >= 0 && !netlink_open(&fd, e) && !netlink_add_veth(fd, SPAN_DEVICE, "eth0", far, e), "%s", e->msg);
	T_NEED(!file_poke(AT_FDCWD, "/proc/sys/net/ipv6/conf/" SPAN_DEVICE "/disable_ipv6", S("0"), e), "%s", e->msg);
	for (size_t i = 0; i < ARRAY_LEN(forwarding); i++)
		T_NEED(!file_poke(AT_FDCWD, forwarding[i], S("1"), e), "%s", e->msg);
	return quiet(fd, SPAN_DEVICE, e) || netlink_add_address(fd, SPAN_DEVICE, 0x0a140901, 24, e) ||
	       netlink_add_address(fd, SPAN_DEVICE, 0x0a140801, 24, e) || netlink_add_address6(fd, SPAN_DEVICE, nine, 64, e) ||
	       netlink_add_address6(fd, SPAN_DEVICE, eight, 64, e) || netlink_up(fd, SPAN_DEVICE, e) || phone_near(fd, e);
}

static int cable_far(void *ctx, struct err *e)
{
	uint32_t via4 = htonl(0x0a140901);
	struct netlink_net to4 = { .family = AF_INET, .address = { 10, 20, 1, 0 }, .prefix = 24 }, to6 = { .family = AF_INET6, .prefix = 64 };
	uint8_t nine[16], eight[16], phone[16], via6[16];
	AUTO_FD int fd = -1;

	(void)ctx;
	ip6("fd00:1:2:1::a14:109", phone);
	ip6("fd00:1:2:9::5", nine);
	ip6("fd00:1:2:8::5", eight);
	ip6("fd00:1:2:9::1", via6);
	ip6("fd00:1:2:1::", to6.address);
	return netlink_open(&fd, e) || quiet(fd, "eth0", e) || netlink_up(fd, "lo", e) || netlink_up(fd, "eth0", e) ||
	       netlink_add_address(fd, "eth0", 0x0a140905, 24, e) || netlink_add_address(fd, "eth0", 0x0a140805, 24, e) ||
	       netlink_add_address6(fd, "eth0", nine, 64, e) || netlink_add_address6(fd, "eth0", eight, 64, e) ||
	       netlink_add_address(fd, "eth0", 0x0a140109, 32, e) || netlink_add_address6(fd, "eth0", phone, 128, e) ||
	       netlink_add_route_via(fd, "eth0", &to4, (const uint8_t *)&via4, 0, e) || netlink_add_route_via(fd, "eth0", &to6, via6, 0, e);
}

static void up(void)
{
	struct err e = { 0 };
	AUTO_FD int nl = -1;
	sigset_t set;

	T_NEED(!unshare(CLONE_NEWNET | CLONE_NEWNS), "unshare: %m");
	strcpy(f.dir, "/tmp/span_test.XXXXXX");
	T_NEED(mkdtemp(f.dir) != NULL, "mkdtemp: %m");
	snprintf(f.resolv, sizeof(f.resolv), "%s/.resolv.conf", f.dir);
	snprintf(f.far, sizeof(f.far), "%s/.far", f.dir);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	T_NEED(!sigprocmask(SIG_BLOCK, &set, NULL) && sd_event_new(&f.event) >= 0, "event");
	T_NEED(!netlink_open(&nl, &e) && !netlink_up(nl, "lo", &e) && !netns_make(f.far, &e), "%s", e.msg);
	provider_up();
	network_work();
	machine_work(0x0a140105);
	apply(&f.net);
	apply(&f.machine);
	T_NEED(!netns_run(f.net.network.netns, cable_near, NULL, &e) && !netns_run(f.far, cable_far, NULL, &e), "%s", e.msg);
}

struct probe {
	const char *from, *to; /* FROM NULL: as the kernel chooses */
	unsigned port;
	int r; /* the errno; ETIMEDOUT when nothing came back */
};

static struct sockaddr_in6 at(const char *text, unsigned port)
{
	struct sockaddr_in6 ret = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	char mapped[64];

	snprintf(mapped, sizeof(mapped), "%s%s", strchr(text, ':') ? "" : "::ffff:", text);
	ip6(mapped, ret.sin6_addr.s6_addr);
	return ret;
}

static int probe_run(void *ctx, struct err *e)
{
	struct probe *p = ctx;
	struct sockaddr_in6 to = at(p->to, p->port), from = at(p->from ? p->from : "::", 0);
	AUTO_FD int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	socklen_t n = sizeof(p->r);

	(void)e;
	p->r = 0;
	T_NEED(fd >= 0 && (!p->from || !bind(fd, (struct sockaddr *)&from, sizeof(from))), "bind %s: %m", p->from);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS)
		p->r = errno;
	else if (poll(&wait, 1, PATIENCE_MS) != 1)
		p->r = ETIMEDOUT;
	else
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &p->r, &n);
	return 0;
}

/* Nobody listens anywhere: whoever is reached refuses. */
static const struct {
	bool from_far;
	const char *from, *to;
	unsigned port;
	bool passes;
} rows[] = {
	{ false, NULL, "10.20.9.5", 80, true },        { false, NULL, "fd00:1:2:9::5", 80, true },
	{ false, NULL, "10.20.8.5", 80, false },       { false, NULL, "fd00:1:2:8::5", 80, false },
	{ true, "10.20.9.5", "10.20.1.6", 80, true },  { true, "fd00:1:2:9::5", "fd00:1:2:1::a14:106", 80, true },
	{ true, "10.20.8.5", "10.20.1.6", 80, false }, { true, "fd00:1:2:8::5", "fd00:1:2:1::a14:106", 80, false },
	{ true, "10.20.9.5", "10.20.1.1", 53, false }, { true, "fd00:1:2:9::5", "fd00:1:2:1::a14:101", 53, false },
	{ false, NULL, "10.20.1.9", 80, true },        { false, NULL, "fd00:1:2:1::a14:109", 80, true },
	{ true, "10.20.1.9", "10.20.1.6", 80, true },  { true, "fd00:1:2:1::a14:109", "fd00:1:2:1::a14:106", 80, true },
	{ true, "10.20.1.9", "10.20.1.1", 53, true },  { true, "fd00:1:2:1::a14:109", "fd00:1:2:1::a14:101", 53, true },
	{ true, "10.20.1.9", "10.20.1.1", 80, false }, { true, "fd00:1:2:1::a14:109", "fd00:1:2:1::a14:101", 80, false },
};

static void try(bool is_declared)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct probe p = { .from = rows[i].from, .to = rows[i].to, .port = rows[i].port };
		struct err e = { 0 };

		T_CHECK(!netns_run(rows[i].from_far ? f.far : f.machine.network.netns, probe_run, &p, &e) &&
				(rows[i].passes && is_declared ? p.r == ECONNREFUSED : p.r && p.r != ECONNREFUSED),
			"row %zu: %s", i, strerror(p.r));
	}
}

/* The machine moves to the address 6, so that the filter is loaded again. */
static void what_is_declared_passes_and_nothing_else(void)
{
	struct err e = { 0 };
	char path[128];

	machine_work(0x0a140106);
	apply(&f.machine);
	try(false);
	network_provider_free(f.p);
	snprintf(path, sizeof(path), "%s/" NETWORK "/span", f.dir);
	T_NEED(!file_save(AT_FDCWD, path, S(KEPT), 0600, &e), "%s", e.msg);
	provider_up();
	machine_work(0x0a140107);
	apply(&f.machine);
	machine_work(0x0a140106);
	apply(&f.machine);
	try(true);
	{
		char cmd[900];
		snprintf(
			cmd, sizeof(cmd),
			"for n in %s %s; do echo == $n; nsenter --net=$n sh -c 'cat /proc/net/arp /proc/net/route /proc/net/ipv6_route; cat /proc/sys/net/ipv4/conf/br0/forwarding /proc/sys/net/ipv4/ip_forward;  cat /proc/sys/net/ipv4/neigh/br0/proxy_delay /proc/sys/net/ipv4/conf/br0/rp_filter; ip neigh show proxy; ip -s link show; nft list ruleset; cat /proc/net/snmp' ; done >&2",
			f.net.network.netns, f.machine.network.netns);
		(void)!system(cmd);
	}
}

/* What peers have that the document does not name is closed again, and nothing is kept of them. */
static void without_peers_nothing_passes(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/" NETWORK "/span", f.dir);
	T_CHECK(!access(path, F_OK), "there");
	apply(&f.net);
	T_CHECK(access(path, F_OK), "gone");
	for (size_t i = 0; i < 2; i++) {
		struct probe p = { .to = rows[i].to, .port = rows[i].port };
		struct err e = { 0 };

		T_CHECK(!netns_run(f.machine.network.netns, probe_run, &p, &e) && p.r && p.r != ECONNREFUSED, "row %zu: %s", i, strerror(p.r));
	}
}

static void what_is_kept_is_read_again(void)
{
	static const struct {
		const char *text;
		bool is_good;
	} kept[] = {
		{ KEPT, true },
		{ "28672", true },
		{ "28672\nphone " KEY " 10.20.1.9/32 -", true },
		{ "28672\nPhone " KEY " 10.20.1.9/32 -", false },
		{ "28672\nNAIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRCEIRDOW5 - 10.20.2.0/24 -", true },
		{ "", false },
		{ "65536", false },
		{ "28672\n- " KEY " 10.20.2.0/24", false },
		{ "28672\nN - 10.20.2.0/24 -", false },
		{ "28672\n- 11 10.20.2.0/24 -", false },
		{ "28672\n- - 10.20.2/24 -", false },
	};
	char path[128];

	snprintf(path, sizeof(path), "%s/" NETWORK "/span", f.dir);
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		struct segments s = SEGMENTS_NONE;
		AUTO_BUF struct buf again = { 0 };
		struct err e = { 0 };

		s.dir = f.dir;
		T_NEED(!file_save(AT_FDCWD, path, str_c(kept[i].text), 0600, &e) && !segments_load(&s, &e) && s.first, "%s", e.msg);
		T_CHECK((s.first->span.port != 0) == kept[i].is_good, "row %zu", i);
		T_CHECK(!segment_span_save(s.first, &e), "%s", e.msg);
		T_CHECK(file_read(AT_FDCWD, path, 4096, &again, &e) ? !kept[i].is_good : str_eq(buf_str(&again), str_c(kept[i].text)), "row %zu", i);
		segments_deinit(&s);
	}
}

static void owners_send_nothing_to_what_is_private(void)
{
	static const char *const open[] = { "192.168.7.0/24" };
	static const struct {
		const char *at;
		bool may;
	} ends[] = {
		{ "192.0.2.1:51820", true },  { "8.8.8.8:53", true },     { "192.168.7.1:51820", true },     { "192.168.8.1:51820", false },
		{ "10.0.2.2:51820", false },  { "100.127.0.1:5", false }, { "172.31.0.1:5", false },         { "[2001:db8::1]:51820", true },
		{ "[fd00::1]:51820", false }, { "[fec0::2]:5", false },   { "[64:ff9b::a00:202]:5", false },
	};
	const struct rules r = { .open = { open[0] }, .n_open = 1 };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct endpoint to;

		T_NEED(!endpoint_parse(str_c(ends[i].at), &to), "%s", ends[i].at);
		T_CHECK(rules_may_reach(&r, &to) == ends[i].may, "%s", ends[i].at);
	}
}

int main(void)
{
	struct err e = { 0 };

	up();
	T_RUN(what_is_declared_passes_and_nothing_else);
	T_RUN(without_peers_nothing_passes);
	T_RUN(what_is_kept_is_read_again);
	T_RUN(owners_send_nothing_to_what_is_private);
	T_CHECK(!f.p->ops->remove(f.p, &f.machine, &e) && !f.p->ops->remove(f.p, &f.net, &e) && !netns_remove(f.far, &e), "%s", e.msg);
	network_provider_free(f.p);
	sd_event_unref(f.event);
	T_CHECK(!tree_remove(AT_FDCWD, f.dir, &e), "%s", e.msg);
	return T_END();
}
