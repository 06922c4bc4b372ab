/* Workloads of type network: a private network of a deployment's machines. And who joins it, with which address. */
#include "api/workload.h"

#include <openssl/evp.h>
#include <stdio.h>

enum { SUBNET = NETWORK_TEXT_SUBNET, RANGE = NETWORK_TEXT_RANGE, SUBNET6 = NETWORK_TEXT_SUBNET6, RANGE6 = NETWORK_TEXT_RANGE6 };
enum { FIRST_HOST = 2 };                 /* behind the subnet's own address and the gateway */

bool range4_ok(struct str s)
{
	struct range4 r;

	return !parse_range4(s, &r);
}

bool range6_ok(struct str s)
{
	struct range6 r;

	return !parse_range6(s, &r);
}

#define TEXT_AT(i) (offsetof(struct network, texts) + (i) * sizeof(const char *))
#define WANT4 "an IPv4 range such as 10.20.1.0/24"
#define WANT6 "an IPv6 range such as fd12:3456:789a:1::/64"

static const struct json_field network_fields[] = {
	{ "subnet", JSON_TEXT, TEXT_AT(SUBNET), .required = true, .ok = range4_ok, .want = WANT4 },
	{ "range", JSON_TEXT, TEXT_AT(RANGE), .ok = range4_ok, .want = WANT4 },
	{ "subnet6", JSON_TEXT, TEXT_AT(SUBNET6), .ok = range6_ok, .want = WANT6 },
	{ "range6", JSON_TEXT, TEXT_AT(RANGE6), .ok = range6_ok, .want = WANT6 },
	{ "outgoing", JSON_BOOL, offsetof(struct network, outgoing) },
	{ "peers", JSON_ROWS, offsetof(struct network, peers), .max = NETWORK_PEERS_MAX, .table = &network_peer_table },
	{ "access", JSON_ROWS, offsetof(struct network, access), .max = NETWORK_ACCESS_MAX, .table = &network_access_table },
};
static const struct json_table network_table = { network_fields, ARRAY_LEN(network_fields), 0, NULL };

/* Nobody else's: RFC 1918, RFC 4193. */
static const struct range4 private4[] = { { 0x0a000000, 8 }, { 0xac100000, 12 }, { 0xc0a80000, 16 } };
static const struct range6 private6 = { { 0xfd }, 8 };

int range4_check(const struct range4 *r, const char *where, unsigned min, unsigned max, struct err *e)
{
	char text[RANGE4_TEXT_SIZE];

	format_range4(text, r);
	if (!range4_is_whole(r))
		return err_set(e, -EBADMSG, "%s: %s has bits behind its prefix: write its first address", where, text);
	if (r->prefix < min || r->prefix > max)
		return err_set(e, -EBADMSG, "%s: %s has a prefix of %u bits, and %u to %u can be had", where, text, r->prefix, min, max);
	for (size_t i = 0; i < ARRAY_LEN(private4); i++)
		if (range4_has(&private4[i], r))
			return 0;
	return err_set(e, -EBADMSG, "%s: %s is not within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16", where, text);
}

int range6_check(const struct range6 *r, const char *where, unsigned min, unsigned max, struct err *e)
{
	char text[RANGE6_TEXT_SIZE];

	format_range6(text, r);
	if (!range6_is_whole(r))
		return err_set(e, -EBADMSG, "%s: %s has bits behind its prefix: write its first address", where, text);
	if (r->prefix < min || r->prefix > max)
		return err_set(e, -EBADMSG, "%s: %s has a prefix of %u bits, and %u to %u can be had", where, text, r->prefix, min, max);
	if (!range6_has(&private6, r))
		return err_set(e, -EBADMSG, "%s: %s is not within fd00::/8", where, text);
	return 0;
}

static void digest(const char *what, const struct key_pub *key, const char *name, const char *more, uint8_t ret[static 32])
{
	AUTO_BUF struct buf text = { 0 };
	char key_text[KEY_TEXT_SIZE];

	key_pub_format(key_text, key);
	buf_addf(&text, "%s %s/%s/%s", what, key_text, name, more);
	BUG_ON(buf_check(&text) || !EVP_Digest(text.p, text.len, ret, NULL, EVP_sha256(), NULL));
}

struct range6 network_part6(const struct network *n, const struct key_pub *node)
{
	struct range6 ret = { .prefix = NETWORK_PREFIX6 };
	uint8_t part[32];

	digest("node", node, "", "", part);
	memcpy(ret.address, n->range6.address, 6);
	memcpy(ret.address + 6, part, 2);
	return ret;
}

/* Everywhere the same for one network, and another for each node. */
static void derive6(const struct deployment *d, const char *name, struct network *n)
{
	uint8_t whole[32];

	digest("network", &d->owner, d->name, name, whole);
	n->range6 = (struct range6){ { 0xfd, whole[0], whole[1], whole[2], whole[3], whole[4] }, 48 };
	n->subnet6 = network_part6(n, &d->node);
}

