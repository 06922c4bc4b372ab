#include "network/rules.h"

#include "base/parse.h"

#include <arpa/inet.h>
#include <stdio.h>

static void set(struct buf *b, const char *name, const char *const *elements, size_t n)
{
	buf_addf(b, "\tset %s {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\tauto-merge\n", name);
	for (size_t i = 0; i < n; i++)
		buf_addf(b, "%s%s", i ? ", " : "\t\telements = { ", elements[i]);
	buf_addf(b, "%s\t}\n", n ? " }\n" : "");
}

/* A chain that drops what nothing accepts ends with that rule, too: while the kernel puts new rules in the place of old ones, the old chain is unhooked before
 * the new one's policy is in force (net/netfilter/nf_tables_api.c, commit); rules are from the first packet on.
 * What comes to a relay is not tracked: strangers would fill the table of connections, sending from wherever they say that they are. */
static const char chains[] = "	chain input {\n"
			     "		type filter hook input priority filter; policy drop;\n"
			     "		iif lo accept\n"
			     "		ct state established,related accept\n"
			     "		iifname { \"" RULES_DEVICE "*\", \"" RULES_UPLINK "*\" } drop\n"
			     "		udp dport @tunnels accept\n"
			     "		udp dport @relays accept\n"
			     "		ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept\n"
			     "		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } ip6 hoplimit 255 accept\n"
			     "		drop\n"
			     "	}\n"
			     "	chain from_machine {\n"
			     "		meta nfproto ipv6 drop\n"
			     "		ip daddr @resolvers4 meta l4proto { tcp, udp } th dport 53 accept\n"
			     "		ip daddr @open4 accept\n"
			     "		ip daddr @private4 drop\n"
			     "		tcp dport 25 drop\n"
			     "		accept\n"
			     "	}\n"
			     "	chain to_public {\n"
			     "		iifname \"" RULES_UPLINK "*\" drop\n"
			     "		iifname \"" RULES_DEVICE "*\" tcp dport 25 drop\n"
			     "		accept\n"
			     "	}\n"
			     "	chain forward {\n"
			     "		type filter hook forward priority filter; policy drop;\n"
			     "		iifname @cut drop\n"
			     "		ct status dnat ct direction original ct original ip daddr . ip daddr != @pairs4 drop\n"
			     "		ct status dnat ct direction reply ct original ip daddr . ip saddr != @pairs4 drop\n"
			     "		ct state established,related accept\n"
			     "		oifname \"" RULES_DEVICE "*\" ct status dnat jump to_public\n"
			     "		oifname { \"" RULES_DEVICE "*\", \"" RULES_UPLINK "*\" } drop\n"
			     "		iifname \"" RULES_DEVICE "*\" jump from_machine\n"
			     "		iifname \"" RULES_UPLINK "*\" ip daddr @resolvers4 meta l4proto { tcp, udp } th dport 53 accept\n"
			     "		drop\n"
			     "	}\n"
			     "	chain antispoof {\n"
			     "		type filter hook prerouting priority raw;\n"
			     "		iifname { \"" RULES_DEVICE "*\", \"" RULES_UPLINK "*\" } fib saddr . iif oif missing drop\n"
			     "		iifname != { \"lo\", \"" RULES_DEVICE "*\", \"" RULES_UPLINK "*\" } ip saddr " RULES_MACHINES " drop\n"
			     "		udp dport @relays fib daddr type local notrack\n"
			     "	}\n"
			     "	chain relayed {\n"
			     "		type filter hook output priority raw;\n"
			     "		udp sport @relays notrack\n"
			     "	}\n"
			     "	chain public {\n"
			     "		type nat hook prerouting priority dstnat;\n"
			     "		dnat ip to ip daddr map @public4\n"
			     "	}\n"
			     "	chain nat {\n"
			     "		type nat hook postrouting priority srcnat;\n"
			     "		oifname != \"" RULES_DEVICE "*\" snat ip to ip saddr map @machine4\n"
			     "		ip saddr " RULES_MACHINES " oifname != \"" RULES_DEVICE "*\" masquerade\n"
			     "	}\n";

