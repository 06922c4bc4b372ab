#include "cli/access.h"

#include "base/endpoint.h"
#include "base/file.h"
#include "base/parse.h"
#include "cli/command.h"
#include "ident/seal.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/socket.h>

enum { FIRST_HOST = 2 }; /* behind the subnet's own address and the gateway */

static int key_format(const uint8_t key[static NETWORK_KEY_LEN], char ret[static ACCESS_KEY_TEXT_SIZE])
{
	AUTO_SECRET struct buf text = { 0 };

	format_base64(&text, key, NETWORK_KEY_LEN);
	if (buf_check(&text) || text.len >= ACCESS_KEY_TEXT_SIZE)
		return -ENOMEM;
	memcpy(ret, text.p, text.len + 1);
	return 0;
}

static int pair_make(struct access_device *d)
{
	uint8_t private[NETWORK_KEY_LEN], public[NETWORK_KEY_LEN];
	size_t n = sizeof(public);
	EVP_PKEY *key;
	int r = -EIO;

	random_bytes(private, sizeof(private));
	private[0] &= 248; /* as RFC 7748 wants it, so that every program shows the same text */
	private[31] = (uint8_t)((private[31] & 127) | 64);
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private, sizeof(private));
	if (key && EVP_PKEY_get_raw_public_key(key, public, &n) == 1 && n == sizeof(public) && !(r = key_format(private, d->private_key)))
		r = key_format(public, d->public_key);
	EVP_PKEY_free(key);
	OPENSSL_cleanse(private, sizeof(private));
	return r;
}

int access_keys_make(struct access_device *d, struct err *e)
{
	uint8_t preshared[NETWORK_KEY_LEN];
	int r = pair_make(d);

	random_bytes(preshared, sizeof(preshared));
	if (!r)
		r = key_format(preshared, d->preshared);
	OPENSSL_cleanse(preshared, sizeof(preshared));
	snprintf(d->secret, sizeof(d->secret), "psk-%016" PRIx64, random_u64());
	return r ? err_set(e, r, "make the device's keys: %s", strerror(-r)) : 0;
}

void access_wipe(struct access_device *d)
{
	OPENSSL_cleanse(d, sizeof(*d));
}

/* Whether one of LIST has ADDRESS as its first of `ip`. */
static bool has_address(sd_json_variant *list, const char *address)
{
	for (size_t i = 0; sd_json_variant_is_array(list) && i < sd_json_variant_elements(list); i++) {
		sd_json_variant *ips = sd_json_variant_by_key(sd_json_variant_by_index(list, i), "ip");
		sd_json_variant *first = sd_json_variant_is_array(ips) && sd_json_variant_elements(ips) ? sd_json_variant_by_index(ips, 0) : NULL;

		if (sd_json_variant_is_string(first) && !strcmp(sd_json_variant_string(first), address))
			return true;
	}
	return false;
}

static bool is_peers(sd_json_variant *network, const char *address)
{
	sd_json_variant *list = sd_json_variant_by_key(network, "peers");
	char subnet[IP4_TEXT_SIZE + 3];

	snprintf(subnet, sizeof(subnet), "%s/32", address);
	for (size_t i = 0; sd_json_variant_is_array(list) && i < sd_json_variant_elements(list); i++)
		if (!strcmp(out_text(sd_json_variant_by_index(list, i), "subnet", ""), subnet))
			return true;
	return false;
}

/* From the end: machines whose addresses follow from their names are anywhere, and those that people choose are mostly low. */
int access_ip_choose(sd_json_variant *network, struct access_device *d, struct err *e)
{
	struct range4 subnet;

	if (parse_range4(str_c(out_text(network, "subnet", "")), &subnet) || subnet.prefix < NETWORK_PREFIX_MIN || subnet.prefix > NETWORK_PREFIX_MAX)
		return err_set(e, -EBADMSG, "the node does not say which addresses '%s' has: is it of a version before this?", d->network);
	for (uint32_t last = (1u << (32 - subnet.prefix)) - 2; last >= FIRST_HOST; last--) {
		format_ip4(d->ip, subnet.address + last);
		if (!has_address(sd_json_variant_by_key(network, "machines"), d->ip) && !is_peers(network, d->ip))
			return 0;
	}
	return err_set(e, -ENOSPC, "all addresses of '%s' are taken: give it a larger 'subnet'", d->network);
}

/* Calls CHANGE with the `access` of the network NAME in DOC, which may be NULL, and puts back what that leaves there. */
static int access_change(sd_json_variant **doc, const char *name, int (*change)(sd_json_variant **access, void *ctx, struct err *e), void *ctx,
			 struct err *e)
{
	AUTO_JSON sd_json_variant *list = NULL;
	sd_json_variant *all = sd_json_variant_by_key(*doc, "workloads");
	bool found = false;

