#include "api/meet.h"

#include "base/parse.h"

#include <stdio.h>

static bool key_ok(struct str s)
{
	AUTO_BUF struct buf raw = { 0 };
	uint8_t any = 0;

	if (parse_base64(s, &raw) || buf_check(&raw) || raw.len != MEET_KEY_LEN)
		return false;
	for (size_t i = 0; i < raw.len; i++)
		any |= (uint8_t)raw.p[i];
	return any;
}

bool meet_network_ok(struct str network)
{
	struct str rest = network, deployment;

	return str_next(&rest, '/', &deployment) && rest.p && name_ok(deployment) && name_ok(rest);
}

#define MEET_FIELDS(T, at)                                                                                               \
	{ "owner", JSON_KEY, offsetof(T, at owner), .required = true }, { "network",                                     \
									  JSON_TEXT,                                     \
									  offsetof(T, at network),                       \
									  .required = true,                              \
									  .ok = meet_network_ok,                         \
									  .want = "a network, as deployment/workload" }, \
		{ "sequence", JSON_U64, offsetof(T, at sequence), .required = true, .min = 1, .max = INT64_MAX },        \
		{ "public_key",                                                                                          \
		  JSON_TEXT,                                                                                             \
		  offsetof(T, at public_key),                                                                            \
		  .required = true,                                                                                      \
		  .min = MEET_KEY_TEXT_LEN,                                                                              \
		  .max = MEET_KEY_TEXT_LEN,                                                                              \
		  .ok = key_ok,                                                                                          \
		  .want = "a WireGuard public key, base64" },                                                            \
		{ "port", JSON_U64, offsetof(T, at port), .required = true, .max = UINT16_MAX },                         \
		{ "endpoints", JSON_TEXTS, offsetof(T, at endpoints), .required = true, .max = MEET_ENDPOINTS_MAX },     \
	{                                                                                                                \
		"approval", JSON_ANY, offsetof(T, at approval), .required = true                                         \
	}

static const struct json_field args_fields[] = { MEET_FIELDS(struct meet_args, ) };
const struct json_table meet_table = { args_fields, ARRAY_LEN(args_fields), 0, NULL };

static bool nonce_ok(struct str s)
{
	uint8_t bytes[ORDER_NONCE_LEN / 2];

	return !parse_hex(s, bytes, sizeof(bytes));
}

static const struct json_field meeting_fields[] = {
	MEET_FIELDS(struct meeting, args.),
	{ "node", JSON_KEY, offsetof(struct meeting, node), .required = true },
	{ "peer", JSON_KEY, offsetof(struct meeting, peer), .required = true },
	{ "nonce", JSON_TEXT, offsetof(struct meeting, nonce), .required = true, .ok = nonce_ok, .want = "hexadecimal" },
	{ "expires", JSON_TIME, offsetof(struct meeting, expires_s), .required = true },
};
static const struct json_table meeting_table = { meeting_fields, ARRAY_LEN(meeting_fields), 0, NULL };

int meet_end_decode(const struct meet_args *args, struct meet_end *ret, struct err *e)
{
	struct meet_end end = { .port = (uint16_t)args->port, .n_endpoints = sd_json_variant_elements(args->endpoints) };
	AUTO_BUF struct buf key = { 0 };

	if (parse_base64(str_c(args->public_key), &key) || buf_check(&key) || key.len != sizeof(end.public_key))
		return err_set(e, -EBADMSG, "/public_key: must be a WireGuard public key, base64");
	memcpy(end.public_key, key.p, sizeof(end.public_key));
	for (size_t i = 0; i < end.n_endpoints; i++) {
		const char *text = sd_json_variant_string(sd_json_variant_by_index(args->endpoints, i));

		if (endpoint_parse(str_c(text), &end.endpoints[i]))
			return err_set(e, -EBADMSG, "/endpoints/%zu: '%.60s' is not an address and a port as 192.0.2.1:51820 or [2001:db8::1]:51820",
				       i, text);
		if (!endpoint_is_far(&end.endpoints[i]))
			return err_set(e, -EBADMSG, "/endpoints/%zu: '%.60s' is nowhere that another machine can be", i, text);
	}
	*ret = end;
	return 0;
}

int meet_approval_check(sd_json_variant *approval, const struct key_pub *farm, const struct key_pub *node, struct err *e)
{
	CLEANUP(approval_deinit) struct approval a = { 0 };
	char text[KEY_TEXT_SIZE];
	struct err why = { 0 };
	int r = approval_open(approval, &a, &why);

	key_pub_format(text, node);
	if (r)
		return err_set(e, -EACCES, "the approval of node %s does not hold: %s", text, why.msg);
	if (!key_pub_eq(&a.node, node))
		return err_set(e, -EACCES, "the approval that node %s shows is another node's", text);
	if (!key_pub_eq(&a.farm, farm))
		return err_set(e, -EACCES, "node %s belongs to another farm", text);
	return 0;
}

