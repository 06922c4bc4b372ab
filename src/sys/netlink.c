#include "sys/netlink.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <sys/socket.h>

enum { REQUEST_MAX = 512, REPLY_MAX = 8192 };

struct request {
	struct nlmsghdr head;
	char body[REQUEST_MAX];
};

static void request_init(struct request *q, uint16_t type, uint16_t flags, const void *family, size_t n)
{
	*q = (struct request){
		.head = { .nlmsg_len = NLMSG_LENGTH(n), .nlmsg_type = type, .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags) }
	};
	memcpy(NLMSG_DATA(&q->head), family, n);
}

static struct rtattr *attr(struct request *q, uint16_t type, const void *p, size_t n)
{
	struct rtattr *a = (struct rtattr *)((char *)&q->head + NLMSG_ALIGN(q->head.nlmsg_len));

	BUG_ON(NLMSG_ALIGN(q->head.nlmsg_len) + RTA_SPACE(n) > sizeof(*q));
	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(n);
	if (n)
		memcpy(RTA_DATA(a), p, n);
	q->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(q->head.nlmsg_len) + RTA_SPACE(n));
	return a;
}

static void attr_end(struct request *q, struct rtattr *a)
{
	a->rta_len = (uint16_t)((char *)&q->head + q->head.nlmsg_len - (char *)a);
}

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

/* Sends Q and waits for the kernel's answer: 0 or the negative errno it gives. The kernel answers each request at once. */
static int talk(int fd, struct request *q)
{
	_Alignas(struct nlmsghdr) char reply[REPLY_MAX];
	ssize_t n = send(fd, q, q->head.nlmsg_len, 0);

	if (n < 0)
		return -errno;
	do
		n = recv(fd, reply, sizeof(reply), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (struct nlmsghdr *h = (struct nlmsghdr *)reply; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n))
		if (h->nlmsg_type == NLMSG_ERROR && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr)))
			return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
	return -EBADMSG;
}

/* The link's index in FD's namespace; 0 when absent. */
static int link_index(int fd, const char *name, uint32_t *ret)
{
	_Alignas(struct nlmsghdr) char reply[REPLY_MAX];
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct nlmsghdr *h = (struct nlmsghdr *)reply;
	struct request q;
	ssize_t n;

	*ret = 0;
	request_init(&q, RTM_GETLINK, 0, &info, sizeof(info));
	q.head.nlmsg_flags = NLM_F_REQUEST; /* the answer is the link itself, or an error */
	attr(&q, IFLA_IFNAME, name, strlen(name) + 1);
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

static int link_need(int fd, const char *name, uint32_t *ret, struct err *e)
{
	int r = link_index(fd, name, ret);

	if (r || *ret)
		return r ? err_set(e, r, "look for the link %s: %s", name, strerror(-r)) : 0;
	return err_set(e, -ENODEV, "there is no link %s", name);
}

int netlink_add_veth(int fd, const char *name, const char *peer, int netns_fd, struct err *e)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC }, peer_info = { .ifi_family = AF_UNSPEC };
	struct rtattr *link, *data, *other;
	struct request q;
	int r;

	request_init(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	attr(&q, IFLA_IFNAME, name, strlen(name) + 1);
	link = attr(&q, IFLA_LINKINFO, NULL, 0);
	attr(&q, IFLA_INFO_KIND, "veth", 4);
	data = attr(&q, IFLA_INFO_DATA, NULL, 0);
	other = attr(&q, VETH_INFO_PEER, &peer_info, sizeof(peer_info));
	attr(&q, IFLA_IFNAME, peer, strlen(peer) + 1);
	attr(&q, IFLA_NET_NS_FD, &netns_fd, sizeof(netns_fd));
	attr_end(&q, other);
	attr_end(&q, data);
	attr_end(&q, link);
	r = talk(fd, &q);
	return r ? err_set(e, r, "make the link %s: %s", name, strerror(-r)) : 0;
}

int netlink_remove(int fd, const char *name, struct err *e)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct request q;
	uint32_t index;
	int r = link_index(fd, name, &index);

	if (!r && !index)
		return 0;
	info.ifi_index = (int)index;
	request_init(&q, RTM_DELLINK, 0, &info, sizeof(info));
	if (!r)
		r = talk(fd, &q);
	return r && r != -ENODEV ? err_set(e, r, "remove the link %s: %s", name, strerror(-r)) : 0;
}

int netlink_up(int fd, const char *name, struct err *e)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	struct request q;
	uint32_t index;
	int r = link_need(fd, name, &index, e);

	if (r)
		return r;
	info.ifi_index = (int)index;
	request_init(&q, RTM_NEWLINK, 0, &info, sizeof(info));
	r = talk(fd, &q);
	return r ? err_set(e, r, "bring the link %s up: %s", name, strerror(-r)) : 0;
}

int netlink_add_address(int fd, const char *name, uint32_t address, unsigned prefix, struct err *e)
{
	struct ifaddrmsg msg = { .ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)prefix };
	uint32_t wire = htonl(address);
	struct request q;
	int r = link_need(fd, name, &msg.ifa_index, e);

	if (r)
		return r;
	request_init(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &msg, sizeof(msg));
	attr(&q, IFA_LOCAL, &wire, sizeof(wire));
	attr(&q, IFA_ADDRESS, &wire, sizeof(wire));
	r = talk(fd, &q);
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
	struct request q;
	int r = link_need(fd, name, &index, e);

	if (r)
		return r;
	request_init(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &msg, sizeof(msg));
	attr(&q, RTA_GATEWAY, &wire, sizeof(wire));
	attr(&q, RTA_OIF, &index, sizeof(index));
	r = talk(fd, &q);
	return r ? err_set(e, r, "route through %s: %s", name, strerror(-r)) : 0;
}
