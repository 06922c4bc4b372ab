#include "init/cabler.h"

#include "base/file.h"
#include "base/log.h"
#include "sys/module.h"
#include "sys/netlink.h"
#include "sys/resolv.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>

enum { CABLER_WAITS = 1 }; /* outcome: no card of it is there */

static struct netlink_net net_of(const struct cabling_address *a)
{
	struct netlink_net n = { .family = a->family, .prefix = a->prefix };

	memcpy(n.address, a->address, sizeof(n.address));
	return n;
}

/* The kernel's names of cards, and ours of those that are known by their MAC: not of bonds and VLANs, whose MAC is their cards'. */
static bool is_card(const char *name)
{
	return (str_starts(str_c(name), S("eth")) || str_starts(str_c(name), S("card"))) && !strchr(name, '.');
}

/* Its name, or CABLER_WAITS. */
static int card_find(const struct cabler *c, const struct cabling_card *card, char ret[static CABLING_NAME_SIZE], struct err *e)
{
	struct if_nameindex *all = if_nameindex();
	int r = CABLER_WAITS;

	if (!all)
		return err_set(e, -errno, "look for network cards: %m");
	for (const struct if_nameindex *i = all; i->if_index && r; i++) {
		uint8_t mac[6] = { 0 };

		if (!is_card(i->if_name) || (card->name[0] && strcmp(card->name, i->if_name) != 0))
			continue;
		if (!card->name[0] && (netlink_permanent_mac(c->netlink, i->if_name, mac, NULL) || memcmp(mac, card->mac, sizeof(mac)) != 0))
			continue;
		snprintf(ret, CABLING_NAME_SIZE, "%s", i->if_name);
		r = 0;
	}
	if_freenameindex(all);
	return r;
}

void cabler_look(const char *name)
{
	char path[sizeof("/sys/class/net//carrier") + CABLING_NAME_SIZE], carrier;

	snprintf(path, sizeof(path), "/sys/class/net/%.15s/carrier", name);
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, &carrier, 1) != 1)
		log_warn("cannot see whether %s has a carrier: %m", name);
}

static int link_up(const struct cabler *c, const char *name, struct err *e)
{
	int r = netlink_up(c->netlink, name, e);

	if (!r)
		cabler_look(name);
	return r;
}

/* Does what ADD does, with MODULE loaded where the kernel does not know how; and there already is fine. */
static int kind_make(const struct cabler *c, int (*add)(const struct cabler *c, size_t i, struct err *e), size_t i, const char *module, struct err *e)
{
	int r = add(c, i, e);

	if (r == -EOPNOTSUPP && c->supervisor) {
		if (module_load(c->supervisor, module, e))
			return -EOPNOTSUPP;
		r = add(c, i, e);
	}
	if (r == -EOPNOTSUPP)
		return err_set(e, r, "this image has no module '%s'", module);
	return r == -EEXIST ? 0 : r;
}

static int bond_add(const struct cabler *c, size_t i, struct err *e)
{
	static const enum netlink_bond modes[CABLING_BONDS] = {
		[CABLING_ACTIVE_BACKUP] = NETLINK_ACTIVE_BACKUP, [CABLING_802_3AD] = NETLINK_802_3AD
	};
	char name[CABLING_NAME_SIZE];

	cabling_base_name(&c->cabling, i, name);
	return netlink_add_bond(c->netlink, name, modes[c->cabling.uplinks[i].bond], e);
}

static int vlan_add(const struct cabler *c, size_t i, struct err *e)
{
	char base[CABLING_NAME_SIZE], name[CABLING_NAME_SIZE];

	cabling_base_name(&c->cabling, i, base);
	cabling_name(&c->cabling, i, name);
	return netlink_add_vlan(c->netlink, name, base, c->cabling.uplinks[i].vlan, e);
}

/* One card, under the name that the uplink's links have. */
static int card_take(struct cabler *c, size_t i, const char *base, struct err *e)
{
	struct cabler_card *card = &c->uplinks[i].cards[0];
	int r = card_find(c, &c->cabling.uplinks[i].cards[0], card->name, e);

	if (!r && strcmp(card->name, base) != 0) {
		r = netlink_rename(c->netlink, card->name, base, e);
		if (!r)
			log_info("the card %s is %s from now on", card->name, base);
	}
	if (!r)
		snprintf(card->name, sizeof(card->name), "%s", base);
	return r;
}

/* Those that are there; the others later. */
static int bond_take(struct cabler *c, size_t i, const char *base, struct err *e)
{
	const struct cabling_uplink *u = &c->cabling.uplinks[i];
	int ret = CABLER_WAITS;

	for (size_t k = 0; k < u->n_cards; k++) {
		struct cabler_card *card = &c->uplinks[i].cards[k];
		int r = card_find(c, &u->cards[k], card->name, e);

		if (r == CABLER_WAITS) {
			card->index = 0;
			continue;
		}
		if (r || (r = kind_make(c, bond_add, i, "bonding", e)) || (r = netlink_enslave(c->netlink, card->name, base, e)) ||
		    (r = link_up(c, card->name, e)))
			return r;
		card->index = if_nametoindex(card->name);
		ret = 0;
	}
	return ret;
}

