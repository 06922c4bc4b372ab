/* Links, addresses and routes in two namespaces of this test's own: what was asked for carries packets. */
#include "sys/netlink.h"

#include "test/t.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>

enum { PATIENCE_MS = 5000 };

struct fixture {
	int here, there;       /* namespaces */
	int nl_here, nl_there; /* a netlink socket in each */
};

static int enter_new(int *ret_nl)
{
	struct err e = { 0 };
	int fd;

	T_NEED(!unshare(CLONE_NEWNET), "unshare: %m");
	T_NEED(!netlink_open(ret_nl, &e), "%s", e.msg);
	T_NEED(!netlink_up(*ret_nl, "lo", &e), "%s", e.msg);
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	T_NEED(fd >= 0, "open: %m");
	return fd;
}

static struct fixture fixture_make(void)
{
	struct fixture f = { 0 };

	f.there = enter_new(&f.nl_there);
	f.here = enter_new(&f.nl_here);
	return f;
}

static void fixture_end(struct fixture *f)
{
	close(f->here);
	close(f->there);
	close(f->nl_here);
	close(f->nl_there);
}

static struct netlink_net net_of(const char *text, unsigned prefix)
{
	struct netlink_net n = { .family = strchr(text, ':') ? AF_INET6 : AF_INET, .prefix = prefix };

	T_NEED(inet_pton(n.family, text, n.address) == 1, "%s", text);
	return n;
}

/* A packet from HERE to TO arrives THERE. */
static bool reaches(const struct fixture *f, const char *to)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(7) }, at = any;
	struct pollfd wait = { .events = POLLIN };
	char mapped[INET6_ADDRSTRLEN + 8];
	int in, out;
	bool came;

	snprintf(mapped, sizeof(mapped), "%s%s", strchr(to, ':') ? "" : "::ffff:", to);
	T_NEED(inet_pton(AF_INET6, mapped, &at.sin6_addr) == 1, "%s", to);
	T_NEED(!setns(f->there, CLONE_NEWNET) && (in = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)) >= 0, "socket: %m");
	T_NEED(!bind(in, (struct sockaddr *)&any, sizeof(any)), "bind: %m");
	T_NEED(!setns(f->here, CLONE_NEWNET) && (out = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)) >= 0, "socket: %m");
	wait.fd = in;
	came = sendto(out, "x", 1, 0, (struct sockaddr *)&at, sizeof(at)) == 1 && poll(&wait, 1, PATIENCE_MS) == 1;
	close(in);
	close(out);
	return came;
}