static const char *where(size_t at, const char *field, char ret[static 64])
{
	snprintf(ret, 64, "/workloads/%zu/data/%s", at, field);
	return ret;
}

static int ranges_check(struct network *n, size_t at, struct err *e)
{
	char path[64];
	int r;

	if (parse_range4(str_c(n->texts[SUBNET]), &n->subnet) || parse_range4(str_c(n->texts[RANGE] ? n->texts[RANGE] : n->texts[SUBNET]), &n->range))
		return err_set(e, -EBADMSG, "/workloads/%zu/data: has no ranges", at);
	if ((r = range4_check(&n->subnet, where(at, "subnet", path), NETWORK_PREFIX_MIN, NETWORK_PREFIX_MAX, e)) ||
	    (r = range4_check(&n->range, where(at, "range", path), NETWORK_RANGE_PREFIX_MIN, NETWORK_PREFIX_MAX, e)))
		return r;
	if (!range4_has(&n->range, &n->subnet))
		return err_set(e, -EBADMSG, "/workloads/%zu/data/range: %s does not hold the subnet %s", at, n->texts[RANGE], n->texts[SUBNET]);
	return 0;
}

static int ranges6_check(const struct deployment *d, struct network *n, size_t at, struct err *e)
{
	char path[64];
	int r;

	if (!n->texts[SUBNET6] != !n->texts[RANGE6])
		return err_set(e, -EBADMSG, "/workloads/%zu/data/%s: is missing: say both 'subnet6' and 'range6', or neither", at,
			       n->texts[SUBNET6] ? "range6" : "subnet6");
	if (!n->texts[SUBNET6]) {
		derive6(d, d->workloads[at].name, n);
		return 0;
	}
	if (parse_range6(str_c(n->texts[SUBNET6]), &n->subnet6) || parse_range6(str_c(n->texts[RANGE6]), &n->range6))
		return err_set(e, -EBADMSG, "/workloads/%zu/data: has no ranges", at);
	if ((r = range6_check(&n->subnet6, where(at, "subnet6", path), NETWORK_PREFIX6, NETWORK_PREFIX6, e)) ||
	    (r = range6_check(&n->range6, where(at, "range6", path), NETWORK_RANGE_PREFIX6_MIN, NETWORK_PREFIX6, e)))
		return r;
	if (!range6_has(&n->range6, &n->subnet6))
		return err_set(e, -EBADMSG, "/workloads/%zu/data/range6: %s does not hold the subnet6 %s", at, n->texts[RANGE6], n->texts[SUBNET6]);
	return 0;
}

int network_open(struct deployment *d, size_t at, struct err *e)
{
	struct network *n = &d->workloads[at].network;
	struct err below = { 0 };
	int r;

	n->outgoing = true;
	if ((r = json_decode(d->workloads[at].data, &network_table, n, &below)))
		return err_set(e, r, "/workloads/%zu/data%s", at, below.msg);
	if ((r = ranges_check(n, at, e)) || (r = ranges6_check(d, n, at, e)))
		return r;
	if ((r = network_peers_check(d, at, e)) || (r = network_access_check(d, at, e)))
		return r;
	return secrets_used_check(d, at, e);
}

uint32_t network_gateway(const struct network *n)
{
	return n->subnet.address + 1;
}

void network_address6(const struct network *n, uint32_t address, uint8_t ret[static 16])
{
	memcpy(ret, n->subnet6.address, 16);
	for (int i = 0; i < 4; i++)
		ret[12 + i] = (uint8_t)(address >> (24 - 8 * i));
}

/* Its last address is everybody's. */
static uint32_t hosts(const struct network *n)
{
	return (1u << (32 - n->subnet.prefix)) - FIRST_HOST - 1;
}

bool network_is_host(const struct network *n, uint32_t address)
{
	return address - n->subnet.address - FIRST_HOST < hosts(n);
}

void network_hosts_format(const struct network *n, char first[static IP4_TEXT_SIZE], char last[static IP4_TEXT_SIZE])
{
	format_ip4(first, n->subnet.address + FIRST_HOST);
	format_ip4(last, n->subnet.address + FIRST_HOST + hosts(n) - 1);
}

static bool ip4_ok(struct str s)
{
	uint32_t address;

	return !parse_ip4(s, &address);
}

static const struct json_field join_fields[] = {
	{ "name", JSON_TEXT, offsetof(struct join, name), .required = true, .ok = name_ok, .want = "the name of a network" },
	{ "ip", JSON_TEXT, offsetof(struct join, ip), .ok = ip4_ok, .want = "an IPv4 address such as 10.20.1.5" },
};
const struct json_table join_table = { join_fields, ARRAY_LEN(join_fields), sizeof(struct join), NULL };

static const struct network *network_of(const struct deployment *d, const struct join *j)
{
	const struct workload *w = deployment_workload(d, j->name);

	return w && w->kind == WORKLOAD_NETWORK ? &w->network : NULL;
}

