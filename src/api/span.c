/* A network's peers: who has other parts of its range. Nothing of them overlaps, so that every address has one place. */
#include "api/workload.h"
#include "ident/seal.h"

#include <stdio.h>

enum { PEER_PREFIX_MAX = 32, PEER_PREFIX6_MAX = 128 }; /* of one that is no node: it may be a single machine */

/* As it stands in the document. */
struct row {
	struct key_pub node;
	const char *key, *endpoint, *subnet, *subnet6;
};

bool network_key_decode(struct str s, uint8_t ret[static NETWORK_KEY_LEN])
{
	AUTO_SECRET struct buf raw = { 0 };
	uint8_t any = 0;

	if (parse_base64(s, &raw) || buf_check(&raw) || raw.len != NETWORK_KEY_LEN)
		return false;
	memcpy(ret, raw.p, NETWORK_KEY_LEN);
	for (size_t i = 0; i < NETWORK_KEY_LEN; i++)
		any |= ret[i];
	return any;
}

bool network_key_ok(struct str s)
{
	uint8_t key[NETWORK_KEY_LEN];

	return network_key_decode(s, key);
}

static bool endpoint_ok(struct str s)
{
	struct endpoint at;

	return !endpoint_parse(s, &at) && endpoint_is_far(&at);
}

static const struct json_field row_fields[] = {
	{ "node", JSON_KEY, offsetof(struct row, node) },
	{ "key", JSON_TEXT, offsetof(struct row, key), .ok = network_key_ok, .want = "a WireGuard public key, base64" },
	{ "endpoint", JSON_TEXT, offsetof(struct row, endpoint), .ok = endpoint_ok,
	  .want = "an endpoint such as 192.0.2.1:51820 or [2001:db8::1]:51820" },
	{ "subnet", JSON_TEXT, offsetof(struct row, subnet), .required = true, .ok = range4_ok, .want = "an IPv4 range such as 10.20.2.0/24" },
	{ "subnet6", JSON_TEXT, offsetof(struct row, subnet6), .ok = range6_ok, .want = "an IPv6 range such as fd12:3456:789a:2::/64" },
};
const struct json_table network_peer_table = { row_fields, ARRAY_LEN(row_fields), sizeof(struct row), NULL };

size_t network_n_peers(const struct network *n)
{
	return n->peers ? sd_json_variant_elements(n->peers) : 0;
}

void network_peer(const struct network *n, size_t i, struct network_peer *ret)
{
	struct row row = { 0 };
	struct err e;

	*ret = (struct network_peer){ 0 };
	BUG_ON(json_decode(sd_json_variant_by_index(n->peers, i), &network_peer_table, &row, &e) || parse_range4(str_c(row.subnet), &ret->subnet));
	ret->node = row.node;
	BUG_ON(row.key && !network_key_decode(str_c(row.key), ret->public_key));
	BUG_ON(row.endpoint && endpoint_parse(str_c(row.endpoint), &ret->endpoint));
	BUG_ON(row.subnet6 && parse_range6(str_c(row.subnet6), &ret->subnet6));
	if (!row.subnet6 && row.node.role && !n->texts[NETWORK_TEXT_SUBNET6])
		ret->subnet6 = network_part6(n, &row.node);
}

static bool is_node(const struct network_peer *p)
{
	return p->node.role;
}

/* PATH: of the peer. */
static int who_check(const struct deployment *d, const struct row *row, const char *path, struct err *e)
{
	if (!row->node.role == !row->key)
		return err_set(e, -EBADMSG, "%s: must have either 'node' or 'key'", path);
	if (row->key)
		return 0;
	if (row->node.role != KEY_NODE)
		return err_set(e, -EBADMSG, "%s/node: must be a node's key (N...)", path);
	if (key_pub_eq(&row->node, &d->node))
		return err_set(e, -EBADMSG, "%s/node: is the node that this deployment is for: its own part is 'subnet'", path);
	if (row->endpoint)
		return err_set(e, -EBADMSG, "%s/endpoint: goes with a 'key': nodes tell each other where they are", path);
	return 0;
}

