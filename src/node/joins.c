#include "node/joins.h"

#include <openssl/evp.h>
#include <stdio.h>

/* Locally administered, the same after every start. */
static void mac_make(const char *machine, const char *network, uint8_t ret[static 6])
{
	char text[2 * (WORK_ID_LEN + 1)];
	uint8_t sum[32];

	snprintf(text, sizeof(text), "%s %s", machine, network);
	BUG_ON(!EVP_Digest(text, strlen(text), sum, NULL, EVP_sha256(), NULL));
	ret[0] = 2;
	memcpy(ret + 1, sum, 5);
}

static void link_fill(struct network_link *l, const struct deployment *d, const struct join *j, const char *machine)
{
	const struct network *n = &deployment_workload(d, j->name)->network;

	*l = (struct network_link){ .outgoing = n->outgoing };
	engine_work_id(&d->owner, d->name, j->name, l->network);
	snprintf(l->name, sizeof(l->name), "%s", j->name);
	mac_make(machine, l->network, l->end.mac);
	l->end.address = (struct range4){ j->address, n->subnet.prefix };
	l->end.range = n->range;
	l->end.gateway = network_gateway(n);
	l->end.address6.prefix = n->subnet6.prefix;
	network_address6(n, j->address, l->end.address6.address);
	l->end.range6 = n->range6;
	network_address6(n, network_gateway(n), l->end.gateway6);
}

bool joins_fill(struct work *w, const struct deployment *d, const struct workload *machine)
{
	const struct joins *all = workload_joins(machine);
	bool differs = w->n_links != all->n;

	for (size_t i = 0; i < all->n; i++) {
		struct network_link before = w->links[i], *l = &w->links[i];

		link_fill(l, d, &all->list[i], w->id);
		differs |= strcmp(before.network, l->network) || before.end.address.address != l->end.address.address;
	}
	w->n_links = all->n;
	return differs;
}

void joins_gateway_fill(struct work *w, const struct deployment *d, const struct workload *gateway)
{
	const struct gateway *g = &gateway->gateway;

	w->gateway = *g;
	w->n_backends = gateway_n_backends(g);
	for (size_t i = 0; i < w->n_backends; i++)
		gateway_backend(d, g, i, &w->backends[i]);
	w->backends_in[0] = '\0';
	if (g->network)
		engine_work_id(&d->owner, d->name, g->network, w->backends_in);
}

static void gateway_mark(const struct deployment *d, const struct gateway *g, struct buf *ret)
{
	for (size_t i = 0; i < gateway_n_backends(g); i++) {
		char text[ENDPOINT_TEXT_SIZE];
		struct endpoint at;

		gateway_backend(d, g, i, &at);
		endpoint_format(text, &at);
		buf_addf(ret, "\n%s", text);
	}
}

void joins_mark(const struct deployment *d, const struct workload *w, struct buf *ret)
{
	const struct joins *all = workload_joins(w);

	if (workload_is_gateway(w->kind))
		gateway_mark(d, &w->gateway, ret);
	for (size_t i = 0; i < all->n; i++)
		buf_addf(ret, "\n%s %u", all->list[i].name, all->list[i].address);
}
