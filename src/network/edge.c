#include "network/edge.h"

#include "base/file.h"
#include "base/log.h"
#include "sys/module.h"
#include "sys/netlink.h"
#include "sys/netns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>

#define IPV6_CONF "/proc/sys/net/ipv6/conf/"
enum { LINK_METRIC = 1000 };

void edge_link_name(unsigned index, char ret[static 16])
{
	snprintf(ret, 16, RULES_EDGE_LINK "%u", index);
}

static void edge_format(void *ctx, struct buf *ret)
{
	rules_edge_format(((const struct edge *)ctx)->rules, ret);
}

void edge_deinit(struct edge *o)
{
	if (o->filter.event)
		filter_deinit(&o->filter);
}

static int card_drop_inside(void *ctx, struct err *e)
{
	AUTO_FD int fd = -1;
	int r = netlink_open(&fd, e);

	(void)ctx;
	return r ? r : netlink_remove(fd, EDGE_CARD, e);
}

static int card_end(const struct edge *o, struct err *e)
{
	return access(o->netns, F_OK) ? 0 : netns_run(o->netns, card_drop_inside, NULL, e);
}

/* Who is no gateway any more has no public card from now on; what is published waits without one. */
static void card_drop(struct edge *o)
{
	struct err e = { 0 };

	if (o->filter.event && card_end(o, &e))
		log_err("the gateway's card: %s", e.msg);
}

void edge_configure(struct edge *o, const struct farm_gateway *g)
{
	o->has_role = g;
	if (!g) {
		card_drop(o);
		return;
	}
	snprintf(o->card, sizeof(o->card), "%s", g->card);
	o->address6.prefix = 0;
	BUG_ON(parse_range4(str_c(g->address), &o->address) || parse_ip4(str_c(g->router), &o->router));
	BUG_ON(g->address6 && (parse_range6(str_c(g->address6), &o->address6) || parse_ip6(str_c(g->router6), o->router6)));
}

void edge_rules_changed(struct edge *o)
{
	if (o->filter.event)
		filter_change(&o->filter);
}

/* What its card is, as it was last made. */
static void card_format(const struct edge *o, struct buf *ret)
{
	char v4[RANGE4_TEXT_SIZE], v6[RANGE6_TEXT_SIZE], router[IP4_TEXT_SIZE], router6[IP6_TEXT_SIZE];

	format_range4(v4, &o->address);
	format_range6(v6, &o->address6);
	format_ip4(router, o->router);
	format_ip6(router6, o->router6);
	buf_addf(ret, "%s %s %s", o->card, v4, router);
	if (o->address6.prefix)
		buf_addf(ret, " %s %s", v6, router6);
}

/* Who listens is nobody there: ports for the web are everybody's. Addresses are those that the farm says, and no router's word adds any. */
static const struct {
	const char *path, *value;
} settings[] = {
	{ IPV6_CONF "default/disable_ipv6", "1" },
	{ IPV6_CONF "default/accept_ra", "0" },
	{ "/proc/sys/net/ipv4/ip_unprivileged_port_start", "80" },
	{ "/proc/sys/net/ipv4/tcp_syncookies", "1" },
};

static int namespace_inside(void *ctx, struct err *e)
{
	AUTO_FD int fd = -1;
	int r = netlink_open(&fd, e);

	(void)ctx;
	for (size_t i = 0; i < ARRAY_LEN(settings) && !r; i++)
		r = file_poke(AT_FDCWD, settings[i].path, str_c(settings[i].value), e);
	return r ? r : netlink_up(fd, "lo", e);
}

static int card6_inside(const struct edge *o, int fd, struct err *e)
{
	const struct netlink_net all = { .family = AF_INET6 };
	int r;

	if ((r = file_poke(AT_FDCWD, IPV6_CONF EDGE_CARD "/disable_ipv6", S("0"), e)) ||
	    (r = netlink_add_address6(fd, EDGE_CARD, o->address6.address, o->address6.prefix, e)))
		return r;
	return netlink_add_route_via(fd, EDGE_CARD, &all, o->router6, 0, e);
}

static int card_inside(void *ctx, struct err *e)
{
	const struct edge *o = ctx;
	AUTO_FD int fd = -1;
	int r;

	if ((r = netlink_open(&fd, e)) || (r = netlink_up(fd, EDGE_CARD, e)) ||
	    (r = netlink_add_address(fd, EDGE_CARD, o->address.address, o->address.prefix, e)) ||
	    (r = netlink_add_default(fd, EDGE_CARD, o->router, e)))
		return r;
	return o->address6.prefix ? card6_inside(o, fd, e) : 0;
}

static int ipvlan_make(const struct edge *o, int netlink, int netns, struct err *e)
{
	const struct supervisor s = SUPERVISOR_DEFAULT;
	int r = netlink_add_ipvlan(netlink, EDGE_CARD, o->card, netns, e);

	if (r != -EOPNOTSUPP)
		return r;
	return (r = module_load(&s, "ipvlan", e)) ? r : netlink_add_ipvlan(netlink, EDGE_CARD, o->card, netns, e);
}

