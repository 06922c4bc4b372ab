#include "sys/netlink.h"

#include "sys/nlmsg.h"

#include <arpa/inet.h>
#include <linux/if_bonding.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <sys/socket.h>

enum { REPLY_MAX = 8192 };

int netlink_open(int *ret_fd, struct err *e)
{
	AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return err_set(e, -errno, "open a netlink socket: %m");
	*ret_fd = take_fd(fd);
	return 0;
}

int netlink_watch(uint32_t groups, int *ret_fd, struct err *e)
{
	struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_groups = groups };
	AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)))
		return err_set(e, -errno, "watch the network: %m");
	*ret_fd = take_fd(fd);
	return 0;
}

void netlink_drain(int fd)
{
	char bytes[REPLY_MAX];

	while (recv(fd, bytes, sizeof(bytes), 0) > 0 || errno == EINTR || errno == ENOBUFS)
		;
}

/* The link's index in FD's namespace; 0 when absent. */
static int link_index(int fd, const char *name, uint32_t *ret)
{
	_Alignas(struct nlmsghdr) char reply[REPLY_MAX];
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct nlmsghdr *h = (struct nlmsghdr *)reply;
	struct nlmsg q;
	ssize_t n;

	*ret = 0;
	nlmsg_init(&q, RTM_GETLINK, 0, &info, sizeof(info));
	q.head.nlmsg_flags = NLM_F_REQUEST; /* the answer is the link itself, or an error */
	nlmsg_attr(&q, IFLA_IFNAME, name, strlen(name) + 1);
	if (send(fd, &q, q.head.nlmsg_len, 0) < 0)
		return -errno;
	n = recv(fd, reply, sizeof(reply), 0);
	if (n < 0)
		return -errno;
	if (NLMSG_OK(h, (size_t)n) && h->nlmsg_type == RTM_NEWLINK)
		*ret = (uint32_t)((struct ifinfomsg *)NLMSG_DATA(h))->ifi_index;
	else if (NLMSG_OK(h, (size_t)n) && h->nlmsg_type == NLMSG_ERROR)
		return ((struct nlmsgerr *)NLMSG_DATA(h))->error == -ENODEV ? 0 : ((struct nlmsgerr *)NLMSG_DATA(h))->error;
	return 0;
}

int netlink_index(int fd, const char *name, uint32_t *ret, struct err *e)
{
	int r = link_index(fd, name, ret);

	if (r || *ret)
		return r ? err_set(e, r, "look for the link %s: %s", name, strerror(-r)) : 0;
	return err_set(e, -ENODEV, "there is no link %s", name);
}

int netlink_add_veth(int fd, const char *name, const char *peer, int netns_fd, struct err *e)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC }, peer_info = { .ifi_family = AF_UNSPEC };
	struct nlattr *link, *data, *other;
	struct nlmsg q;
	int r;

	nlmsg_init(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	nlmsg_attr(&q, IFLA_IFNAME, name, strlen(name) + 1);
	link = nlmsg_attr(&q, IFLA_LINKINFO, NULL, 0);
	nlmsg_attr(&q, IFLA_INFO_KIND, "veth", 4);
	data = nlmsg_attr(&q, IFLA_INFO_DATA, NULL, 0);
	other = nlmsg_attr(&q, VETH_INFO_PEER, &peer_info, sizeof(peer_info));
	nlmsg_attr(&q, IFLA_IFNAME, peer, strlen(peer) + 1);
	nlmsg_attr(&q, IFLA_NET_NS_FD, &netns_fd, sizeof(netns_fd));
	nlmsg_end(&q, other);
	nlmsg_end(&q, data);
	nlmsg_end(&q, link);
	r = nlmsg_talk(fd, &q);
	return r ? err_set(e, r, "make the link %s: %s", name, strerror(-r)) : 0;
}

int netlink_remove(int fd, const char *name, struct err *e)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct nlmsg q;
	uint32_t index;
	int r = link_index(fd, name, &index);

	if (!r && !index)
		return 0;
	info.ifi_index = (int)index;
	nlmsg_init(&q, RTM_DELLINK, 0, &info, sizeof(info));
	if (!r)
		r = nlmsg_talk(fd, &q);
	return r && r != -ENODEV ? err_set(e, r, "remove the link %s: %s", name, strerror(-r)) : 0;
}

/* Begins a change of the link NAME. */
static int change_init(struct nlmsg *q, int fd, const char *name, unsigned flags, struct err *e)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_flags = flags, .ifi_change = flags };
	uint32_t index;
	int r = netlink_index(fd, name, &index, e);

	if (r)
		return r;
	info.ifi_index = (int)index;
	nlmsg_init(q, RTM_NEWLINK, 0, &info, sizeof(info));
	return 0;
}

