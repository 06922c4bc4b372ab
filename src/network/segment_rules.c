/* A private network's packet filter: two tables, replaced together. On the bridge, each port may send what its machine may say: frames of its own
 * MAC; ARP, IPv4 and IPv6 of its own addresses; no router's and no DHCP server's words. Whatever cannot be read far enough to know is
 * dropped. A port that the sets do not know sends nothing. Why each chain ends with a drop: rules.c. */
#include "network/edge.h"
#include "network/outlet.h"

static const char bridge_chains[] =
	"	chain arp_check {\n"
	"		iifname . arp saddr ether != @macs drop\n"
	"		iifname . arp saddr ip != @own4 drop\n"
	"		arp htype 1 arp ptype 0x0800 arp operation { request, reply } accept\n"
	"		drop\n"
	"	}\n"
	"	chain ip4_check {\n"
	"		iifname . ip saddr != @own4 drop\n"
	"		meta l4proto != udp accept\n"
	"		ip frag-off & 0x1fff != 0 accept\n"
	"		udp sport != 67 accept\n"
	"		drop\n"
	"	}\n"
	"	chain icmp6_check {\n"
	"		ip6 saddr :: icmpv6 type nd-neighbor-solicit iifname . icmpv6 taddr @own6 accept\n" /* is my address free? */
	"		iifname . ip6 saddr != @own6 drop\n"
	"		icmpv6 type nd-neighbor-advert iifname . icmpv6 taddr != @own6 drop\n"
	"		icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-request, echo-reply,"
	" nd-neighbor-solicit, nd-neighbor-advert } accept\n"
	"		drop\n"
	"	}\n"
	"	chain ip6_check {\n"
	"		frag nexthdr != { tcp, udp } drop\n" /* bytes behind a first fragment would be taken for the header that it lacks */
	"		meta l4proto icmpv6 goto icmp6_check\n"
	"		iifname . ip6 saddr != @own6 drop\n"
	"		meta l4proto != udp accept\n"
	"		frag frag-off != 0 accept\n"
	"		udp sport != 547 accept\n"
	"		drop\n"
	"	}\n"
	"	chain from_machine {\n"
	"		iifname . ether saddr != @macs drop\n"
	"		ether type arp goto arp_check\n"
	"		ether type ip goto ip4_check\n"
	"		ether type ip6 goto ip6_check\n"
	"		drop\n"
	"	}\n"
	"	chain prerouting {\n"
	"		type filter hook prerouting priority filter; policy drop;\n"
	"		iifname \"" RULES_DEVICE "*\" goto from_machine\n"
	"		drop\n"
	"	}\n";

/* What the link out is for, and nothing else; no packet passes from one link to another, but between machines, devices and declared ranges of peers. */
static const char inet_begin[] = "table inet zos {}\ndelete table inet zos\ntable inet zos {\n";
static const char inet_chains[] = "	chain from_device {\n"
				  "		meta l4proto { tcp, udp } th dport 53 accept\n"
				  "		icmp type echo-request accept\n"
				  "		icmpv6 type echo-request accept\n"
				  "		drop\n"
				  "	}\n"
				  "	chain input {\n"
				  "		type filter hook input priority filter; policy drop;\n"
				  "		iif lo accept\n"
				  "		iifname \"br0\" ip protocol tcp tcp dport != 53 drop\n" /* late answers to who published it */
				  "		iifname \"br0\" accept\n"
				  "		iifname \"" SPAN_DEVICE "\" ip saddr @near4 goto from_device\n"
				  "		iifname \"" SPAN_DEVICE "\" ip6 saddr @near6 goto from_device\n"
				  "		iifname \"up0\" ct state established accept\n"
				  "		drop\n"
				  "	}\n"
				  "	chain output {\n"
				  "		type filter hook output priority filter; policy accept;\n"
				  "		oifname \"up0\" meta l4proto != { tcp, udp } drop\n"
				  "		oifname \"up0\" th dport != 53 drop\n"
				  "	}\n}\n";

typedef void link_format(const struct member_link *l, unsigned port, struct buf *ret);

static void mac_format(const struct member_link *l, unsigned port, struct buf *ret)
{
	const uint8_t *m = l->mac;

	buf_addf(ret, "\t\t\t\"" RULES_DEVICE "%u\" . %02x:%02x:%02x:%02x:%02x:%02x,\n", port, m[0], m[1], m[2], m[3], m[4], m[5]);
}