	BUG_ON(sd_json_variant_new_array(&list, NULL, 0) < 0);
	for (size_t i = 0; sd_json_variant_is_array(all) && i < sd_json_variant_elements(all); i++) {
		AUTO_JSON sd_json_variant *one = sd_json_variant_ref(sd_json_variant_by_index(all, i)), *data = NULL, *access = NULL;

		if (!strcmp(out_text(one, "name", ""), name) && !strcmp(out_text(one, "type", ""), "network")) {
			int r;

			data = sd_json_variant_ref(sd_json_variant_by_key(one, "data"));
			access = sd_json_variant_ref(sd_json_variant_by_key(data, "access"));
			found = true;
			if ((r = change(&access, ctx, e)))
				return r;
			BUG_ON(sd_json_variant_set_field(&data, "access", access) < 0 || sd_json_variant_set_field(&one, "data", data) < 0);
		}
		BUG_ON(sd_json_variant_append_array(&list, one) < 0);
	}
	if (!found)
		return err_set(e, -ENOENT, "there is no network '%s' in this deployment: 'zos network list' lists what is", name);
	BUG_ON(sd_json_variant_set_field(doc, "workloads", list) < 0);
	return 0;
}

static int row_add(sd_json_variant **access, void *ctx, struct err *e)
{
	const struct access_device *d = ctx;

	for (size_t i = 0; sd_json_variant_is_array(*access) && i < sd_json_variant_elements(*access); i++)
		if (!strcmp(out_text(sd_json_variant_by_index(*access, i), "name", ""), d->name))
			return err_set(e, -EEXIST, "'%s' is in '%s' already: 'zos network leave' takes it out", d->name, d->network);
	BUG_ON(sd_json_variant_append_arraybo(access, SD_JSON_BUILD_PAIR_STRING("name", d->name), SD_JSON_BUILD_PAIR_STRING("key", d->public_key),
					      SD_JSON_BUILD_PAIR_STRING("ip", d->ip),
					      SD_JSON_BUILD_PAIR("preshared", SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("secret", d->secret)))) <
	       0);
	return 0;
}

int access_add(sd_json_variant **doc, const struct access_device *d, struct err *e)
{
	AUTO_JSON sd_json_variant *secrets = sd_json_variant_ref(sd_json_variant_by_key(*doc, "secrets")), *source = NULL;
	int r = access_change(doc, d->network, row_add, (void *)d, e);

	if (r)
		return r;
	BUG_ON(sd_json_buildo(&source, SD_JSON_BUILD_PAIR_STRING("env", ACCESS_SECRET_ENV)) < 0 ||
	       sd_json_variant_set_field(&secrets, d->secret, source) < 0 || sd_json_variant_set_field(doc, "secrets", secrets) < 0);
	return 0;
}

struct removal {
	const char *network, *name;
	char secret[64]; /* "" = it had none */
};

static int row_remove(sd_json_variant **access, void *ctx, struct err *e)
{
	AUTO_JSON sd_json_variant *rest = NULL;
	struct removal *m = ctx;
	bool found = false;

	BUG_ON(sd_json_variant_new_array(&rest, NULL, 0) < 0);
	for (size_t i = 0; sd_json_variant_is_array(*access) && i < sd_json_variant_elements(*access); i++) {
		sd_json_variant *one = sd_json_variant_by_index(*access, i);

		if (strcmp(out_text(one, "name", ""), m->name)) {
			BUG_ON(sd_json_variant_append_array(&rest, one) < 0);
			continue;
		}
		found = true;
		snprintf(m->secret, sizeof(m->secret), "%s", out_text(sd_json_variant_by_key(one, "preshared"), "secret", ""));
	}
	if (!found)
		return err_set(e, -ENOENT, "there is no device '%s' in '%s': 'zos network paths' lists what is", m->name, m->network);
	sd_json_variant_unref(*access);
	*access = take_ptr(rest);
	return 0;
}

/* Without the key NAME. */
static void field_drop(sd_json_variant **object, const char *name)
{
	AUTO_JSON sd_json_variant *rest = NULL;

	BUG_ON(sd_json_variant_new_object(&rest, NULL, 0) < 0);
	for (size_t i = 0; sd_json_variant_is_object(*object) && i + 1 < sd_json_variant_elements(*object); i += 2) {
		const char *key = sd_json_variant_string(sd_json_variant_by_index(*object, i));

		if (strcmp(key, name))
			BUG_ON(sd_json_variant_set_field(&rest, key, sd_json_variant_by_index(*object, i + 1)) < 0);
	}
	sd_json_variant_unref(*object);
	*object = take_ptr(rest);
}

int access_remove(sd_json_variant **doc, const char *network, const char *name, struct err *e)
{
	AUTO_JSON sd_json_variant *secrets = sd_json_variant_ref(sd_json_variant_by_key(*doc, "secrets"));
	struct removal m = { .network = network, .name = name };
	int r = access_change(doc, network, row_remove, &m, e);

	if (r || !m.secret[0])
		return r;
	field_drop(&secrets, m.secret);
	BUG_ON(sd_json_variant_set_field(doc, "secrets", secrets) < 0);
	return 0;
}

