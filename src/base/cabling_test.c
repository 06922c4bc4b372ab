/* What words at boot say of a node's uplinks: what is taken, how links are called, what dhcpcd is told; and what is refused, with which sentence. */
#include "base/cabling.h"

#include "test/t.h"

#include <arpa/inet.h>

#define STATIC "zos.uplink=eth0,address=192.0.2.10/24"

static struct cabling read_one(const char *text)
{
	struct cabling c = { 0 };
	struct err e = { 0 };

	T_CHECK(!cabling_read(&c, str_c(text), false, &e), "'%s': %s", text, e.msg);
	return c;
}

static bool is_address(const struct cabling_address *a, const char *text, unsigned prefix)
{
	uint8_t want[16] = { 0 };
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	T_NEED(inet_pton(family, text, want) == 1, "%s", text);
	return a->family == family && a->prefix == prefix && !memcmp(a->address, want, family == AF_INET ? 4 : 16);
}

static void all_that_can_be_said(void)
{
	struct cabling c =
		read_one("zos.uplink=eth0+52:54:00:AB:cd:01,bond=802.3ad,vlan=100,address=192.0.2.10/24,address=2001:db8::10/64,router=192.0.2.1,"
			 "router=fe80::1,dns=192.0.2.53,dns=2001:db8::53\n\nzos.uplink=eth2 zos.dns=198.51.100.1,2001:db8:1::1\n");
	const struct cabling_uplink *u = &c.uplinks[0];

	T_CHECK(c.n_uplinks == 2 && u->n_cards == 2 && !strcmp(u->cards[0].name, "eth0") && !u->cards[1].name[0], "%zu", c.n_uplinks);
	T_CHECK(!memcmp(u->cards[1].mac, "\x52\x54\x00\xab\xcd\x01", 6) && u->bond == CABLING_802_3AD && u->vlan == 100, "%u", u->vlan);
	T_CHECK(u->n_addresses == 2 && is_address(&u->addresses[0], "192.0.2.10", 24) && is_address(&u->addresses[1], "2001:db8::10", 64),
		"addresses");
	T_CHECK(is_address(&u->router, "192.0.2.1", 32) && is_address(&u->router6, "fe80::1", 128), "routers");
	T_CHECK(u->n_servers == 2 && is_address(&u->servers[0], "192.0.2.53", 32) && is_address(&u->servers[1], "2001:db8::53", 128), "servers");
	T_CHECK(c.uplinks[1].n_cards == 1 && !c.uplinks[1].n_addresses && c.uplinks[1].bond == CABLING_ALONE && !c.uplinks[1].vlan, "the second");
	T_CHECK(c.n_servers == 2 && is_address(&c.servers[1], "2001:db8:1::1", 128), "fall-backs");
	T_CHECK(!cabling_is_empty(&c), "it says something");
	c = read_one("\n  \n");
	T_CHECK(cabling_is_empty(&c), "it says nothing");
}

static void others_words_stand_beside(void)
{
	const char *text = "console=ttyS0 quiet zos.debug " STATIC " panic=10\n";
	struct cabling c = { 0 };
	struct err e = { 0 };

	T_CHECK(cabling_read(&c, str_c(text), false, &e) == -EINVAL && strstr(e.msg, "'console=ttyS0' means nothing"), "%s", e.msg);
	T_CHECK(!cabling_read(&c, str_c(text), true, &e) && c.n_uplinks == 1, "%s", e.msg);
}

