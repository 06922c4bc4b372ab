/* A network's devices: what its owner carries around, each with a WireGuard key and one address of the subnet, as a machine has. */
#include "api/workload.h"

#include <stdio.h>

/* As it stands in the document. */
struct row {
	const char *name, *key, *ip;
	sd_json_variant *preshared;
};

static bool ip_ok(struct str s)
{
	uint32_t address;

	return !parse_ip4(s, &address);
}

static const struct json_field row_fields[] = {
	{ "name", JSON_TEXT, offsetof(struct row, name), .required = true, .ok = name_ok, .want = "a name: a-z, 0-9 and -, at most 36 characters" },
	{ "key", JSON_TEXT, offsetof(struct row, key), .required = true, .ok = network_key_ok, .want = "a WireGuard public key, base64" },
	{ "ip", JSON_TEXT, offsetof(struct row, ip), .required = true, .ok = ip_ok, .want = "an IPv4 address such as 10.20.1.9" },
	{ "preshared", JSON_VALUE, offsetof(struct row, preshared), .table = &secret_value_table, .text_max = 64 },
};
const struct json_table network_access_table = { row_fields, ARRAY_LEN(row_fields), sizeof(struct row), NULL };

size_t network_n_devices(const struct network *n)
{
	return n->access ? sd_json_variant_elements(n->access) : 0;
}

void network_device(const struct network *n, size_t i, struct network_device *ret)
{
	struct row row = { 0 };
	struct err e;

	*ret = (struct network_device){ 0 };
	BUG_ON(json_decode(sd_json_variant_by_index(n->access, i), &network_access_table, &row, &e) ||
	       !network_key_decode(str_c(row.key), ret->public_key) || parse_ip4(str_c(row.ip), &ret->address));
	ret->name = row.name;
	ret->secret = row.preshared ? secret_ref(row.preshared) : NULL;
}

bool network_device_at(const struct network *n, uint32_t address, struct network_device *ret)
{
	for (size_t i = 0; i < network_n_devices(n); i++) {
		network_device(n, i, ret);
		if (ret->address == address)
			return true;
	}
	return false;
}

/* PATH: of the device P; K: of the one before it. */
static int pair_check(const struct network_device *p, const struct network_device *before, size_t k, const char *path, struct err *e)
{
	const char *twice = !strcmp(p->name, before->name)                                      ? "name"
			    : !memcmp(p->public_key, before->public_key, sizeof(p->public_key)) ? "key"
			    : p->address == before->address                                     ? "ip"
												: NULL;

	return twice ? err_set(e, -EBADMSG, "%s/%s: stands in access/%zu, too", path, twice, k) : 0;
}

static int peers_apart(const struct network *n, const struct network_device *p, const char *path, struct err *e)
{
	for (size_t k = 0; k < network_n_peers(n); k++) {
		struct network_peer peer;

		network_peer(n, k, &peer);
		if (!peer.node.role && !memcmp(peer.public_key, p->public_key, sizeof(p->public_key)))
			return err_set(e, -EBADMSG, "%s/key: stands in peers/%zu, too", path, k);
	}
	return 0;
}

static int device_check(const struct network *n, size_t at, size_t i, struct err *e)
{
	struct network_device p, before;
	struct row row = { 0 };
	char path[64], first[IP4_TEXT_SIZE], last[IP4_TEXT_SIZE];
	int r;

	snprintf(path, sizeof(path), "/workloads/%zu/data/access/%zu", at, i);
	if ((r = json_decode(sd_json_variant_by_index(n->access, i), &network_access_table, &row, e)))
		return r;
	network_device(n, i, &p);
	if (row.preshared && !p.secret)
		return err_set(e, -EBADMSG, "%s/preshared: a key in clear has no place in a deployment: write {\"secret\": NAME}", path);
	if (!network_is_host(n, p.address)) {
		network_hosts_format(n, first, last);
		return err_set(e, -EBADMSG, "%s/ip: %s is none of the addresses for machines and devices, %s to %s", path, row.ip, first, last);
	}
	for (size_t k = 0; k < i; k++) {
		network_device(n, k, &before);
		if ((r = pair_check(&p, &before, k, path, e)))
			return r;
	}
	return peers_apart(n, &p, path, e);
}

int network_access_check(const struct deployment *d, size_t at, struct err *e)
{
	const struct network *n = &d->workloads[at].network;
	int r = 0;

	for (size_t i = 0; i < network_n_devices(n) && !r; i++)
		r = device_check(n, at, i, e);
	return r;
}