/* DOING is the first half of the sentence of a failure. */
static int change_do(struct nlmsg *q, int fd, const char *doing, const char *name, struct err *e)
{
	int r = nlmsg_talk(fd, q);

	return r ? err_set(e, r, "%s %s: %s", doing, name, strerror(-r)) : 0;
}

int netlink_up(int fd, const char *name, struct err *e)
{
	struct nlmsg q;
	int r = change_init(&q, fd, name, IFF_UP, e);

	return r ? r : change_do(&q, fd, "bring up the link", name, e);
}

int netlink_enslave(int fd, const char *name, const char *master, struct err *e)
{
	struct nlmsg q;
	uint32_t index;
	int r = change_init(&q, fd, name, 0, e);

	if (r || (r = netlink_index(fd, master, &index, e)))
		return r;
	nlmsg_attr(&q, IFLA_MASTER, &index, sizeof(index));
	return change_do(&q, fd, "put into a bridge or bond the link", name, e);
}

int netlink_move(int fd, const char *name, int netns_fd, struct err *e)
{
	struct nlmsg q;
	int r = change_init(&q, fd, name, 0, e);

	if (r)
		return r;
	nlmsg_attr(&q, IFLA_NET_NS_FD, &netns_fd, sizeof(netns_fd));
	return change_do(&q, fd, "move into its namespace the link", name, e);
}

int netlink_rename(int fd, const char *name, const char *to, struct err *e)
{
	struct nlmsg q;
	int r = change_init(&q, fd, name, 0, e);

	if (r)
		return r;
	nlmsg_attr(&q, IFLA_IFNAME, to, strlen(to) + 1);
	return change_do(&q, fd, "rename the link", name, e);
}

int netlink_set_mac(int fd, const char *name, const uint8_t mac[static 6], struct err *e)
{
	struct nlmsg q;
	int r = change_init(&q, fd, name, 0, e);

	if (r)
		return r;
	nlmsg_attr(&q, IFLA_ADDRESS, mac, 6);
	return change_do(&q, fd, "give its MAC to the link", name, e);
}

int netlink_set_mtu(int fd, const char *name, uint32_t mtu_bytes, struct err *e)
{
	struct nlmsg q;
	int r = change_init(&q, fd, name, 0, e);

	if (r)
		return r;
	nlmsg_attr(&q, IFLA_MTU, &mtu_bytes, sizeof(mtu_bytes));
	return change_do(&q, fd, "set the packet size of the link", name, e);
}

/* Begins a new link NAME of KIND; PARENT: the link it stands on, or NULL. RET: what kind_do() closes. */
static int kind_init(struct nlmsg *q, int fd, const char *name, const char *kind, const char *parent, struct nlattr *ret[static 2], struct err *e)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	uint32_t index;
	int r = parent ? netlink_index(fd, parent, &index, e) : 0;

	if (r)
		return r;
	nlmsg_init(q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	nlmsg_attr(q, IFLA_IFNAME, name, strlen(name) + 1);
	if (parent)
		nlmsg_attr(q, IFLA_LINK, &index, sizeof(index));
	ret[0] = nlmsg_attr(q, IFLA_LINKINFO, NULL, 0);
	nlmsg_attr(q, IFLA_INFO_KIND, kind, strlen(kind));
	ret[1] = nlmsg_attr(q, IFLA_INFO_DATA, NULL, 0);
	return 0;
}

static int kind_do(struct nlmsg *q, int fd, const char *doing, const char *name, struct nlattr *open[static 2], struct err *e)
{
	nlmsg_end(q, open[1]);
	nlmsg_end(q, open[0]);
	return change_do(q, fd, doing, name, e);
}

int netlink_add_link(int fd, const char *name, const char *kind, struct err *e)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct nlattr *link;
	struct nlmsg q;
	int r;

	nlmsg_init(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	nlmsg_attr(&q, IFLA_IFNAME, name, strlen(name) + 1);
	link = nlmsg_attr(&q, IFLA_LINKINFO, NULL, 0);
	nlmsg_attr(&q, IFLA_INFO_KIND, kind, strlen(kind));
	nlmsg_end(&q, link);
	r = nlmsg_talk(fd, &q);
	return r ? err_set(e, r, "make the %s %s: %s", kind, name, strerror(-r)) : 0;
}

int netlink_add_ipvlan(int fd, const char *name, const char *parent, int netns_fd, struct err *e)
{
	uint16_t mode = IPVLAN_MODE_L2;
	struct nlattr *open[2];
	struct nlmsg q;
	int r = kind_init(&q, fd, name, "ipvlan", parent, open, e);

	if (r)
		return r;
	nlmsg_attr(&q, IFLA_IPVLAN_MODE, &mode, sizeof(mode));
	nlmsg_end(&q, open[1]);
	nlmsg_end(&q, open[0]);
	nlmsg_attr(&q, IFLA_NET_NS_FD, &netns_fd, sizeof(netns_fd));
	return change_do(&q, fd, "make a second card on", parent, e);
}