/* In each row only one thing is wrong: what stands before it is taken as it is. */
static void what_is_doubtful_is_refused(void)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "zos.uplink=", "'' is no network card" },
		{ "zos.uplink=wlan0", "'wlan0' is no network card" },
		{ "zos.uplink=eth", "'eth' is no network card" },
		{ "zos.uplink=eth1234", "is no network card" },
		{ "zos.uplink=eth0a", "is no network card" },
		{ "zos.uplink=52:54:00:12:34:5", "is no network card" },
		{ "zos.uplink=52:54:00:12:34:5g", "is no network card" },
		{ "zos.uplink=52-54-00-12-34-56", "is no network card" },
		{ "zos.uplink=53:54:00:12:34:56", "is no network card" }, /* a group's */
		{ "zos.uplink=eth0+eth0,bond=802.3ad", "the card eth0 stands there twice" },
		{ "zos.uplink=eth0+eth1", "several cards are a bond" },
		{ "zos.uplink=eth0,bond=802.3ad", "a bond needs two cards or more" },
		{ "zos.uplink=eth0+eth1,bond=", "there is no bond ''" },
		{ "zos.uplink=eth0+eth1,bond=balance-rr", "there is no bond 'balance-rr'" },
		{ "zos.uplink=eth0+eth1,bond=802.3ad,bond=802.3ad", "bond= stands there twice" },
		{ "zos.uplink=eth0+eth1+eth2+eth3+eth4,bond=802.3ad", "at most 4 cards" },
		{ "zos.uplink=eth0,vlan=0", "'0' is no VLAN" },
		{ "zos.uplink=eth0,vlan=4095", "'4095' is no VLAN" },
		{ "zos.uplink=eth0,vlan=x", "'x' is no VLAN" },
		{ "zos.uplink=eth0,vlan=1,vlan=1", "vlan= stands there twice" },
		{ "zos.uplink=eth0,vlan", "'vlan' means nothing" },
		{ "zos.uplink=eth0,", "'' means nothing" },
		{ "zos.uplink=eth0,gateway=192.0.2.1", "'gateway=192.0.2.1' means nothing: behind the cards come bond=, vlan=, address=" },
		{ "zos.uplink=eth0,address=192.0.2.10", "is no address with its prefix" },
		{ "zos.uplink=eth0,address=192.0.2.10/33", "is no address with its prefix" },
		{ "zos.uplink=eth0,address=192.0.2/24", "is no address with its prefix" },
		{ "zos.uplink=eth0,address=127.0.0.2/24", "is no address with its prefix" },
		{ "zos.uplink=eth0,address=224.0.0.5/24", "is no address with its prefix" },
		{ "zos.uplink=eth0,address=fe80::5/64", "is no address with its prefix" },
		{ "zos.uplink=eth0,address=ff02::5/64", "is no address with its prefix" },
		{ "zos.uplink=eth0,address=::1/64", "is no address with its prefix" },
		{ "zos.uplink=eth0,address=192.0.2.0/24", "means a whole network" },
		{ "zos.uplink=eth0,address=192.0.2.255/24", "means a whole network" },
		{ "zos.uplink=eth0,address=192.0.2.7/7", "means a whole network" },
		{ STATIC ",address=192.0.2.11/24,address=192.0.2.12/24,address=192.0.2.13/24,address=192.0.2.14/24", "at most 4 addresses" },
		{ STATIC ",router=x", "'x' is no address of a router" },
		{ STATIC ",router=192.0.3.1", "the IPv4 router is on no network of an address" },
		{ STATIC ",router=192.0.2.10", "the IPv4 router is on no network of an address" }, /* it is the node */
		{ STATIC ",router=2001:db8::1", "the IPv6 router is on no network of an address" },
		{ STATIC ",router=192.0.2.1,router=192.0.2.2", "a second router" },
		{ "zos.uplink=eth0,router=192.0.2.1", "the IPv4 router is on no network of an address" },
		{ "zos.uplink=eth0,router=fe80::1", "the IPv6 router is on no network of an address" },
		{ STATIC ",dns=one.example.org", "'one.example.org' is no address of a name server" },
		{ STATIC ",dns=192.0.2.1,dns=192.0.2.2,dns=192.0.2.3,dns=192.0.2.4", "more than 3 name servers" },
		{ "zos.dns=", "'' is no address of a name server" },
		{ "zos.dns=192.0.2.1,192.0.2.2,192.0.2.3,192.0.2.4", "more than 3 name servers" },
		{ STATIC " zos.uplink=eth0", "is another uplink's already" },
		{ "zos.uplink=eth0,vlan=7 zos.uplink=eth0,vlan=7", "is another uplink's already" },
		{ "zos.uplink=eth0+eth1,bond=802.3ad,vlan=7 zos.uplink=eth1,vlan=8", "is another uplink's already" },
		{ "zos.uplinks=eth0", "'zos.uplinks=eth0' means nothing: a word begins with" },
		{ STATIC "\teth1", "is no address with its prefix" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cabling c = { .n_servers = 0 };
		struct err e = { 0 };
		int r = cabling_read(&c, str_c(rows[i].text), false, &e);

		T_CHECK((r == -EINVAL || r == -E2BIG) && strstr(e.msg, rows[i].why), "'%s' gave %d, '%s'", rows[i].text, r, e.msg);
		T_CHECK(cabling_is_empty(&c), "'%s' is taken in part", rows[i].text);
	}
}