static int subnet_check(const struct network *n, const struct network_peer *p, const char *path, struct err *e)
{
	char where[80], text[RANGE4_TEXT_SIZE], range[RANGE4_TEXT_SIZE];
	int r;

	snprintf(where, sizeof(where), "%s/subnet", path);
	if ((r = range4_check(&p->subnet, where, NETWORK_PREFIX_MIN, is_node(p) ? NETWORK_PREFIX_MAX : PEER_PREFIX_MAX, e)))
		return r;
	format_range4(text, &p->subnet);
	format_range4(range, &n->range);
	if (!range4_has(&n->range, &p->subnet))
		return err_set(e, -EBADMSG, "%s: %s is not within the network's range %s: give it a 'range' that holds all parts", where, text,
			       range);
	return 0;
}

static int subnet6_check(const struct network *n, const struct network_peer *p, const char *path, struct err *e)
{
	char where[80], text[RANGE6_TEXT_SIZE], range[RANGE6_TEXT_SIZE];
	int r;

	snprintf(where, sizeof(where), "%s/subnet6", path);
	if (!p->subnet6.prefix && is_node(p))
		return err_set(e, -EBADMSG, "%s: is missing: the network says its own 'subnet6'", where);
	if (!p->subnet6.prefix)
		return 0;
	if ((r = range6_check(&p->subnet6, where, NETWORK_PREFIX6, is_node(p) ? NETWORK_PREFIX6 : PEER_PREFIX6_MAX, e)))
		return r;
	format_range6(text, &p->subnet6);
	format_range6(range, &n->range6);
	if (!range6_has(&n->range6, &p->subnet6))
		return err_set(e, -EBADMSG, "%s: %s is not within the network's range6 %s", where, text, range);
	return 0;
}

static bool overlap4(const struct range4 *a, const struct range4 *b)
{
	return range4_has(a, b) || range4_has(b, a);
}

static bool overlap6(const struct range6 *a, const struct range6 *b)
{
	return a->prefix && b->prefix && (range6_has(a, b) || range6_has(b, a));
}

/* WHOSE has the ranges A and A6. */
static int apart_check(const struct network_peer *p, const struct range4 *a, const struct range6 *a6, const char *whose, const char *path,
		       struct err *e)
{
	char text[RANGE6_TEXT_SIZE];

	format_range4(text, &p->subnet);
	if (overlap4(&p->subnet, a))
		return err_set(e, -EBADMSG, "%s/subnet: %s overlaps with what %s has", path, text, whose);
	if (!overlap6(&p->subnet6, a6))
		return 0;
	format_range6(text, &p->subnet6);
	return err_set(e, -EBADMSG, "%s/subnet6: %s overlaps with what %s has: write another", path, text, whose);
}

static int pair_check(const struct network_peer *p, const struct network_peer *before, size_t k, const char *path, struct err *e)
{
	char whose[32];

	snprintf(whose, sizeof(whose), "peers/%zu", k);
	if (is_node(p) ? key_pub_eq(&p->node, &before->node) : !is_node(before) && !memcmp(p->public_key, before->public_key, NETWORK_KEY_LEN))
		return err_set(e, -EBADMSG, "%s/%s: stands in %s, too", path, is_node(p) ? "node" : "key", whose);
	return apart_check(p, &before->subnet, &before->subnet6, whose, path, e);
}

static int peer_check(const struct deployment *d, size_t at, size_t i, struct err *e)
{
	const struct network *n = &d->workloads[at].network;
	struct network_peer p;
	struct row row = { 0 };
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/workloads/%zu/data/peers/%zu", at, i);
	if ((r = json_decode(sd_json_variant_by_index(n->peers, i), &network_peer_table, &row, e)) || (r = who_check(d, &row, path, e)))
		return r;
	network_peer(n, i, &p);
	if ((r = subnet_check(n, &p, path, e)) || (r = subnet6_check(n, &p, path, e)))
		return r;
	r = apart_check(&p, &n->subnet, &n->subnet6, "this node", path, e);
	for (size_t k = 0; k < i && !r; k++) {
		struct network_peer before;

		network_peer(n, k, &before);
		r = pair_check(&p, &before, k, path, e);
	}
	return r;
}

int network_peers_check(const struct deployment *d, size_t at, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < network_n_peers(&d->workloads[at].network) && !r; i++)
		r = peer_check(d, at, i, e);
	return r;
}