int netlink_add_vlan(int fd, const char *name, const char *parent, unsigned vlan, struct err *e)
{
	uint16_t id = (uint16_t)vlan;
	struct nlattr *open[2];
	struct nlmsg q;
	int r = kind_init(&q, fd, name, "vlan", parent, open, e);

	if (r)
		return r;
	nlmsg_attr(&q, IFLA_VLAN_ID, &id, sizeof(id));
	return kind_do(&q, fd, "make the VLAN", name, open, e);
}

int netlink_add_bond(int fd, const char *name, enum netlink_bond mode, struct err *e)
{
	uint8_t wire = (uint8_t)mode, by_flow = BOND_XMIT_POLICY_LAYER34;
	uint32_t look_ms = 100; /* for carriers: what bonding.rst has in its examples; the kernel's own is never */
	struct nlattr *open[2];
	struct nlmsg q;
	int r = kind_init(&q, fd, name, "bond", NULL, open, e);

	if (r)
		return r;
	nlmsg_attr(&q, IFLA_BOND_MODE, &wire, sizeof(wire));
	nlmsg_attr(&q, IFLA_BOND_MIIMON, &look_ms, sizeof(look_ms));
	if (mode == NETLINK_802_3AD)
		nlmsg_attr(&q, IFLA_BOND_XMIT_HASH_POLICY, &by_flow, sizeof(by_flow));
	return kind_do(&q, fd, "make the bond", name, open, e);
}

struct mac_search {
	uint8_t mac[6];
	bool is_found;
};

static int on_link(void *ctx, struct rd body)
{
	struct mac_search *s = ctx;
	struct ifinfomsg info;
	struct nlmsg_field field;

	rd_bytes(&body, &info, sizeof(info));
	while (nlmsg_next(&body, &field))
		if (field.type == IFLA_PERM_ADDRESS && rd_left(&field.body) == sizeof(s->mac)) {
			rd_bytes(&field.body, s->mac, sizeof(s->mac));
			s->is_found = true;
		}
	return rd_done(&body);
}

int netlink_permanent_mac(int fd, const char *name, uint8_t ret[static 6], struct err *e)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct mac_search s = { .is_found = false };
	struct nlmsg q;
	int r;

	nlmsg_init(&q, RTM_GETLINK, 0, &info, sizeof(info));
	nlmsg_attr(&q, IFLA_IFNAME, name, strlen(name) + 1);
	r = nlmsg_ask(fd, &q, on_link, &s);
	if (r || !s.is_found)
		return err_set(e, r ? r : -ENODATA, "look for the MAC of %s: %s", name, strerror(r ? -r : ENODATA));
	memcpy(ret, s.mac, sizeof(s.mac));
	return 0;
}

int netlink_add_address(int fd, const char *name, uint32_t address, unsigned prefix, struct err *e)
{
	struct ifaddrmsg msg = { .ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)prefix };
	uint32_t wire = htonl(address);
	struct nlmsg q;
	int r = netlink_index(fd, name, &msg.ifa_index, e);

	if (r)
		return r;
	nlmsg_init(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &msg, sizeof(msg));
	nlmsg_attr(&q, IFA_LOCAL, &wire, sizeof(wire));
	nlmsg_attr(&q, IFA_ADDRESS, &wire, sizeof(wire));
	r = nlmsg_talk(fd, &q);
	return r && r != -EEXIST ? err_set(e, r, "give the link %s its address: %s", name, strerror(-r)) : 0;
}

int netlink_add_default(int fd, const char *name, uint32_t gateway, struct err *e)
{
	struct rtmsg msg = { .rtm_family = AF_INET,
			     .rtm_table = RT_TABLE_MAIN,
			     .rtm_protocol = RTPROT_STATIC,
			     .rtm_scope = RT_SCOPE_UNIVERSE,
			     .rtm_type = RTN_UNICAST };
	uint32_t wire = htonl(gateway), index;
	struct nlmsg q;
	int r = netlink_index(fd, name, &index, e);

	if (r)
		return r;
	nlmsg_init(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &msg, sizeof(msg));
	nlmsg_attr(&q, RTA_GATEWAY, &wire, sizeof(wire));
	nlmsg_attr(&q, RTA_OIF, &index, sizeof(index));
	r = nlmsg_talk(fd, &q);
	return r ? err_set(e, r, "route through %s: %s", name, strerror(-r)) : 0;
}