/* Who has ADDRESS in the network NAME, by another entry than NOT_THIS; NULL = nobody. */
static const struct workload *holder(const struct deployment *d, const char *name, uint32_t address, const struct join *not_this)
{
	for (size_t w = 0; w < d->n_workloads; w++) {
		const struct joins *all = workload_joins(&d->workloads[w]);

		for (size_t i = 0; i < all->n; i++)
			if (&all->list[i] != not_this && all->list[i].address == address && !strcmp(all->list[i].name, name))
				return &d->workloads[w];
	}
	return NULL;
}

static int ip_check(const struct deployment *d, struct join *j, size_t at, size_t i, struct err *e)
{
	const struct network *n = network_of(d, j);
	const struct workload *other;
	struct network_device device;

	if (!j->ip)
		return 0;
	if (parse_ip4(str_c(j->ip), &j->address) || !network_is_host(n, j->address)) {
		char first[IP4_TEXT_SIZE], last[IP4_TEXT_SIZE];

		network_hosts_format(n, first, last);
		return err_set(e, -EBADMSG, "/workloads/%zu/data/networks/%zu/ip: %s is none of the addresses for machines in '%s', %s to %s", at, i,
			       j->ip, j->name, first, last);
	}
	if ((other = holder(d, j->name, j->address, j)))
		return err_set(e, -EBADMSG, "/workloads/%zu/data/networks/%zu/ip: %s is the address of '%s' in '%s'", at, i, j->ip, other->name,
			       j->name);
	if (network_device_at(n, j->address, &device))
		return err_set(e, -EBADMSG, "/workloads/%zu/data/networks/%zu/ip: %s is the address of the device '%s' in '%s'", at, i, j->ip,
			       device.name, j->name);
	return 0;
}

/* A machine could not tell two networks apart that have addresses in common. */
static int overlap_check(const struct deployment *d, const struct joins *all, size_t at, size_t i, struct err *e)
{
	const struct network *own = network_of(d, &all->list[i]);

	for (size_t k = 0; k < i; k++) {
		const struct network *n = network_of(d, &all->list[k]);

		if (!strcmp(all->list[k].name, all->list[i].name))
			return err_set(e, -EBADMSG, "/workloads/%zu/data/networks/%zu/name: '%s' stands twice in this machine", at, i,
				       all->list[i].name);
		if (range4_has(&own->range, &n->range) || range4_has(&n->range, &own->range) || range6_has(&own->range6, &n->range6) ||
		    range6_has(&n->range6, &own->range6))
			return err_set(e, -EBADMSG,
				       "/workloads/%zu/data/networks/%zu/name: the ranges of '%s' and '%s' overlap: a machine cannot be in both", at,
				       i, all->list[i].name, all->list[k].name);
	}
	return 0;
}

static struct joins *joins_of(struct workload *w)
{
	return (struct joins *)workload_joins(w);
}

int joins_check(struct deployment *d, size_t at, struct err *e)
{
	struct joins *all = joins_of(&d->workloads[at]);
	int r = 0;

	for (size_t i = 0; i < all->n && !r; i++) {
		if (!network_of(d, &all->list[i]))
			return err_set(e, -EBADMSG,
				       "/workloads/%zu/data/networks/%zu/name: this deployment has no network '%s': add one to its workloads", at, i,
				       all->list[i].name);
		if (!(r = overlap_check(d, all, at, i, e)))
			r = ip_check(d, &all->list[i], at, i, e);
	}
	return r;
}

/* Where its name leads it, and on from there: who comes later in the document moves nobody before it. */
static int number(const struct deployment *d, const char *machine, struct join *j)
{
	const struct network *n = network_of(d, j);
	struct network_device device;
	uint8_t sum[32];
	uint32_t start;

	BUG_ON(!EVP_Digest(machine, strlen(machine), sum, NULL, EVP_sha256(), NULL));
	start = (uint32_t)sum[0] << 24 | (uint32_t)sum[1] << 16 | (uint32_t)sum[2] << 8 | sum[3];
	for (uint32_t k = 0; k < hosts(n) && k <= DEPLOYMENT_WORKLOADS_MAX + NETWORK_ACCESS_MAX; k++) {
		uint32_t address = n->subnet.address + FIRST_HOST + (start % hosts(n) + k) % hosts(n);

		if (holder(d, j->name, address, j) || network_device_at(n, address, &device))
			continue;
		j->address = address;
		return 0;
	}
	return -ENOSPC;
}

int joins_number(struct deployment *d, struct err *e)
{
	for (size_t at = 0; at < d->n_workloads; at++) {
		struct joins *all = joins_of(&d->workloads[at]);

		for (size_t i = 0; i < all->n; i++)
			if (!all->list[i].ip && number(d, d->workloads[at].name, &all->list[i]))
				return err_set(
					e, -EBADMSG,
					"/workloads/%zu/data/networks/%zu: '%s' has no address left for this machine: give it a larger 'subnet'", at,
					i, all->list[i].name);
	}
	return 0;
}
