/* wg0 of a private network: made in the node's namespace, where its UDP socket stays, and moved into the network's. */
#include "base/file.h"
#include "sys/module.h"
#include "network/segment.h"
#include "sys/netns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>

static int open_inside(void *ctx, struct err *e)
{
	return wireguard_open(ctx, e);
}

static int wg_open(struct segment *g, struct err *e)
{
	struct err ignored = { 0 };
	int r;

	if (g->span.wg.fd >= 0 || !netns_run(g->netns, open_inside, &g->span.wg, &ignored))
		return 0;
	if ((r = module_load(&g->all->names.supervisor, "wireguard", e)))
		return r;
	return netns_run(g->netns, open_inside, &g->span.wg, e);
}

/* Whoever looks for a device on the bridge is told at once, and not within 0.8 s. */
static const struct {
	const char *path, *value;
} proxies[] = {
	{ "/proc/sys/net/ipv6/conf/" SEGMENT_BRIDGE "/proxy_ndp", "1" },
	{ "/proc/sys/net/ipv4/neigh/" SEGMENT_BRIDGE "/proxy_delay", "0" },
	{ "/proc/sys/net/ipv6/neigh/" SEGMENT_BRIDGE "/proxy_delay", "0" },
};

int tunnel_proxies_allow(struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(proxies) && !r; i++)
		r = file_poke(AT_FDCWD, proxies[i].path, str_c(proxies[i].value), e);
	return r;
}

static int up_inside(void *ctx, struct err *e)
{
	AUTO_FD int fd = -1;
	int r = netlink_open(&fd, e);

	(void)ctx;
	if (r || (r = file_poke(AT_FDCWD, "/proc/sys/net/ipv6/conf/" SPAN_DEVICE "/disable_ipv6", S("0"), e)) || (r = tunnel_proxies_allow(e)))
		return r;
	return netlink_up(fd, SPAN_DEVICE, e);
}

static int down_inside(void *ctx, struct err *e)
{
	AUTO_FD int fd = -1;
	int r = netlink_open(&fd, e);

	(void)ctx;
	return r ? r : netlink_remove(fd, SPAN_DEVICE, e);
}

/* One of that name in the node's namespace was left on its way. */
static int device_make(const struct segment *g, int netlink, struct err *e)
{
	AUTO_FD int netns = open(g->netns, O_RDONLY | O_CLOEXEC);
	int r;

	if (netns < 0)
		return err_set(e, -errno, "open %s: %m", g->netns);
	return (r = netlink_remove(netlink, SPAN_DEVICE, e)) ? r : wireguard_make(netlink, SPAN_DEVICE, netns, e);
}

int tunnel_make(struct segment *g, const struct wireguard_key *key, int netlink, struct err *e)
{
	const struct wireguard_config c = { .private_key = key, .has_port = true, .port = g->span.port };
	AUTO_WIREGUARD_STATE struct wireguard_state is = WIREGUARD_STATE_NONE;
	int r = wg_open(g, e);

	if (r)
		return r;
	r = wireguard_get(&g->span.wg, SPAN_DEVICE, &is, e);
	if (r == -ENODEV)
		r = device_make(g, netlink, e);
	if (r || (r = wireguard_configure(&g->span.wg, SPAN_DEVICE, &c, e)) || (r = netns_run(g->netns, up_inside, NULL, e)))
		return r;
	wireguard_state_deinit(&is);
	if ((r = wireguard_get(&g->span.wg, SPAN_DEVICE, &is, e)))
		return r;
	memcpy(g->span.public_key, is.public_key, sizeof(g->span.public_key));
	g->span.is_up = true;
	return 0;
}

int tunnel_remove(struct segment *g, struct err *e)
{
	g->span.is_up = false;
	if (access(g->netns, F_OK))
		return errno == ENOENT ? 0 : err_set(e, -errno, "look for %s: %m", g->netns);
	return netns_run(g->netns, down_inside, NULL, e);
}

size_t tunnel_ranges(const struct network_peer *p, struct netlink_net ret[static 2])
{
	const uint32_t v4 = htonl(p->subnet.address);

	ret[0] = (struct netlink_net){ .family = AF_INET, .prefix = p->subnet.prefix };
	memcpy(ret[0].address, &v4, sizeof(v4));
	if (!p->subnet6.prefix)
		return 1;
	ret[1] = (struct netlink_net){ .family = AF_INET6, .prefix = p->subnet6.prefix };
	memcpy(ret[1].address, p->subnet6.address, sizeof(ret[1].address));
	return 2;
}

struct change {
	int (*one)(int fd, const char *link, const struct netlink_net *to, struct err *e);
	const char *link;
	struct netlink_net ranges[2];
	size_t n;
};

static int change_inside(void *ctx, struct err *e)
{
	const struct change *c = ctx;
	AUTO_FD int fd = -1;
	int r = netlink_open(&fd, e);

	for (size_t i = 0; i < c->n && !r; i++)
		r = c->one(fd, c->link, &c->ranges[i], e);
	return r;
}

int tunnel_route(const struct segment *g, const struct network_peer *p, bool is_there, struct err *e)
{
	struct change c = { .one = is_there ? netlink_add_route : netlink_remove_route, .link = SPAN_DEVICE };

	c.n = tunnel_ranges(p, c.ranges);
	return netns_run(g->netns, change_inside, &c, e);
}

int tunnel_stand_for(const struct segment *g, const struct network_peer *p, bool is_there, struct err *e)
{
	struct change c = { .one = is_there ? netlink_add_proxy : netlink_remove_proxy, .link = SEGMENT_BRIDGE };

	c.n = tunnel_ranges(p, c.ranges);
	return netns_run(g->netns, change_inside, &c, e);
}
