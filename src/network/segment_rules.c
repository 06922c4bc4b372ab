/* A private network's packet filter: two tables, replaced together. On the bridge, each port may send what its machine may say: frames of its own
 * MAC; ARP, IPv4 and IPv6 of its own addresses; no router's and no DHCP server's words. Whatever cannot be read far enough to know is
 * dropped. A port that the sets do not know sends nothing. */
#include "network/rules.h"
#include "network/segment.h"

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
	"	}\n";

/* What the link out is for, and nothing else; no packet passes from one link to another. */
static const char inet_table[] = "table inet zos {}\ndelete table inet zos\ntable inet zos {\n"
				 "	chain input {\n"
				 "		type filter hook input priority filter; policy drop;\n"
				 "		iif lo accept\n"
				 "		iifname \"br0\" accept\n"
				 "		iifname \"up0\" ct state established accept\n"
				 "	}\n"
				 "	chain forward {\n"
				 "		type filter hook forward priority filter; policy drop;\n"
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

/* The gateway answers names and pings. */
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
		 "	}\n}\n",
		 v4, v4, v6, v6);
}

void segment_rules_format(const struct segment *g, struct buf *ret)
{
	buf_add(ret, S("table bridge zos {}\ndelete table bridge zos\ntable bridge zos {\n"));
	set_format(g, "macs", "ether_addr", mac_format, ret);
	set_format(g, "own4", "ipv4_addr", ip4_format, ret);
	set_format(g, "own6", "ipv6_addr", ip6_format, ret);
	buf_add(ret, str_c(bridge_chains));
	input_format(g, ret);
	buf_add(ret, str_c(inet_table));
}