/* Addresses are those that were said, and no router's word adds any. A route over a link without a cable is none: another uplink's is taken then. */
static int settings_make(const char *name, struct err *e)
{
	static const struct {
		const char *family, *name, *value;
	} settings[] = {
		{ "ipv4", "ignore_routes_with_linkdown", "1" },
		{ "ipv6", "ignore_routes_with_linkdown", "1" },
		{ "ipv6", "accept_ra", "0" },
		{ "ipv6", "addr_gen_mode", "0" }, /* a link-local address, which a router's may need */
	};
	char path[96];
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(settings) && !r; i++) {
		snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", settings[i].family, name, settings[i].name);
		r = file_poke(AT_FDCWD, path, str_c(settings[i].value), e);
	}
	return r;
}

static int address_add(const struct cabler *c, const char *name, const struct cabling_address *a, struct err *e)
{
	uint32_t v4;

	if (a->family == AF_INET6)
		return netlink_add_address6(c->netlink, name, a->address, a->prefix, e);
	memcpy(&v4, a->address, sizeof(v4));
	return netlink_add_address(c->netlink, name, ntohl(v4), a->prefix, e);
}

static int routes_add(const struct cabler *c, size_t i, const char *name, struct err *e)
{
	const struct cabling_uplink *u = &c->cabling.uplinks[i];
	const struct cabling_address *const routers[] = { &u->router, &u->router6 };
	int r = 0;

	for (size_t k = 0; k < ARRAY_LEN(routers) && !r; k++) {
		const struct netlink_net all = { .family = routers[k]->family };
		const struct netlink_net via = net_of(routers[k]);

		if (all.family)
			r = netlink_add_route_via(c->netlink, name, &all, via.address, (uint32_t)(i + 1) * CABLING_METRIC, e);
	}
	return r;
}

static int servers_put(const struct cabler *c, size_t i, const char *name, struct err *e)
{
	const struct cabling_uplink *u = &c->cabling.uplinks[i];
	AUTO_BUF struct buf text = { 0 };
	char source[RESOLV_NAME_SIZE];

	if (!u->n_servers)
		return 0;
	cabling_servers(u->servers, u->n_servers, &text);
	snprintf(source, sizeof(source), "%s.boot", name);
	return resolv_put(c->sources, c->resolv_conf, source, buf_str(&text), e);
}

static int addresses_make(const struct cabler *c, size_t i, const char *name, struct err *e)
{
	const struct cabling_uplink *u = &c->cabling.uplinks[i];
	int r = 0;

	for (size_t k = 0; k < u->n_addresses && !r; k++)
		r = address_add(c, name, &u->addresses[k], e);
	if (!r)
		r = routes_add(c, i, name, e);
	return r ? r : servers_put(c, i, name, e);
}

static int uplink_make(struct cabler *c, size_t i, struct err *e)
{
	const struct cabling_uplink *u = &c->cabling.uplinks[i];
	char base[CABLING_NAME_SIZE], name[CABLING_NAME_SIZE];
	int r;

	cabling_base_name(&c->cabling, i, base);
	cabling_name(&c->cabling, i, name);
	if ((r = u->bond == CABLING_ALONE ? card_take(c, i, base, e) : bond_take(c, i, base, e)))
		return r;
	if (u->n_addresses && !u->vlan && (r = settings_make(base, e)))
		return r;
	if ((r = link_up(c, base, e)))
		return r;
	if (u->vlan && ((r = kind_make(c, vlan_add, i, "8021q", e)) || (u->n_addresses && (r = settings_make(name, e))) || (r = link_up(c, name, e))))
		return r;
	if ((r = addresses_make(c, i, name, e)))
		return r;
	if (u->bond == CABLING_ALONE)
		c->uplinks[i].cards[0].index = if_nametoindex(base);
	c->uplinks[i].index = if_nametoindex(name);
	return 0;
}

static bool is_made(const struct cabler *c, size_t i)
{
	const struct cabler_uplink *s = &c->uplinks[i];
	char name[CABLING_NAME_SIZE];

	cabling_name(&c->cabling, i, name);
	for (size_t k = 0; k < c->cabling.uplinks[i].n_cards; k++)
		if (!s->cards[k].index || if_nametoindex(s->cards[k].name) != s->cards[k].index)
			return false;
	return s->index && if_nametoindex(name) == s->index;
}

static void uplink_tell(struct cabler *c, size_t i, const struct err *e)
{
	struct cabler_uplink *s = &c->uplinks[i];
	char name[CABLING_NAME_SIZE];

	cabling_name(&c->cabling, i, name);
	if (!strcmp(s->trouble, e->msg))
		return;
	snprintf(s->trouble, sizeof(s->trouble), "%s", e->msg);
	if (e->msg[0])
		log_err("the uplink %s: %s", name, e->msg);
}

size_t cabler_step(struct cabler *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->cabling.n_uplinks; i++) {
		unsigned before = c->uplinks[i].index;
		struct err e = { 0 };
		char name[CABLING_NAME_SIZE];

		if (!is_made(c, i)) {
			c->uplinks[i].index = 0;
			uplink_tell(c, i, uplink_make(c, i, &e) < 0 ? &e : &(struct err){ 0 });
			cabling_name(&c->cabling, i, name);
			if (c->uplinks[i].index && c->uplinks[i].index != before)
				log_info("the uplink %s is made", name);
		}
		n += c->uplinks[i].index != 0;
	}
	return n;
}