static int card_make(struct edge *o, int netlink, struct err *e)
{
	AUTO_BUF struct buf is = { 0 }, shall = { 0 };
	AUTO_FD int netns = open(o->netns, O_RDONLY | O_CLOEXEC);
	char path[96];
	int r;

	if (netns < 0)
		return err_set(e, -errno, "open %s: %m", o->netns);
	snprintf(path, sizeof(path), "%s/card", o->dir);
	card_format(o, &shall);
	(void)!file_read(AT_FDCWD, path, 256, &is, NULL);
	if (!str_eq(buf_str(&is), buf_str(&shall)) && (r = netns_run(o->netns, card_drop_inside, NULL, e)))
		return r;
	r = ipvlan_make(o, netlink, netns, e);
	if ((r && r != -EEXIST) || (r = netns_run(o->netns, card_inside, o, e)))
		return r;
	return buf_check(&shall) ? err_set(e, -ENOMEM, "out of memory") : file_keep(AT_FDCWD, path, buf_str(&shall), 0600, e);
}

static int filter_begin(struct edge *o, struct err *e)
{
	const struct filter_options f = { .program = o->filter_program, .netns = o->netns, .format = edge_format, .ctx = o };
	int r = o->filter.event ? 0 : filter_init(&o->filter, o->event, &f, e);

	if (!r)
		filter_change(&o->filter);
	return r;
}

int edge_make(struct edge *o, int netlink, struct err *e)
{
	int r;

	if (!o->dir || !o->has_role)
		return err_set(e, -ENODEV, "this node is no gateway of its farm, which makes one with 'zos farm gateway'");
	snprintf(o->netns, sizeof(o->netns), "%s/netns", o->dir);
	if ((r = dir_make(o->dir, 0755, e)) || (r = netns_make(o->netns, e)) || (r = netns_run(o->netns, namespace_inside, NULL, e)) ||
	    (r = filter_begin(o, e)))
		return r;
	return err_wrap(e, card_make(o, netlink, e), "the gateway's card");
}

/* The card goes first: the namespace may live on for minutes, for connections whose other side has gone without a word. */
int edge_remove(struct edge *o, struct err *e)
{
	char path[96];
	int r;

	if (!o->dir)
		return 0;
	edge_deinit(o);
	snprintf(path, sizeof(path), "%s/card", o->dir);
	if (unlink(path) && errno != ENOENT)
		return err_set(e, -errno, "remove %s: %m", path);
	snprintf(o->netns, sizeof(o->netns), "%s/netns", o->dir);
	return (r = card_end(o, e)) ? r : netns_remove(o->netns, e);
}

struct linking {
	const struct edge *edge;
	unsigned index;
	int netns; /* the network's */
};

static uint32_t link_base(unsigned index)
{
	return RULES_EDGE_ADDRESS + index * 2;
}

/* Whoever is not bound to it does not take it: its metric is above the card's. */
static int link_here(void *ctx, struct err *e)
{
	const struct linking *l = ctx;
	const struct netlink_net all = { .family = AF_INET };
	uint32_t there = htonl(link_base(l->index) + 1);
	char name[16];
	AUTO_FD int fd = -1;
	int r = netlink_open(&fd, e);

	edge_link_name(l->index, name);
	if (!r)
		r = netlink_add_veth(fd, name, EDGE_DOOR, l->netns, e);
	if ((r && r != -EEXIST) || (r = netlink_up(fd, name, e)) || (r = netlink_add_address(fd, name, link_base(l->index), 31, e)))
		return r;
	return netlink_add_route_via(fd, name, &all, (const uint8_t *)&there, LINK_METRIC + l->index, e);
}

static int link_there(void *ctx, struct err *e)
{
	const struct linking *l = ctx;
	AUTO_FD int fd = -1;
	int r;

	if ((r = netlink_open(&fd, e)) || (r = netlink_up(fd, EDGE_DOOR, e)))
		return r;
	return netlink_add_address(fd, EDGE_DOOR, link_base(l->index) + 1, 31, e);
}

int edge_link(const struct edge *o, const char *netns, unsigned index, struct err *e)
{
	AUTO_FD int there = open(netns, O_RDONLY | O_CLOEXEC);
	struct linking l = { o, index, there };
	int r;

	if (there < 0)
		return err_set(e, -errno, "open %s: %m", netns);
	return (r = netns_run(o->netns, link_here, &l, e)) ? r : netns_run(netns, link_there, &l, e);
}

static int unlink_here(void *ctx, struct err *e)
{
	char name[16];
	AUTO_FD int fd = -1;
	int r = netlink_open(&fd, e);

	edge_link_name(*(const unsigned *)ctx, name);
	return r ? r : netlink_remove(fd, name, e);
}

int edge_unlink(const struct edge *o, unsigned index, struct err *e)
{
	if (!o->netns[0] || access(o->netns, F_OK)) /* it went with the namespace */
		return 0;
	return netns_run(o->netns, unlink_here, &index, e);
}
