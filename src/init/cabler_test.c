/* Uplinks made of links of a namespace of this test's own: static addresses, routes and name servers; a card that comes late, and again. Bonds and VLANs, which not every kernel
 * has, are test/node/uplink_test.py's. */
#include "init/cabler.h"

#include "base/file.h"
#include "base/log.h"
#include "sys/netlink.h"
#include "test/t.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <sched.h>
#include <stdio.h>

struct fixture {
	char dir[32], sources[64], conf[64];
	int netlink, there;
	struct cabler c;
};

static void fixture_make(struct fixture *f, const char *words)
{
	struct err e = { 0 };

	*f = (struct fixture){ .dir = "/tmp/zos-cabler-XXXXXX" };
	T_NEED(mkdtemp(f->dir), "mkdtemp: %m");
	snprintf(f->sources, sizeof(f->sources), "%s/sources", f->dir);
	snprintf(f->conf, sizeof(f->conf), "%s/resolv.conf", f->dir);
	T_NEED(!dir_make(f->sources, 0755, &e), "%s", e.msg);
	T_NEED(!unshare(CLONE_NEWNET) && (f->there = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) >= 0 && !unshare(CLONE_NEWNET), "unshare: %m");
	T_NEED(!netlink_open(&f->netlink, &e), "%s", e.msg);
	f->c = (struct cabler){ .sources = f->sources, .resolv_conf = f->conf, .netlink = f->netlink };
	T_NEED(!cabling_read(&f->c.cabling, str_c(words), false, &e), "%s", e.msg);
}

static void fixture_end(struct fixture *f)
{
	struct err e = { 0 };

	close(f->netlink);
	close(f->there);
	T_CHECK(!tree_remove(AT_FDCWD, f->dir, &e), "%s", e.msg);
}

static void card_add(const struct fixture *f, const char *name)
{
	char peer[24];
	struct err e = { 0 };

	snprintf(peer, sizeof(peer), "p%s", name);
	T_CHECK(!netlink_add_veth(f->netlink, name, peer, f->there, &e), "%s", e.msg);
}

static bool has_address(const char *name, const char *want)
{
	struct ifaddrs *all = NULL;
	bool has = false;

	T_NEED(!getifaddrs(&all), "getifaddrs: %m");
	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		int family = a->ifa_addr ? a->ifa_addr->sa_family : AF_UNSPEC;
		char text[INET6_ADDRSTRLEN] = "";

		if (family == AF_INET)
			inet_ntop(family, &((const struct sockaddr_in *)a->ifa_addr)->sin_addr, text, sizeof(text));
		if (family == AF_INET6)
			inet_ntop(family, &((const struct sockaddr_in6 *)a->ifa_addr)->sin6_addr, text, sizeof(text));
		has |= !strcmp(a->ifa_name, name) && !strcmp(text, want);
	}
	freeifaddrs(all);
	return has;
}

/* The kernel's own list, /proc/net/route: a line of DEVICE to everywhere, by a router, with this metric. */
static bool has_default(const char *device, unsigned metric)
{
	enum { ROUTE_DEVICE, ROUTE_TO, ROUTE_VIA, ROUTE_METRIC = 6, ROUTE_COLUMNS };
	AUTO_BUF struct buf b = { 0 };
	struct err e = { 0 };
	char want[16];
	bool has = false;
	struct str rest, line;

	snprintf(want, sizeof(want), "%u", metric);
	T_CHECK(!file_read(AT_FDCWD, "/proc/thread-self/net/route", 65536, &b, &e), "%s", e.msg);
	rest = buf_str(&b);
	while (str_next(&rest, '\n', &line)) {
		struct str columns[ROUTE_COLUMNS] = { 0 };

		for (size_t i = 0; i < ROUTE_COLUMNS && str_next(&line, '\t', &columns[i]); i++)
			;
		has |= str_eq(columns[ROUTE_DEVICE], str_c(device)) && str_eq(columns[ROUTE_TO], S("00000000")) &&
		       !str_eq(columns[ROUTE_VIA], S("00000000")) && str_eq(columns[ROUTE_METRIC], str_c(want));
	}
	return has;
}

static void static_uplinks(void)
{
	struct fixture f;
	AUTO_BUF struct buf b = { 0 };
	struct err e = { 0 };

	fixture_make(&f, "zos.uplink=eth1,address=192.0.2.10/24,address=2001:db8::10/64,router=192.0.2.1,router=fe80::1,dns=192.0.2.53 "
			 "zos.uplink=eth0,address=198.51.100.10/24,router=198.51.100.1");
	card_add(&f, "eth0");
	T_CHECK(cabler_step(&f.c) == 1 && !f.c.uplinks[1].trouble[0], "one has its card: %s", f.c.uplinks[1].trouble);
	T_CHECK(has_address("eth0", "198.51.100.10") && has_default("eth0", 2 * CABLING_METRIC), "eth0");
	T_CHECK(!has_address("eth1", "192.0.2.10") && access(f.conf, F_OK), "eth1 is not there");
	card_add(&f, "eth1");
	T_CHECK(cabler_step(&f.c) == 2 && !f.c.uplinks[0].trouble[0], "the other one came later: %s", f.c.uplinks[0].trouble);
	T_CHECK(has_address("eth1", "192.0.2.10") && has_address("eth1", "2001:db8::10") && has_default("eth1", CABLING_METRIC), "eth1");
	T_CHECK(!file_read(AT_FDCWD, f.conf, 4096, &b, &e) && str_eq(buf_str(&b), S("nameserver 192.0.2.53\n")), "%s", e.msg);
	T_CHECK(cabler_step(&f.c) == 2, "all is done");
	T_CHECK(!netlink_remove(f.netlink, "eth1", &e) && cabler_step(&f.c) == 1, "one was pulled: %s", e.msg);
	card_add(&f, "eth1");
	T_CHECK(cabler_step(&f.c) == 2 && has_address("eth1", "192.0.2.10"), "and is back");
	f.c.uplinks[0].index = f.c.uplinks[1].index = 0; /* a program that was started again knows nothing of it */
	T_CHECK(cabler_step(&f.c) == 2 && !f.c.uplinks[0].trouble[0], "once more: %s", f.c.uplinks[0].trouble);
	fixture_end(&f);
}

/* What cannot be done is told, and does not keep the next one back. */
static void trouble_is_of_one(void)
{
	struct fixture f;

	fixture_make(&f, "zos.uplink=eth0,address=192.0.2.10/24,dns=192.0.2.53 zos.uplink=eth1,address=198.51.100.10/24");
	f.c.sources = "/nowhere";
	card_add(&f, "eth0");
	card_add(&f, "eth1");
	T_CHECK(cabler_step(&f.c) == 1 && strstr(f.c.uplinks[0].trouble, "/nowhere") && !f.c.uplinks[1].trouble[0], "'%s'", f.c.uplinks[0].trouble);
	f.c.sources = f.sources;
	T_CHECK(cabler_step(&f.c) == 2 && !f.c.uplinks[0].trouble[0], "'%s'", f.c.uplinks[0].trouble);
	fixture_end(&f);
}

int main(void)
{
	log_init("cabler", false);
	T_RUN(static_uplinks);
	T_RUN(trouble_is_of_one);
	return T_END();
}
