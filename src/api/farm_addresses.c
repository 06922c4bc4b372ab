/* The public addresses of a farm: which of its nodes has which for its owners' machines. */
#include "api/pool.h"
#include "api/workload.h"

static const struct json_field fields[] = {
	{ "node", JSON_KEY, offsetof(struct farm_addresses, node), .required = true },
	{ "card", JSON_TEXT, offsetof(struct farm_addresses, card), .ok = card_ok, .want = "the name of a network card, such as eth0" },
	{ "ranges", JSON_TEXTS, offsetof(struct farm_addresses, ranges), .required = true, .min = 1, .max = POOL_RANGES_MAX },
};
static const struct farm_addresses defaults = { .card = "eth0" };
const struct json_table farm_addresses_table = { fields, ARRAY_LEN(fields), sizeof(struct farm_addresses), &defaults };

const struct farm_addresses *farm_addresses_find(const struct farm *f, const struct key_pub *node)
{
	for (size_t i = 0; i < f->n_addresses; i++)
		if (key_pub_eq(&f->addresses[i].node, node))
			return &f->addresses[i];
	return NULL;
}

static int row_read(const struct farm_addresses *a, size_t at, struct pool *ret, struct err *e)
{
	*ret = (struct pool){ 0 };
	for (size_t i = 0; i < sd_json_variant_elements(a->ranges); i++) {
		struct err below = { 0 };
		int r = pool_add(ret, str_c(sd_json_variant_string(sd_json_variant_by_index(a->ranges, i))), &below);

		if (r)
			return err_set(e, -EBADMSG, "/addresses/%zu/ranges/%zu: %s", at, i, below.msg);
	}
	return 0;
}

void farm_pool(const struct farm *f, const struct key_pub *node, struct pool *ret)
{
	const struct farm_addresses *a = f ? farm_addresses_find(f, node) : NULL;
	struct err e = { 0 };

	*ret = (struct pool){ 0 };
	BUG_ON(a && row_read(a, (size_t)(a - f->addresses), ret, &e));
}

/* Two that answer for one address would have it by turns. */
static int pair_check(const struct farm *f, const struct pool *p, size_t i, size_t k, struct err *e)
{
	struct pool other;

	if (key_pub_eq(&f->addresses[i].node, &f->addresses[k].node))
		return err_set(e, -EBADMSG, "/addresses/%zu/node: stands in addresses/%zu, too: give all its ranges in one row", i, k);
	farm_pool(f, &f->addresses[k].node, &other);
	if (pool_overlaps(p, &other))
		return err_set(e, -EBADMSG, "/addresses/%zu/ranges: hold addresses that addresses/%zu has: an address is one node's", i, k);
	return 0;
}

/* A gateway and a relay answer for their own themselves. */
static int others_check(const struct farm *f, const struct pool *p, size_t i, struct err *e)
{
	for (size_t k = 0; k < f->n_gateways; k++) {
		struct range4 at;

		if (!parse_range4(str_c(f->gateways[k].address), &at) && pool_has(p, at.address))
			return err_set(e, -EBADMSG, "/addresses/%zu/ranges: hold the address of gateways/%zu, %s", i, k, f->gateways[k].address);
	}
	for (size_t k = 0; k < f->n_relays; k++) {
		uint32_t at;

		if (f->relays[k].address && !parse_ip4(str_c(f->relays[k].address), &at) && pool_has(p, at))
			return err_set(e, -EBADMSG, "/addresses/%zu/ranges: hold the address of relays/%zu, %s", i, k, f->relays[k].address);
	}
	return 0;
}

int farm_addresses_check(const struct farm *f, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < f->n_addresses && !r; i++) {
		struct pool p;

		if (f->addresses[i].node.role != KEY_NODE)
			return err_set(e, -EBADMSG, "/addresses/%zu/node: must be a node's key (N...)", i);
		if (!(r = row_read(&f->addresses[i], i, &p, e)))
			r = others_check(f, &p, i, e);
		for (size_t k = 0; k < i && !r; k++)
			r = pair_check(f, &p, i, k, e);
	}
	return r;
}
