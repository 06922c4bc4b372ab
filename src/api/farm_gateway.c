/* The gateways of a farm: which of its nodes publish names, and where. */
#include "api/workload.h"

#include <stdio.h>

enum { CARD_NAME_MAX = 15 /* the kernel's own limit */ };

static bool ip4_ok(struct str s)
{
	uint32_t a;

	return !parse_ip4(s, &a);
}

static bool ip6_ok(struct str s)
{
	uint8_t a[16];

	return !parse_ip6(s, a);
}

static bool card_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9'))
			return false;
	return s.n && s.n <= CARD_NAME_MAX && s.p[0] >= 'a';
}

#define FIELD(field) .off = offsetof(struct farm_gateway, field), .name = #field
static const struct json_field fields[] = {
	{ FIELD(node), .kind = JSON_KEY, .required = true },
	{ FIELD(domain), .kind = JSON_TEXT, .ok = fqdn_ok, .want = "a domain such as apps.example.org" },
	{ FIELD(address), .kind = JSON_TEXT, .required = true, .ok = range4_ok, .want = "an IPv4 address with its prefix, such as 198.51.100.7/24" },
	{ FIELD(router), .kind = JSON_TEXT, .required = true, .ok = ip4_ok, .want = "an IPv4 address" },
	{ FIELD(address6), .kind = JSON_TEXT, .ok = range6_ok, .want = "an IPv6 address with its prefix, such as 2001:db8::7/64" },
	{ FIELD(router6), .kind = JSON_TEXT, .ok = ip6_ok, .want = "an IPv6 address" },
	{ FIELD(card), .kind = JSON_TEXT, .ok = card_ok, .want = "the name of a network card, such as eth0" },
};
static const struct farm_gateway defaults = { .card = "eth0" };
const struct json_table farm_gateway_table = { fields, ARRAY_LEN(fields), sizeof(struct farm_gateway), &defaults };

const struct farm_gateway *farm_gateway_find(const struct farm *f, const struct key_pub *node)
{
	for (size_t i = 0; i < f->n_gateways; i++)
		if (key_pub_eq(&f->gateways[i].node, node))
			return &f->gateways[i];
	return NULL;
}

/* Whether the router is another machine on the network of the address. */
static bool is_beside4(const struct farm_gateway *g)
{
	struct range4 own, net, router = { .prefix = 32 };

	BUG_ON(parse_range4(str_c(g->address), &own) || parse_ip4(str_c(g->router), &router.address));
	net = own;
	net.address &= net.prefix ? (uint32_t)(0xffffffffull << (32 - net.prefix)) : 0;
	return range4_has(&net, &router) && router.address != own.address;
}

static int routers_check(const struct farm_gateway *g, size_t i, struct err *e)
{
	if (!is_beside4(g))
		return err_set(e, -EBADMSG, "/gateways/%zu/router: %s is no other machine on the network of %s", i, g->router, g->address);
	if (!g->address6 != !g->router6)
		return err_set(e, -EBADMSG, "/gateways/%zu/%s: is missing: 'address6' and 'router6' go together", i,
			       g->address6 ? "router6" : "address6");
	return 0;
}

/* A name belongs to one owner because its domain belongs to one gateway. */
static int pair_check(const struct farm_gateway *g, const struct farm_gateway *before, size_t i, size_t k, struct err *e)
{
	if (key_pub_eq(&g->node, &before->node))
		return err_set(e, -EBADMSG, "/gateways/%zu/node: stands in gateways/%zu, too", i, k);
	if (g->domain && before->domain && !strcmp(g->domain, before->domain))
		return err_set(e, -EBADMSG, "/gateways/%zu/domain: is that of gateways/%zu, too: each gateway gives out names of a domain of its own",
			       i, k);
	return 0;
}

int farm_gateways_check(const struct farm *f, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < f->n_gateways && !r; i++) {
		const struct farm_gateway *g = &f->gateways[i];

		if (g->node.role != KEY_NODE)
			return err_set(e, -EBADMSG, "/gateways/%zu/node: must be a node's key (N...)", i);
		r = routers_check(g, i, e);
		for (size_t k = 0; k < i && !r; k++)
			r = pair_check(g, &f->gateways[k], i, k, e);
	}
	return r;
}
