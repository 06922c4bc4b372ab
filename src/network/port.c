#include "network/port.h"

#include "base/file.h"
#include "network/rules.h"
#include "network/shape.h"
#include "sys/netlink.h"
#include "sys/netns.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define BRIDGE SEGMENT_BRIDGE
#define UPLINK "up0"
#define IPV6_CONF "/proc/sys/net/ipv6/conf/"

static void link_name(const char *prefix, unsigned index, char ret[static 16])
{
	snprintf(ret, 16, "%s%u", prefix, index);
}

/* Ports and the link out have no business with IPv6 of their own; the bridge believes no router. What answers for names may use port 53: nobody
 * else is in there. Both families are passed on; the filter says what of it. */
static const struct {
	const char *path, *value;
} quiet[] = {
	{ IPV6_CONF "default/disable_ipv6", "1" }, { IPV6_CONF "default/accept_ra", "0" }, { "/proc/sys/net/ipv4/ip_unprivileged_port_start", "53" },
	{ "/proc/sys/net/ipv4/ip_forward", "1" },  { IPV6_CONF "all/forwarding", "1" },
};

/* Where the kernel has br_netfilter, what passes the bridge would be held to be forwarded. */
static const char *const unbridged[] = {
	"/proc/sys/net/bridge/bridge-nf-call-iptables",
	"/proc/sys/net/bridge/bridge-nf-call-ip6tables",
	"/proc/sys/net/bridge/bridge-nf-call-arptables",
};

static int quiet_down(struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(quiet) && !r; i++)
		r = file_poke(AT_FDCWD, quiet[i].path, str_c(quiet[i].value), e);
	for (size_t i = 0; i < ARRAY_LEN(unbridged) && !r; i++)
		r = access(unbridged[i], F_OK) ? 0 : file_poke(AT_FDCWD, unbridged[i], S("0"), e);
	return r;
}

static int bridge_inside(void *ctx, struct err *e)
{
	const struct segment *g = ctx;
	const uint8_t mac[6] = { 0x02, 0x7a, 0x6e, 0x73, (uint8_t)(g->index >> 8), (uint8_t)g->index };
	AUTO_FD int fd = -1;
	int r;

	if ((r = netlink_open(&fd, e)) || (r = quiet_down(e)) || (r = netlink_up(fd, "lo", e)))
		return r;
	r = netlink_add_link(fd, BRIDGE, "bridge", e);
	if ((r && r != -EEXIST) || (r = file_poke(AT_FDCWD, IPV6_CONF BRIDGE "/disable_ipv6", S("0"), e)) ||
	    (r = netlink_set_mac(fd, BRIDGE, mac, e)) || (r = netlink_add_address(fd, BRIDGE, g->gateway.address, g->gateway.prefix, e)) ||
	    (r = netlink_add_address6(fd, BRIDGE, g->gateway6.address, g->gateway6.prefix, e)))
		return r;
	return netlink_up(fd, BRIDGE, e);
}

static int uplink_inside(void *ctx, struct err *e)
{
	uint32_t base = RULES_BASE_ADDRESS + ((const struct segment *)ctx)->index * 2;
	AUTO_FD int fd = -1;
	int r;

	if ((r = netlink_open(&fd, e)) || (r = netlink_up(fd, UPLINK, e)) || (r = netlink_add_address(fd, UPLINK, base + 1, 31, e)))
		return r;
	return netlink_add_default(fd, UPLINK, base, e);
}

static int uplink_make(const struct segment *g, int netlink, struct err *e)
{
	AUTO_FD int netns = open(g->netns, O_RDONLY | O_CLOEXEC);
	char device[16];
	int r;

	if (netns < 0)
		return err_set(e, -errno, "open %s: %m", g->netns);
	link_name(RULES_UPLINK, g->index, device);
	if (!g->outgoing)
		return netlink_remove(netlink, device, e);
	r = netlink_add_veth(netlink, device, UPLINK, netns, e);
	if ((r && r != -EEXIST) || (r = netlink_up(netlink, device, e)) ||
	    (r = netlink_add_address(netlink, device, RULES_BASE_ADDRESS + g->index * 2, 31, e)))
		return r;
	return netns_run(g->netns, uplink_inside, (void *)g, e);
}

int bridge_make(const struct segment *g, int netlink, struct err *e)
{
	int r;

	if ((r = netns_make(g->netns, e)) || (r = netns_run(g->netns, bridge_inside, (void *)g, e)))
		return r;
	return uplink_make(g, netlink, e);
}

int bridge_remove(const struct segment *g, int netlink, struct err *e)
{
	char device[16];
	int r;

	link_name(RULES_UPLINK, g->index, device);
	return (r = netlink_remove(netlink, device, e)) ? r : netns_remove(g->netns, e);
}

int tap_make(const char *name, uid_t uid, struct err *e)
{
	AUTO_FD int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	if (fd < 0)
		return err_set(e, -errno, "open /dev/net/tun: %m");
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &req)) /* busy: its machine runs and holds it */
		return errno == EBUSY ? 0 : err_set(e, -errno, "make the tap %s: %m", name);
	if (ioctl(fd, TUNSETPERSIST, 1) || ioctl(fd, TUNSETOWNER, (unsigned long)uid))
		return err_set(e, -errno, "keep the tap %s: %m", name);
	return 0;
}

struct making {
	const struct port *port;
	int container; /* -1 = none */
};

static int port_inside(void *ctx, struct err *e)
{
	const struct making *m = ctx;
	char device[16];
	AUTO_FD int fd = -1;
	int r = netlink_open(&fd, e);

	link_name(RULES_DEVICE, m->port->index, device);
	if (!r && m->container < 0)
		r = tap_make(device, m->port->tap_uid, e);
	else if (!r)
		r = netlink_add_veth(fd, device, m->port->name, m->container, e);
	if (r && r != -EEXIST)
		return r;
	if ((r = shape_apply(fd, device, m->port->index, m->port->bandwidth, e)) || (r = netlink_enslave(fd, device, BRIDGE, e)))
		return r;
	return netlink_up(fd, device, e);
}

static int end_inside(void *ctx, struct err *e)
{
	const struct port *p = ctx;
	AUTO_FD int fd = -1;
	int r = netlink_open(&fd, e);

	return r ? r : card_apply(fd, p->name, p->end, e);
}

int port_make(const struct port *p, struct err *e)
{
	AUTO_FD int container = p->container[0] ? open(p->container, O_RDONLY | O_CLOEXEC) : -1;
	struct making m = { p, container };
	int r;

	if (p->container[0] && container < 0)
		return err_set(e, -errno, "open %s: %m", p->container);
	if ((r = netns_run(p->netns, port_inside, &m, e)) || !p->container[0])
		return r;
	return netns_run(p->container, end_inside, (void *)p, e);
}

static int remove_inside(void *ctx, struct err *e)
{
	char device[16];
	AUTO_FD int fd = -1;
	int r = netlink_open(&fd, e);

	link_name(RULES_DEVICE, *(const unsigned *)ctx, device);
	return r || (r = netlink_remove(fd, device, e)) ? r : shape_remove(fd, *(const unsigned *)ctx, e);
}

int port_remove(const char *netns, unsigned index, struct err *e)
{
	if (access(netns, F_OK)) /* its ports went with it */
		return errno == ENOENT ? 0 : err_set(e, -errno, "look for %s: %m", netns);
	return netns_run(netns, remove_inside, &index, e);
}
