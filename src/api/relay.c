#include "api/relay.h"

#include "api/deployment.h"
#include "base/parse.h"

static bool key_ok(struct str s)
{
	uint8_t key[NETWORK_KEY_LEN];

	return network_key_decode(s, key);
}

#define KEY_FIELD(field)                      \
	{ #field,                             \
	  JSON_TEXT,                          \
	  offsetof(struct relay_args, field), \
	  .required = true,                   \
	  .min = MEET_KEY_TEXT_LEN,           \
	  .max = MEET_KEY_TEXT_LEN,           \
	  .ok = key_ok,                       \
	  .want = "a WireGuard public key, base64" }
static const struct json_field args_fields[] = {
	KEY_FIELD(public_key),
	KEY_FIELD(peer_key),
	{ "peer", JSON_KEY, offsetof(struct relay_args, peer), .required = true },
	{ "approval", JSON_ANY, offsetof(struct relay_args, approval), .required = true },
};
const struct json_table relay_table = { args_fields, ARRAY_LEN(args_fields), 0, NULL };

int relay_ends_decode(const struct relay_args *args, const struct key_pub *signer, struct relay_ends *ret, struct err *e)
{
	struct relay_ends ends;

	BUG_ON(!network_key_decode(str_c(args->public_key), ends.public_key) || !network_key_decode(str_c(args->peer_key), ends.peer_key));
	if (args->peer.role != KEY_NODE)
		return err_set(e, -EBADMSG, "/peer: must be a node's key (N...)");
	if (key_pub_eq(&args->peer, signer))
		return err_set(e, -EBADMSG, "/peer: is the node that asks: a relay leads to another");
	if (!memcmp(ends.public_key, ends.peer_key, sizeof(ends.public_key)))
		return err_set(e, -EBADMSG, "/peer_key: is the key of the end that asks: a relay leads to another");
	*ret = ends;
	return 0;
}

int relay_args_build(const struct relay_ends *ends, const struct key_pub *peer, sd_json_variant *approval, sd_json_variant **ret)
{
	AUTO_BUF struct buf own = { 0 }, other = { 0 };
	char node[KEY_TEXT_SIZE];
	int r;

	format_base64(&own, ends->public_key, sizeof(ends->public_key));
	format_base64(&other, ends->peer_key, sizeof(ends->peer_key));
	if (buf_check(&own) || buf_check(&other))
		return -ENOMEM;
	key_pub_format(node, peer);
	r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("public_key", own.p), SD_JSON_BUILD_PAIR_STRING("peer_key", other.p),
			   SD_JSON_BUILD_PAIR_STRING("peer", node), SD_JSON_BUILD_PAIR_VARIANT("approval", approval));
	return r < 0 ? r : 0;
}

struct answer {
	uint64_t port;
};
static const struct json_field answer_fields[] = {
	{ "port", JSON_U64, offsetof(struct answer, port), .required = true, .min = RELAY_PORT_BASE, .max = RELAY_PORT_BASE + RELAY_PORTS - 1 },
};
static const struct json_table answer_table = { answer_fields, ARRAY_LEN(answer_fields), sizeof(struct answer), NULL };

int relay_answer_decode(sd_json_variant *v, uint16_t *ret, struct err *e)
{
	struct answer a = { 0 };
	int r = json_decode(v, &answer_table, &a, e);

	if (!r)
		*ret = (uint16_t)a.port;
	return r;
}