/* A bridge here with one port, whose other end there was renamed; both families, on the link and by a route. */
static void test_bridge_carries(void)
{
	struct fixture f = fixture_make();
	struct netlink_net far4 = net_of("10.9.0.0", 16), far6 = net_of("fd00:9::", 32);
	struct netlink_net own6 = net_of("fd00:1::1", 64), other6 = net_of("fd00:1::2", 64), beyond6 = net_of("fd00:9::9", 128);
	struct err e = { 0 };

	T_CHECK(!netlink_add_link(f.nl_here, "br", "bridge", &e), "%s", e.msg);
	T_CHECK(!netlink_add_veth(f.nl_here, "port", "raw", f.there, &e), "%s", e.msg);
	T_CHECK(!netlink_enslave(f.nl_here, "port", "br", &e), "%s", e.msg);
	T_CHECK(!netlink_enslave(f.nl_here, "port", "br", &e), "twice: %s", e.msg);
	T_CHECK(!netlink_rename(f.nl_there, "raw", "eth0", &e), "%s", e.msg);
	T_CHECK(!netlink_set_mtu(f.nl_there, "eth0", 1400, &e), "%s", e.msg);
	T_CHECK(!netlink_up(f.nl_here, "br", &e) && !netlink_up(f.nl_here, "port", &e) && !netlink_up(f.nl_there, "eth0", &e), "%s", e.msg);
	T_CHECK(!netlink_add_address(f.nl_here, "br", 0x0a010001, 24, &e), "%s", e.msg);
	T_CHECK(!netlink_add_address(f.nl_there, "eth0", 0x0a010002, 24, &e), "%s", e.msg);
	T_CHECK(!netlink_add_address(f.nl_there, "eth0", 0x0a090009, 32, &e), "%s", e.msg);
	T_CHECK(!netlink_add_address6(f.nl_here, "br", own6.address, 64, &e), "%s", e.msg);
	T_CHECK(!netlink_add_address6(f.nl_here, "br", own6.address, 64, &e), "twice: %s", e.msg);
	T_CHECK(!netlink_add_address6(f.nl_there, "eth0", other6.address, 64, &e), "%s", e.msg);
	T_CHECK(!netlink_add_address6(f.nl_there, "eth0", beyond6.address, 128, &e), "%s", e.msg);
	T_CHECK(reaches(&f, "10.1.0.2") && reaches(&f, "fd00:1::2"), "on the link");
	T_CHECK(!reaches(&f, "10.9.0.9") && !reaches(&f, "fd00:9::9"), "without a route");
	for (int i = 0; i < 2; i++) {
		T_CHECK(!netlink_add_route(f.nl_here, "br", &far4, &e), "%d: %s", i, e.msg);
		T_CHECK(!netlink_add_route(f.nl_here, "br", &far6, &e), "%d: %s", i, e.msg);
	}
	T_CHECK(reaches(&f, "10.9.0.9") && reaches(&f, "fd00:9::9"), "by a route");
	for (int i = 0; i < 2; i++) {
		T_CHECK(!netlink_remove_route(f.nl_here, "br", &far4, &e), "%d: %s", i, e.msg);
		T_CHECK(!netlink_remove_route(f.nl_here, "br", &far6, &e), "%d: %s", i, e.msg);
	}
	T_CHECK(!reaches(&f, "10.9.0.9") && !reaches(&f, "fd00:9::9"), "the routes are gone");
	fixture_end(&f);
}

static void test_move(void)
{
	struct fixture f = fixture_make();
	struct err e = { 0 };

	T_CHECK(!netlink_add_link(f.nl_here, "br", "bridge", &e), "%s", e.msg);
	T_CHECK(netlink_up(f.nl_there, "br", &e) == -ENODEV, "it is here");
	T_CHECK(!netlink_add_veth(f.nl_here, "a", "b", f.here, &e), "%s", e.msg);
	T_CHECK(!netlink_move(f.nl_here, "a", f.there, &e), "%s", e.msg);
	T_CHECK(!netlink_up(f.nl_there, "a", &e), "%s", e.msg);
	T_CHECK(netlink_up(f.nl_here, "a", &e) == -ENODEV, "it is there");
	fixture_end(&f);
}

static void test_refusals(void)
{
	struct fixture f = fixture_make();
	struct netlink_net good = net_of("10.9.0.0", 16), bad = net_of("10.9.0.1", 16);
	struct err e = { 0 };

	T_CHECK(!netlink_add_link(f.nl_here, "br", "bridge", &e) && !netlink_up(f.nl_here, "br", &e), "%s", e.msg);
	T_CHECK(!netlink_add_route(f.nl_here, "br", &good, &e), "%s", e.msg);
	T_CHECK(netlink_add_route(f.nl_here, "br", &bad, &e) == -EINVAL && e.msg[0], "bits beyond the prefix");
	T_CHECK(netlink_add_link(f.nl_here, "br", "bridge", &e) == -EEXIST && e.msg[0], "the name is taken");
	T_CHECK(netlink_add_link(f.nl_here, "x", "no-such-kind", &e) == -EOPNOTSUPP && e.msg[0], "%s", e.msg);
	T_CHECK(netlink_enslave(f.nl_here, "br", "none", &e) == -ENODEV && e.msg[0], "no bridge");
	T_CHECK(netlink_rename(f.nl_here, "none", "x", &e) == -ENODEV && e.msg[0], "no link");
	fixture_end(&f);
}

int main(void)
{
	T_RUN(test_bridge_carries);
	T_RUN(test_move);
	T_RUN(test_refusals);
	return T_END();
}
