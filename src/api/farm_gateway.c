/* The gateways of a farm: which of its nodes publish names, and where. */
#include "api/workload.h"

#include <stdio.h>

enum {
	CARD_NAME_MAX = 15, /* the kernel's own limit */
	ACME_URL_MAX = 256,
	ACME_CA_MAX = 16384,
	ACME_EMAIL_MAX = 254,
};

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

bool card_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9'))
			return false;
	return s.n && s.n <= CARD_NAME_MAX && s.p[0] >= 'a';
}

static bool is_among(struct str s, const char *others)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= 'A' && s.p[i] <= 'Z') && !(s.p[i] >= '0' && s.p[i] <= '9') &&
		    !memchr(others, s.p[i], strlen(others)))
			return false;
	return true;
}

/* It becomes an argument of another program, and so does the next. */
static bool acme_ok(struct str s)
{
	const struct str scheme = S("https://");

	return str_starts(s, scheme) && s.n > scheme.n && s.p[scheme.n] != '/' && is_among(s, ":/.-_~%[]");
}

/* A part of what RFC 5321 allows: it goes into that program's JSON as it is. */
static bool email_ok(struct str s)
{
	struct str local;

	return s.n && s.p[0] != '-' && is_among(s, "@.-_+") && str_next(&s, '@', &local) && local.n && fqdn_ok(s);
}

static bool pem_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '\n' && s.p[i] != '\r' && (s.p[i] < ' ' || s.p[i] > '~'))
			return false;
	return str_starts(s, S("-----BEGIN CERTIFICATE-----"));
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
	{ FIELD(acme), .kind = JSON_TEXT, .max = ACME_URL_MAX, .ok = acme_ok, .want = "the https:// URL of an ACME server's directory" },
	{ FIELD(acme_ca), .kind = JSON_TEXT, .max = ACME_CA_MAX, .ok = pem_ok, .want = "certificates in PEM" },
	{ FIELD(acme_email), .kind = JSON_TEXT, .max = ACME_EMAIL_MAX, .ok = email_ok, .want = "an address such as hostmaster@example.org" },
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

static int row_check(const struct farm_gateway *g, size_t i, struct err *e)
{
	if (!is_beside4(g))
		return err_set(e, -EBADMSG, "/gateways/%zu/router: %s is no other machine on the network of %s", i, g->router, g->address);
	if (!g->address6 != !g->router6)
		return err_set(e, -EBADMSG, "/gateways/%zu/%s: is missing: 'address6' and 'router6' go together", i,
			       g->address6 ? "router6" : "address6");
	if (!g->acme && (g->acme_ca || g->acme_email))
		return err_set(e, -EBADMSG, "/gateways/%zu/acme: is missing, and '%s' goes with it", i, g->acme_ca ? "acme_ca" : "acme_email");
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
		r = row_check(g, i, e);
		for (size_t k = 0; k < i && !r; k++)
			r = pair_check(g, &f->gateways[k], i, k, e);
	}
	return r;
}
