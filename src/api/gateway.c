/* Workloads of type gateway-name-proxy and gateway-fqdn-proxy: a public name, and the backends that it leads to. */
#include "api/workload.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { LABEL_MAX = 63 }; /* bytes: RFC 1035 */

/* LDH labels (RFC 1123), in lower case: what a browser asks for is made so before it is compared. */
static bool label_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '-')
			return false;
	return s.n && s.n <= LABEL_MAX && s.p[0] != '-' && s.p[s.n - 1] != '-';
}

/* Two labels or more, of which the last is no number: an address is none. */
bool fqdn_ok(struct str s)
{
	struct str label = { 0 };
	size_t n = 0;

	if (s.n > GATEWAY_FQDN_MAX || (s.n && s.p[s.n - 1] == '.'))
		return false;
	for (; str_next(&s, '.', &label); n++)
		if (!label_ok(label))
			return false;
	return n > 1 && !(label.p[0] >= '0' && label.p[0] <= '9');
}

#define SHARED_FIELDS                                                                                                                   \
	{ "network", JSON_TEXT, offsetof(struct gateway, network), .ok = name_ok, .want = "the name of a network of this deployment" }, \
		{ "tls_passthrough", JSON_BOOL, offsetof(struct gateway, tls_passthrough) },                                            \
	{                                                                                                                               \
		"backends", JSON_TEXTS, offsetof(struct gateway, backends), .required = true, .min = 1, .max = GATEWAY_BACKENDS_MAX     \
	}

static const struct json_field name_fields[] = {
	{ "name", JSON_TEXT, offsetof(struct gateway, name), .required = true, .max = GATEWAY_NAME_MAX, .ok = label_ok,
	  .want = "one label of a name: a-z, 0-9 and - between them" },
	SHARED_FIELDS,
};
static const struct json_table name_table = { name_fields, ARRAY_LEN(name_fields), 0, NULL };

static const struct json_field fqdn_fields[] = {
	{ "fqdn", JSON_TEXT, offsetof(struct gateway, fqdn), .required = true, .max = GATEWAY_FQDN_MAX, .ok = fqdn_ok,
	  .want = "a whole name such as www.example.org, in lower case and without a dot at its end" },
	SHARED_FIELDS,
};
static const struct json_table fqdn_table = { fqdn_fields, ARRAY_LEN(fqdn_fields), 0, NULL };

size_t gateway_n_backends(const struct gateway *g)
{
	return sd_json_variant_elements(g->backends);
}

static struct str text_at(const struct gateway *g, size_t i)
{
	return str_c(sd_json_variant_string(sd_json_variant_by_index(g->backends, i)));
}

/* The address of MACHINE in the network. */
static bool machine_find(const struct deployment *d, const char *network, struct str machine, uint32_t *ret)
{
	for (size_t w = 0; w < d->n_workloads; w++) {
		const struct joins *all = &d->workloads[w].zmachine.networks;

		for (size_t i = 0; i < all->n; i++)
			if (str_eq(machine, str_c(d->workloads[w].name)) && !strcmp(all->list[i].name, network)) {
				*ret = all->list[i].address;
				return true;
			}
	}
	return false;
}

/* "web:80" */
static bool by_name(const struct deployment *d, const char *network, struct str text, struct endpoint *ret)
{
	struct str machine;
	uint64_t port;
	uint32_t address;

	if (!network || !str_next(&text, ':', &machine) || !text.p || parse_u64(text, UINT16_MAX, &port) || !port ||
	    !machine_find(d, network, machine, &address))
		return false;
	*ret = (struct endpoint){ .family = AF_INET, .port = (uint16_t)port };
	for (int i = 0; i < 4; i++)
		ret->address[i] = (uint8_t)(address >> (24 - 8 * i));
	return true;
}

static bool backend_find(const struct deployment *d, const struct gateway *g, size_t i, struct endpoint *ret)
{
	return !endpoint_parse(text_at(g, i), ret) || by_name(d, g->network, text_at(g, i), ret);
}

void gateway_backend(const struct deployment *d, const struct gateway *g, size_t i, struct endpoint *ret)
{
	BUG_ON(!backend_find(d, g, i, ret));
}

static bool is_within(const struct network *n, const struct endpoint *at)
{
	const uint8_t *a = at->address;
	const struct range4 one = { (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3], 32 };

	return at->family == AF_INET && range4_has(&n->range, &one) && one.address != network_gateway(n);
}

static int backend_check(const struct deployment *d, size_t at, size_t i, struct err *e)
{
	const struct gateway *g = &d->workloads[at].gateway;
	const struct workload *network = g->network ? deployment_workload(d, g->network) : NULL;
	struct endpoint is, before;

	if (!backend_find(d, g, i, &is))
		return err_set(e, -EBADMSG, "/workloads/%zu/data/backends/%zu: '%.60s' is %s", at, i, text_at(g, i).p,
			       g->network ? "neither MACHINE:PORT, with a machine of this deployment in that network, nor ADDRESS:PORT"
					  : "no endpoint such as 203.0.113.5:80: machines of this deployment are reached in a 'network'");
	if (network && !is_within(&network->network, &is))
		return err_set(e, -EBADMSG, "/workloads/%zu/data/backends/%zu: %s is not an IPv4 address for machines or peers of '%s'", at, i,
			       text_at(g, i).p, g->network);
	if (!endpoint_is_far(&is))
		return err_set(e, -EBADMSG, "/workloads/%zu/data/backends/%zu: %s is no address that another machine has", at, i, text_at(g, i).p);
	for (size_t k = 0; k < i; k++) {
		gateway_backend(d, g, k, &before);
		if (endpoint_eq(&is, &before))
			return err_set(e, -EBADMSG, "/workloads/%zu/data/backends/%zu: is where backends/%zu is, too", at, i, k);
	}
	return 0;
}

static int gateway_open(struct deployment *d, size_t at, const struct json_table *table, struct err *e)
{
	struct gateway *g = &d->workloads[at].gateway;
	const struct workload *network;
	struct err below = { 0 };
	int r = json_decode(d->workloads[at].data, table, g, &below);

	if (r)
		return err_set(e, r, "/workloads/%zu/data%s", at, below.msg);
	network = g->network ? deployment_workload(d, g->network) : NULL;
	if (g->network && (!network || network->kind != WORKLOAD_NETWORK))
		return err_set(e, -EBADMSG, "/workloads/%zu/data/network: this deployment has no network '%s': add one to its workloads", at,
			       g->network);
	for (size_t i = 0; i < gateway_n_backends(g) && !r; i++)
		r = backend_check(d, at, i, e);
	return r;
}

int gateway_name_open(struct deployment *d, size_t at, struct err *e)
{
	return gateway_open(d, at, &name_table, e);
}

int gateway_fqdn_open(struct deployment *d, size_t at, struct err *e)
{
	return gateway_open(d, at, &fqdn_table, e);
}