/* The table, as far as both namespaces have the same. */
static void begin(const struct rules *r, struct buf *ret)
{
	const char *resolvers[RULES_RESOLVERS_MAX];

	for (size_t i = 0; i < r->n_resolvers; i++)
		resolvers[i] = r->resolvers[i];
	buf_add(ret, S("table inet zos {}\ndelete table inet zos\ntable inet zos {\n"));
	set(ret, "private4", range4_private, RANGE4_PRIVATE);
	set(ret, "open4", r->open, r->n_open);
	set(ret, "resolvers4", resolvers, r->n_resolvers);
}

static const char edge_chains[] = "	chain input {\n"
				  "		type filter hook input priority filter; policy drop;\n"
				  "		iif lo accept\n"
				  "		ct state established,related accept\n"
				  "		iifname != \"" RULES_EDGE_CARD "\" drop\n"
				  "		tcp dport { 80, 443 } accept\n"
				  "		icmp type echo-request limit rate 100/second accept\n"
				  "		icmpv6 type echo-request limit rate 100/second accept\n"
				  "		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept\n"
				  "		drop\n"
				  "	}\n"
				  "	chain forward {\n"
				  "		type filter hook forward priority filter; policy drop;\n"
				  "		drop\n"
				  "	}\n"
				  "	chain output {\n"
				  "		type filter hook output priority filter; policy drop;\n"
				  "		oif lo accept\n"
				  "		ct state established,related accept\n"
				  "		oifname \"" RULES_EDGE_LINK "*\" meta l4proto tcp accept\n"
				  "		oifname != \"" RULES_EDGE_CARD "\" drop\n"
				  "		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
				  "		ip daddr @resolvers4 meta l4proto { tcp, udp } th dport 53 accept\n"
				  "		meta l4proto != tcp drop\n"
				  "		tcp dport 25 drop\n"
				  "		ip daddr @open4 accept\n"
				  "		ip daddr @private4 drop\n"
				  "		ip daddr 0.0.0.0/0 accept\n"
				  "		ip6 daddr 2000::/3 accept\n"
				  "		drop\n"
				  "	}\n}\n";

void rules_edge_format(const struct rules *r, struct buf *ret)
{
	begin(r, ret);
	buf_add(ret, str_c(edge_chains));
}

static void addresses_put(struct buf *b, uint32_t key, char between, uint32_t value, bool is_first)
{
	char from[IP4_TEXT_SIZE], to[IP4_TEXT_SIZE];

	format_ip4(from, key);
	format_ip4(to, value);
	buf_addf(b, "%s%s %c %s", is_first ? "\t\telements = { " : ", ", from, between, to);
}

/* The same table, read both ways; and as a set, for connections that are older than what it says: those of an address that was returned are over. */
static void public_format(const struct rules *r, struct buf *ret)
{
	for (int way = 0; way < 2; way++) {
		buf_addf(ret, "\tmap %s {\n\t\ttype ipv4_addr : ipv4_addr\n", way ? "machine4" : "public4");
		for (size_t i = 0; i < r->n_public; i++)
			addresses_put(ret, way ? r->public[i].machine : r->public[i].address, ':', way ? r->public[i].address : r->public[i].machine,
				      !i);
		buf_addf(ret, "%s\t}\n", r->n_public ? " }\n" : "");
	}
	buf_add(ret, S("\tset pairs4 {\n\t\ttype ipv4_addr . ipv4_addr\n"));
	for (size_t i = 0; i < r->n_public; i++)
		addresses_put(ret, r->public[i].address, '.', r->public[i].machine, !i);
	buf_addf(ret, "%s\t}\n", r->n_public ? " }\n" : "");
}

/* Whoever opens too many fills the table of connections, which all have together. In a table of its own, so that what it counted outlives a change of the
 * rules; before the others, so that what they drop costs no more. A counted one goes when the kernel forgets it. What comes
 * from outside to a machine with a public address is counted apart: it cannot take the machine's own. */