static void ip4_format(const struct member_link *l, unsigned port, struct buf *ret)
{
	char text[IP4_TEXT_SIZE];

	format_ip4(text, l->address);
	buf_addf(ret, "\t\t\t\"" RULES_DEVICE "%u\" . %s,\n", port, text);
}

/* Its own, and the one that its kernel makes of the MAC (RFC 4291, appendix A). */
static void ip6_format(const struct member_link *l, unsigned port, struct buf *ret)
{
	const uint8_t *m = l->mac;
	const uint8_t local[16] = { 0xfe, 0x80, [8] = m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5] };
	char text[IP6_TEXT_SIZE], local_text[IP6_TEXT_SIZE];

	format_ip6(text, l->address6);
	format_ip6(local_text, local);
	buf_addf(ret, "\t\t\t\"" RULES_DEVICE "%u\" . %s, \"" RULES_DEVICE "%u\" . %s,\n", port, text, port, local_text);
}

static void set_format(const struct segment *g, const char *name, const char *type, link_format *format, struct buf *ret)
{
	AUTO_BUF struct buf elements = { 0 };

	for (const struct member *m = g->all->members; m; m = m->next)
		for (size_t i = 0; i < m->n_links; i++)
			if (!strcmp(m->links[i].network, g->id))
				format(&m->links[i], m->index, &elements);
	buf_addf(ret, "\tset %s {\n\t\ttype ifname . %s\n", name, type);
	if (elements.len) {
		buf_addf(ret, "\t\telements = {\n");
		buf_add(ret, buf_str(&elements));
		buf_addf(ret, "\t\t}\n");
	}
	buf_addf(ret, "\t}\n");
}

static void peer_set_format(const char *name, const char *type, const struct buf *elements, struct buf *ret)
{
	buf_addf(ret, "\tset %s {\n\t\ttype %s\n\t\tflags interval\n", name, type);
	if (elements->len)
		buf_addf(ret, "\t\telements = {\n%s\t\t}\n", elements->p);
	buf_addf(ret, "\t}\n");
}

/* What peers have, as sets of both tables: far4, far6; and those of them that are devices, near4, near6. */
static void far_format(const struct segment *g, bool only_devices, struct buf *ret)
{
	AUTO_BUF struct buf v4 = { 0 }, v6 = { 0 };

	for (size_t i = 0; i < g->span.n_peers; i++) {
		const struct network_peer *p = &g->span.peers[i].is;
		char text[RANGE6_TEXT_SIZE];

		if (only_devices && !g->span.peers[i].device[0])
			continue;
		format_range4(text, &p->subnet);
		buf_addf(&v4, "\t\t\t%s,\n", text);
		if (!p->subnet6.prefix)
			continue;
		format_range6(text, &p->subnet6);
		buf_addf(&v6, "\t\t\t%s,\n", text);
	}
	peer_set_format(only_devices ? "near4" : "far4", "ipv4_addr", &v4, ret);
	peer_set_format(only_devices ? "near6" : "far6", "ipv6_addr", &v6, ret);
}