static void limits_hold(void)
{
	AUTO_BUF struct buf b = { 0 };
	struct cabling c = { 0 };
	struct err e = { 0 };

	for (unsigned i = 0; i < CABLING_UPLINKS_MAX; i++)
		buf_addf(&b, "zos.uplink=eth%u\n", i);
	T_CHECK(!cabling_read(&c, buf_str(&b), false, &e) && c.n_uplinks == CABLING_UPLINKS_MAX, "%s", e.msg);
	T_CHECK(cabling_read(&c, S("zos.uplink=eth99"), false, &e) == -E2BIG && c.n_uplinks == CABLING_UPLINKS_MAX, "%s", e.msg);
	c.n_uplinks = 0;
	while (b.len <= CABLING_TEXT_MAX)
		buf_add(&b, S(" "));
	T_CHECK(cabling_read(&c, buf_str(&b), false, &e) == -E2BIG && !c.n_uplinks, "%s", e.msg);
}

static void links_have_names(void)
{
	static const struct {
		const char *text, *base, *name; /* of the last uplink */
	} rows[] = {
		{ "zos.uplink=eth3", "eth3", "eth3" },
		{ "zos.uplink=eth0 zos.uplink=52:54:00:12:34:56", "card1", "card1" },
		{ "zos.uplink=eth0,vlan=100", "eth0", "eth0.100" },
		{ "zos.uplink=52:54:00:12:34:56,vlan=4094", "card0", "card0.4094" },
		{ "zos.uplink=52:54:00:12:34:56 zos.uplink=eth1 zos.uplink=52:54:00:12:34:56,vlan=7", "card0", "card0.7" },
		{ "zos.uplink=eth0 zos.uplink=eth1+eth2,bond=active-backup", "bond1", "bond1" },
		{ "zos.uplink=eth1+eth2,bond=active-backup,vlan=9", "bond0", "bond0.9" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cabling c = read_one(rows[i].text);
		char base[CABLING_NAME_SIZE], name[CABLING_NAME_SIZE];

		cabling_base_name(&c, c.n_uplinks - 1, base);
		cabling_name(&c, c.n_uplinks - 1, name);
		T_CHECK(!strcmp(base, rows[i].base) && !strcmp(name, rows[i].name), "'%s' gave %s and %s", rows[i].text, base, name);
	}
}

static void dhcpcd_is_told(void)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "", "allowinterfaces eth*\n" },
		{ "zos.dns=192.0.2.1", "allowinterfaces eth*\n" },
		{ STATIC, "allowinterfaces none\n" },
		{ STATIC " zos.uplink=eth2,vlan=7 zos.uplink=52:54:00:12:34:56",
		  "allowinterfaces none eth2.7 card2\ninterface eth2.7\nmetric 200\ninterface card2\nmetric 300\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_BUF struct buf b = { 0 };
		struct cabling c = read_one(rows[i].text);

		cabling_dhcpcd(&c, &b);
		T_CHECK(str_eq(buf_str(&b), str_c(rows[i].want)), "'%s' gave '" STR_FMT "'", rows[i].text, STR_ARG(buf_str(&b)));
	}
}

static void servers_are_lines(void)
{
	struct cabling c = read_one("zos.dns=192.0.2.1,2001:db8::1");
	AUTO_BUF struct buf b = { 0 };

	cabling_servers(c.servers, c.n_servers, &b);
	T_CHECK(str_eq(buf_str(&b), S("nameserver 192.0.2.1\nnameserver 2001:db8::1\n")), STR_FMT, STR_ARG(buf_str(&b)));
}

int main(void)
{
	T_RUN(all_that_can_be_said);
	T_RUN(others_words_stand_beside);
	T_RUN(what_is_doubtful_is_refused);
	T_RUN(limits_hold);
	T_RUN(links_have_names);
	T_RUN(dhcpcd_is_told);
	T_RUN(servers_are_lines);
	return T_END();
}
