/* The relays of a farm: which of its nodes pass on what others of them cannot send each other, and where they are reached. */
#include "api/workload.h"

#include "base/parse.h"

#include <arpa/inet.h>

static bool at_read(struct str s, int family, struct endpoint *ret)
{
	struct endpoint at = { .family = family, .port = 1 };
	uint32_t v4 = 0;

	if (family == AF_INET ? parse_ip4(s, &v4) : parse_ip6(s, at.address))
		return false;
	v4 = htonl(v4);
	if (family == AF_INET)
		memcpy(at.address, &v4, sizeof(v4));
	if (!endpoint_is_far(&at))
		return false;
	*ret = at;
	return true;
}

static bool ip4_ok(struct str s)
{
	struct endpoint at;

	return at_read(s, AF_INET, &at);
}

static bool ip6_ok(struct str s)
{
	struct endpoint at;

	return at_read(s, AF_INET6, &at);
}

static const struct json_field fields[] = {
	{ "node", JSON_KEY, offsetof(struct farm_relay, node), .required = true },
	{ "address", JSON_TEXT, offsetof(struct farm_relay, address), .ok = ip4_ok,
	  .want = "an IPv4 address that others reach, such as 198.51.100.7" },
	{ "address6", JSON_TEXT, offsetof(struct farm_relay, address6), .ok = ip6_ok,
	  .want = "an IPv6 address that others reach, such as 2001:db8::7" },
};
const struct json_table farm_relay_table = { fields, ARRAY_LEN(fields), sizeof(struct farm_relay), NULL };

const struct farm_relay *farm_relay_find(const struct farm *f, const struct key_pub *node)
{
	for (size_t i = 0; i < f->n_relays; i++)
		if (key_pub_eq(&f->relays[i].node, node))
			return &f->relays[i];
	return NULL;
}

int farm_relays_check(const struct farm *f, struct err *e)
{
	for (size_t i = 0; i < f->n_relays; i++) {
		const struct farm_relay *r = &f->relays[i];

		if (r->node.role != KEY_NODE)
			return err_set(e, -EBADMSG, "/relays/%zu/node: must be a node's key (N...)", i);
		if (!r->address && !r->address6)
			return err_set(e, -EBADMSG,
				       "/relays/%zu/address: is missing, and so is 'address6': a relay is reached at one of them, or both", i);
		if (farm_relay_find(f, &r->node) != r)
			return err_set(e, -EBADMSG, "/relays/%zu/node: stands there twice", i);
	}
	return 0;
}

struct endpoint farm_relay_at(const struct farm_relay *r, int family, uint16_t port)
{
	const char *text = family == AF_INET ? r->address : r->address6;
	struct endpoint at = { 0 };

	if (text && at_read(str_c(text), family, &at))
		at.port = port;
	return at;
}