int netlink_add_address6(int fd, const char *name, const uint8_t address[static 16], unsigned prefix, struct err *e)
{
	/* no duplicate detection: for its second the address could not be bound, and whoever gives it knows that it is the only one */
	struct ifaddrmsg msg = { .ifa_family = AF_INET6, .ifa_prefixlen = (uint8_t)prefix, .ifa_flags = IFA_F_NODAD };
	struct nlmsg q;
	int r = netlink_index(fd, name, &msg.ifa_index, e);

	if (r)
		return r;
	nlmsg_init(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &msg, sizeof(msg));
	nlmsg_attr(&q, IFA_LOCAL, address, 16);
	nlmsg_attr(&q, IFA_ADDRESS, address, 16);
	r = nlmsg_talk(fd, &q);
	return r && r != -EEXIST ? err_set(e, r, "give the link %s its IPv6 address: %s", name, strerror(-r)) : 0;
}

/* The message of a route over the link NAME; both ways need the same one. */
static int route_init(struct nlmsg *q, uint16_t type, int fd, const char *name, const struct netlink_net *to, struct err *e)
{
	struct rtmsg msg = { .rtm_family = (uint8_t)to->family,
			     .rtm_dst_len = (uint8_t)to->prefix,
			     .rtm_table = RT_TABLE_MAIN,
			     .rtm_protocol = RTPROT_STATIC,
			     .rtm_scope = to->family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
			     .rtm_type = RTN_UNICAST };
	uint32_t index;
	int r = netlink_index(fd, name, &index, e);

	if (r)
		return r;
	nlmsg_init(q, type, type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_REPLACE : 0, &msg, sizeof(msg));
	if (to->prefix)
		nlmsg_attr(q, RTA_DST, to->address, to->family == AF_INET ? 4 : 16);
	nlmsg_attr(q, RTA_OIF, &index, sizeof(index));
	return 0;
}

int netlink_add_route(int fd, const char *name, const struct netlink_net *to, struct err *e)
{
	struct nlmsg q;
	int r = route_init(&q, RTM_NEWROUTE, fd, name, to, e);

	return r ? r : change_do(&q, fd, "add a route over the link", name, e);
}

int netlink_add_route_via(int fd, const char *name, const struct netlink_net *to, const uint8_t *gateway, uint32_t metric, struct err *e)
{
	struct nlmsg q;
	int r = route_init(&q, RTM_NEWROUTE, fd, name, to, e);

	if (r)
		return r;
	((struct rtmsg *)NLMSG_DATA(&q.head))->rtm_scope = RT_SCOPE_UNIVERSE;
	nlmsg_attr(&q, RTA_GATEWAY, gateway, to->family == AF_INET ? 4 : 16);
	if (metric)
		nlmsg_attr(&q, RTA_PRIORITY, &metric, sizeof(metric));
	return change_do(&q, fd, "add a route by a gateway over the link", name, e);
}

int netlink_remove_route(int fd, const char *name, const struct netlink_net *to, struct err *e)
{
	struct nlmsg q;
	int r = route_init(&q, RTM_DELROUTE, fd, name, to, e);

	if (r)
		return r;
	r = nlmsg_talk(fd, &q);
	return r && r != -ESRCH ? err_set(e, r, "remove a route over the link %s: %s", name, strerror(-r)) : 0;
}

static int proxy_init(struct nlmsg *q, uint16_t type, int fd, const char *name, const struct netlink_net *to, struct err *e)
{
	struct ndmsg msg = { .ndm_family = (uint8_t)to->family, .ndm_state = NUD_PERMANENT, .ndm_flags = NTF_PROXY };
	uint32_t index;
	int r = netlink_index(fd, name, &index, e);

	if (r)
		return r;
	msg.ndm_ifindex = (int)index;
	nlmsg_init(q, type, type == RTM_NEWNEIGH ? NLM_F_CREATE | NLM_F_REPLACE : 0, &msg, sizeof(msg));
	nlmsg_attr(q, NDA_DST, to->address, to->family == AF_INET ? 4 : 16);
	return 0;
}

int netlink_add_proxy(int fd, const char *name, const struct netlink_net *to, struct err *e)
{
	struct nlmsg q;
	int r = proxy_init(&q, RTM_NEWNEIGH, fd, name, to, e);

	return r ? r : change_do(&q, fd, "answer for an address on the link", name, e);
}

int netlink_remove_proxy(int fd, const char *name, const struct netlink_net *to, struct err *e)
{
	struct nlmsg q;
	int r = proxy_init(&q, RTM_DELNEIGH, fd, name, to, e);

	if (r)
		return r;
	r = nlmsg_talk(fd, &q);
	return r && r != -ENOENT ? err_set(e, r, "answer no more for an address on the link %s: %s", name, strerror(-r)) : 0;
}