static void flows_format(const struct rules *r, struct buf *ret)
{
	buf_addf(ret,
		 "table inet zos_flows {\n"
		 "	set flows {\n		type ifname\n		size 65535\n		flags dynamic\n	}\n"
		 "	set arrivals {\n		type ifname\n		size 65535\n		flags dynamic\n	}\n"
		 "	chain forward {\n		type filter hook forward priority filter - 1; policy accept;\n	}\n"
		 "}\nflush chain inet zos_flows forward\ntable inet zos_flows {\n"
		 "	chain forward {\n"
		 "		iifname { \"" RULES_DEVICE "*\", \"" RULES_UPLINK "*\" } ct state new add @flows { iifname ct count over %u } drop\n"
		 "		oifname \"" RULES_DEVICE "*\" ct status dnat ct state new add @arrivals { oifname ct count over %u } drop\n"
		 "	}\n}\n",
		 r->flows_max, r->flows_max);
}

void rules_format(const struct rules *r, struct buf *ret)
{
	flows_format(r, ret);
	begin(r, ret);
	buf_add(ret, S("	set cut {\n		type ifname\n"));
	for (size_t i = 0; i < r->n_cut; i++)
		buf_addf(ret, "%s\"" RULES_DEVICE "%u\"", i ? ", " : "		elements = { ", r->cut[i]);
	buf_addf(ret, "%s	}\n", r->n_cut ? " }\n" : "");
	buf_add(ret, S("	set tunnels {\n		type inet_service\n"));
	for (size_t i = 0; i < r->n_tunnels; i++)
		buf_addf(ret, "%s%u", i ? ", " : "		elements = { ", r->tunnels[i]);
	buf_addf(ret, "%s	}\n", r->n_tunnels ? " }\n" : "");
	public_format(r, ret);
	buf_add(ret, S("	set relays {\n		type inet_service\n		flags interval\n"));
	if (r->n_relay_ports)
		buf_addf(ret, "		elements = { %u-%u }\n", r->relay_port, r->relay_port + r->n_relay_ports - 1);
	buf_add(ret, S("	}\n"));
	buf_add(ret, str_c(chains));
	/* By who it is, never by who it is not: what the kernel itself sends, neighbour advertisements among it, has no owner, and a rule that
	 * asks for one does not match. */
	buf_addf(ret,
		 "	chain from_imaged {\n"
		 "		ct state established accept\n"
		 "		ip daddr @resolvers4 meta l4proto { tcp, udp } th dport 53 accept\n"
		 "		ip daddr @open4 accept\n"
		 "		ip daddr @private4 drop\n"
		 "		ip6 daddr { ::1, fc00::/7, fe80::/10, ff00::/8 } drop\n"
		 "	}\n"
		 "	chain output {\n"
		 "		type filter hook output priority filter; policy accept;\n"
		 "		meta skuid %u jump from_imaged\n"
		 "	}\n}\n",
		 r->imaged_uid);
}

static bool is_in(const char *const *ranges, size_t n, const struct range4 *what)
{
	struct range4 range;

	for (size_t i = 0; i < n; i++)
		if (!parse_range4(str_c(ranges[i]), &range) && range4_has(&range, what))
			return true;
	return false;
}

bool rules_may_reach(const struct rules *r, const struct endpoint *at)
{
	const uint8_t *a = at->address;
	const struct range4 only = { (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3], 32 };

	if (at->family == AF_INET6)
		return (a[0] & 0xe0) == 0x20; /* 2000::/3: what is not private, and in use */
	return at->family == AF_INET && (!range4_is_private(&only) || is_in(r->open, r->n_open, &only));
}

void rules_resolvers(struct rules *r, struct str resolv_conf)
{
	struct str line, word;

	r->n_resolvers = 0;
	while (r->n_resolvers < RULES_RESOLVERS_MAX && str_next(&resolv_conf, '\n', &line)) {
		struct in_addr addr;
		char *text = r->resolvers[r->n_resolvers];

		if (!str_next(&line, ' ', &word) || !str_eq(word, S("nameserver")) || !line.p || line.n >= sizeof(r->resolvers[0]))
			continue;
		snprintf(text, sizeof(r->resolvers[0]), STR_FMT, STR_ARG(line));
		if (inet_pton(AF_INET, text, &addr) == 1)
			r->n_resolvers++;
	}
}