/* How far it is reached: IPv4 from everywhere, IPv6 from where that is spoken, the addresses of RFC 1918, 6598, 4193 and 3879 from the same place. */
enum distance { REACH_NOWHERE, REACH_PLACE, REACH_6, REACH_4 };

static enum distance reach_of(const struct endpoint *at)
{
	static const struct range4 private4[] = { { 0x0a000000, 8 }, { 0xac100000, 12 }, { 0xc0a80000, 16 }, { 0x64400000, 10 } };
	const uint8_t *a = at->address;
	const struct range4 one = { (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3], 32 };

	if (at->family == AF_INET6)
		return (a[0] & 0xfe) == 0xfc || (a[0] == 0xfe && (a[1] & 0xc0) == 0xc0) ? REACH_PLACE : REACH_6;
	for (size_t i = 0; i < ARRAY_LEN(private4); i++)
		if (range4_has(&private4[i], &one))
			return REACH_PLACE;
	return REACH_4;
}

static const char *endpoint_choose(sd_json_variant *list)
{
	enum distance best = REACH_NOWHERE;
	const char *ret = NULL;

	for (size_t i = 0; sd_json_variant_is_array(list) && i < sd_json_variant_elements(list); i++) {
		sd_json_variant *one = sd_json_variant_by_index(list, i);
		struct endpoint at;

		if (!sd_json_variant_is_string(one) || endpoint_parse(str_c(sd_json_variant_string(one)), &at) || reach_of(&at) <= best)
			continue;
		best = reach_of(&at);
		ret = sd_json_variant_string(one);
	}
	return ret;
}

/* The device's IPv6 address, as peers list it. */
static const char *address6_of(sd_json_variant *network, const char *name)
{
	sd_json_variant *list = sd_json_variant_by_key(network, "peers");

	for (size_t i = 0; sd_json_variant_is_array(list) && i < sd_json_variant_elements(list); i++)
		if (!strcmp(out_text(sd_json_variant_by_index(list, i), "device", ""), name))
			return out_text(sd_json_variant_by_index(list, i), "subnet6", NULL);
	return NULL;
}

static const char *gateway_of(sd_json_variant *network)
{
	sd_json_variant *both = sd_json_variant_by_key(network, "gateway");
	sd_json_variant *first = sd_json_variant_is_array(both) && sd_json_variant_elements(both) ? sd_json_variant_by_index(both, 0) : NULL;

	return sd_json_variant_is_string(first) ? sd_json_variant_string(first) : NULL;
}

/* It becomes a line of the configuration. */
bool access_is_endpoint(const char *text)
{
	const char *colon = strrchr(text, ':');
	uint64_t port;

	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p == '#' || *p == 0x7f)
			return false;
	return colon && colon > text && !parse_u64(str_c(colon + 1), UINT16_MAX, &port) && port;
}

int access_format(sd_json_variant *network, const struct access_device *d, const char *endpoint, struct buf *ret, struct err *e)
{
	const char *key = out_text(network, "public_key", NULL), *range = out_text(network, "range", NULL),
		   *range6 = out_text(network, "range6", NULL);
	const char *address6 = address6_of(network, d->name), *gateway = gateway_of(network);
	const char *at = endpoint ? endpoint : endpoint_choose(sd_json_variant_by_key(network, "endpoint"));

	if (endpoint && !access_is_endpoint(endpoint))
		return err_set(e, -EINVAL, "'%s' is no place for a device to reach: write HOST:PORT", endpoint);
	if (!key || !range || !range6 || !address6 || !gateway)
		return err_set(e, -EAGAIN, "the node does not say yet how '%s' is reached: look with 'zos network paths'", d->network);
	if (!at)
		return err_set(e, -EAGAIN, "the node has no address at which '%s' could be reached: name one with --endpoint", d->network);
	buf_addf(ret,
		 "[Interface]\n"
		 "PrivateKey = %s\n"
		 "Address = %s/32, %s\n"
		 "# Names of machines (web.%s.internal): without the # all names are asked there%s.\n"
		 "# DNS = %s, %s.internal\n\n"
		 "[Peer]\n"
		 "PublicKey = %s\n"
		 "PresharedKey = %s\n"
		 "AllowedIPs = %s, %s\n"
		 "Endpoint = %s\n"
		 "PersistentKeepalive = 25\n",
		 d->private_key, d->ip, address6, d->network, out_true(network, "outgoing") ? "" : ", and it knows no others", gateway, d->network,
		 key, d->preshared, range, range6, at);
	return buf_check(ret) ? err_set(e, -ENOMEM, "write the device's configuration: out of memory") : 0;
}