/* What comes by wg0 has an address of its sender's ranges: WireGuard sees to that. Packets grow on their way, and both ends of a TCP flow are told. */
static void forward_format(const struct segment *g, struct buf *ret)
{
	struct range4 subnet = { g->gateway.address & (uint32_t)(0xffffffffull << (32 - g->gateway.prefix)), g->gateway.prefix };
	struct range6 subnet6 = { .prefix = g->gateway6.prefix };
	char v4[RANGE4_TEXT_SIZE], v6[RANGE6_TEXT_SIZE];

	memcpy(subnet6.address, g->gateway6.address, 8); /* a /64 */
	format_range4(v4, &subnet);
	format_range6(v6, &subnet6);
	buf_add(ret, S("	chain forward {\n		type filter hook forward priority filter; policy drop;\n"));
	if (g->span.port)
		buf_addf(ret,
			 "		tcp flags syn tcp option maxseg size set rt mtu\n"
			 "		iifname \"br0\" oifname \"" SPAN_DEVICE "\" ip saddr %s ip daddr @far4 accept\n"
			 "		iifname \"br0\" oifname \"" SPAN_DEVICE "\" ip6 saddr %s ip6 daddr @far6 accept\n"
			 "		iifname \"" SPAN_DEVICE "\" oifname \"br0\" ip saddr @far4 ip daddr %s accept\n"
			 "		iifname \"" SPAN_DEVICE "\" oifname \"br0\" ip6 saddr @far6 ip6 daddr %s accept\n"
			 "		iifname \"" SPAN_DEVICE "\" oifname \"" SPAN_DEVICE "\" ip saddr @near4 ip daddr @far4 accept\n"
			 "		iifname \"" SPAN_DEVICE "\" oifname \"" SPAN_DEVICE "\" ip6 saddr @near6 ip6 daddr @far6 accept\n"
			 "		iifname \"" SPAN_DEVICE "\" oifname \"" SPAN_DEVICE "\" ip saddr @far4 ip daddr @near4 accept\n"
			 "		iifname \"" SPAN_DEVICE "\" oifname \"" SPAN_DEVICE "\" ip6 saddr @far6 ip6 daddr @near6 accept\n",
			 v4, v6, v4, v6);
	if (outlets_has(g))
		buf_add(ret,
			S("		iifname \"" EDGE_DOOR "\" oifname { \"br0\", \"" SPAN_DEVICE "\" } ip daddr . tcp dport @outlets accept\n"
			  "		oifname \"" EDGE_DOOR "\" ct state established,related accept\n"));
	buf_add(ret, S("		drop\n	}\n"));
}

/* Published names' backends see the gateway of their network, to which everybody has a way back. */
static void outlet_format(const struct segment *g, struct buf *ret)
{
	AUTO_BUF struct buf elements = { 0 };
	char v4[IP4_TEXT_SIZE];

	if (!outlets_has(g))
		return;
	outlets_format(g, &elements);
	BUG_ON(buf_check(&elements));
	format_ip4(v4, g->gateway.address);
	buf_addf(ret,
		 "	set outlets {\n		type ipv4_addr . inet_service\n		elements = {\n%s\t\t}\n	}\n"
		 "	chain outlet {\n"
		 "		type nat hook postrouting priority srcnat; policy accept;\n"
		 "		ip saddr " RULES_EDGE_ADDRESSES " oifname { \"br0\", \"" SPAN_DEVICE "\" } snat ip to %s\n"
		 "	}\n",
		 elements.p, v4);
}

/* The gateway answers names and pings, and passes on what is for peers. */
static void input_format(const struct segment *g, struct buf *ret)
{
	char v4[IP4_TEXT_SIZE], v6[IP6_TEXT_SIZE];

	format_ip4(v4, g->gateway.address);
	format_ip6(v6, g->gateway6.address);
	buf_addf(ret,
		 "	chain input {\n"
		 "		type filter hook input priority filter; policy drop;\n"
		 "		ether type arp accept\n"
		 "		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
		 "		ip daddr %s meta l4proto { tcp, udp } th dport 53 accept\n"
		 "		ip daddr %s icmp type echo-request accept\n"
		 "		ip6 daddr %s meta l4proto { tcp, udp } th dport 53 accept\n"
		 "		ip6 daddr %s icmpv6 type echo-request accept\n"
		 "		ip daddr @far4 accept\n"
		 "		ip6 daddr @far6 accept\n",
		 v4, v4, v6, v6);
	if (outlets_has(g)) /* answers of backends, and no beginnings */
		buf_addf(ret,
			 "		ip daddr %s tcp flags & (syn | ack) != syn accept\n"
			 "		ip daddr %s icmp type destination-unreachable accept\n",
			 v4, v4);
	buf_add(ret, S("		drop\n	}\n}\n"));
}

void segment_rules_format(const struct segment *g, struct buf *ret)
{
	buf_add(ret, S("table bridge zos {}\ndelete table bridge zos\ntable bridge zos {\n"));
	far_format(g, false, ret);
	set_format(g, "macs", "ether_addr", mac_format, ret);
	set_format(g, "own4", "ipv4_addr", ip4_format, ret);
	set_format(g, "own6", "ipv6_addr", ip6_format, ret);
	buf_add(ret, str_c(bridge_chains));
	input_format(g, ret);
	buf_add(ret, str_c(inet_begin));
	far_format(g, false, ret);
	far_format(g, true, ret);
	outlet_format(g, ret);
	forward_format(g, ret);
	buf_add(ret, str_c(inet_chains));
}