static int endpoints_build(const struct meet_end *own, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < own->n_endpoints; i++) {
		AUTO_JSON sd_json_variant *one = NULL;
		char text[ENDPOINT_TEXT_SIZE];

		endpoint_format(text, &own->endpoints[i]);
		r = sd_json_variant_new_string(&one, text);
		if (r >= 0)
			r = sd_json_variant_append_array(ret, one);
	}
	return r;
}

int meet_args_build(const struct meet_about *about, const struct meet_end *own, sd_json_variant *approval, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *endpoints = NULL;
	AUTO_BUF struct buf key = { 0 };
	char owner[KEY_TEXT_SIZE];
	int r = endpoints_build(own, &endpoints);

	key_pub_format(owner, about->owner);
	format_base64(&key, own->public_key, sizeof(own->public_key));
	if (r < 0 || buf_check(&key))
		return r < 0 ? r : -ENOMEM;
	r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("owner", owner), SD_JSON_BUILD_PAIR_STRING("network", about->network),
			   SD_JSON_BUILD_PAIR_UNSIGNED("sequence", about->sequence), SD_JSON_BUILD_PAIR_STRING("public_key", key.p),
			   SD_JSON_BUILD_PAIR_UNSIGNED("port", own->port), SD_JSON_BUILD_PAIR_VARIANT("endpoints", endpoints),
			   SD_JSON_BUILD_PAIR_VARIANT("approval", approval));
	return r < 0 ? r : 0;
}

int meeting_sign(const struct key *node, const struct order *order, const struct meet_about *about, const struct meet_end *own,
		 sd_json_variant *approval, struct buf *ret)
{
	AUTO_JSON sd_json_variant *body = NULL;
	AUTO_BUF struct buf text = { 0 };
	char node_text[KEY_TEXT_SIZE], peer[KEY_TEXT_SIZE], expires[24];
	int r = meet_args_build(about, own, approval, &body);

	key_pub_format(node_text, &node->pub);
	key_pub_format(peer, &order->caller);
	format_time(expires, order->expires_s);
	if (!r)
		r = sd_json_variant_set_field_string(&body, "node", node_text);
	if (r >= 0)
		r = sd_json_variant_set_field_string(&body, "peer", peer);
	if (r >= 0)
		r = sd_json_variant_set_field_string(&body, "nonce", order->nonce);
	if (r >= 0)
		r = sd_json_variant_set_field_string(&body, "expires", expires);
	if (r < 0 || (r = json_format(body, &text)))
		return r;
	return dsse_sign(API_TYPE_MEETING, buf_str(&text), node, 1, ret);
}

static bool is_about(const struct meeting *m, const struct meeting_want *want)
{
	return key_pub_eq(&m->node, want->node) && key_pub_eq(&m->peer, want->peer) && !strcmp(m->nonce, want->nonce) &&
	       key_pub_eq(&m->args.owner, want->about.owner) && !strcmp(m->args.network, want->about.network) &&
	       m->args.sequence == want->about.sequence;
}

int meeting_open(sd_json_variant *envelope, const struct meeting_want *want, int64_t now_s, struct meeting *ret, struct err *e)
{
	int r;

	*ret = (struct meeting){ 0 };
	if ((r = doc_open(envelope, API_TYPE_MEETING, &ret->doc, e)) || (r = json_decode(ret->doc.body, &meeting_table, ret, e)))
		return err_wrap(e, r, "answer to a meeting");
	if ((r = doc_signed_by_only(&ret->doc, want->node, "the answer to a meeting", e)))
		return r;
	if (!is_about(ret, want))
		return err_set(e, -EXDEV, "the answer to a meeting answers another one");
	if ((r = doc_lives(ret->expires_s, now_s, "the answer to a meeting", e)) ||
	    (r = meet_approval_check(ret->args.approval, want->farm, want->node, e)))
		return r;
	return meet_end_decode(&ret->args, &ret->end, e);
}

void meeting_deinit(struct meeting *m)
{
	doc_deinit(&m->doc);
}

static uint8_t *put_key(uint8_t *at, const struct key_pub *k)
{
	*at++ = (uint8_t)k->role;
	memcpy(at, k->bytes, sizeof(k->bytes));
	return at + sizeof(k->bytes);
}

size_t meet_context(const struct key_pub *dialler, const struct key_pub *listener, const struct meet_about *about,
		    uint8_t ret[static MEET_CONTEXT_MAX])
{
	size_t n = strlen(about->network);
	uint8_t *at = ret;

	BUG_ON(n > MEET_NETWORK_MAX);
	at = put_key(at, dialler);
	at = put_key(at, listener);
	at = put_key(at, about->owner);
	for (unsigned i = 0; i < 8; i++)
		*at++ = (uint8_t)(about->sequence >> 8 * i);
	*at++ = (uint8_t)n;
	memcpy(at, about->network, n);
	return (size_t)(at - ret) + n;
}
