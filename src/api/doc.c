#include "api/doc.h"

#include "api/recovery.h"
#include "api/workload.h"
#include "base/file.h"
#include "base/parse.h"

#include <ctype.h>
#include <stdio.h>

void doc_deinit(struct doc *d)
{
	json_unrefp(&d->body);
	dsse_deinit(&d->envelope);
}

/* Signatures first, then JSON: nothing unsigned reaches the parser's output. */
static int doc_body(struct doc *d, const char *type, struct err *e)
{
	int r = dsse_verify(&d->envelope, type, e);

	return r ? r : json_parse(buf_str(&d->envelope.payload), &d->body, e);
}

int doc_open(sd_json_variant *envelope, const char *type, struct doc *ret, struct err *e)
{
	int r = dsse_decode(envelope, &ret->envelope, e);

	return r ? r : doc_body(ret, type, e);
}

static int doc_open_text(struct str envelope, const char *type, struct doc *ret, struct err *e)
{
	int r = dsse_decode_text(envelope, &ret->envelope, e);

	return r ? r : doc_body(ret, type, e);
}

int doc_signed_by_only(const struct doc *d, const struct key_pub *k, const char *what, struct err *e)
{
	char text[KEY_TEXT_SIZE];

	if (d->envelope.n_signatures == 1 && dsse_is_signed_by(&d->envelope, k))
		return 0;
	key_pub_format(text, k);
	return err_set(e, -EKEYREJECTED, "%s must be signed by %s and nobody else", what, text);
}

/* Signs BODY (taken over as text) and appends the envelope. */
static int doc_sign(const char *type, sd_json_variant *body, const struct key *k, struct buf *ret)
{
	AUTO_BUF struct buf text = { 0 };
	int r = json_format(body, &text);

	return r ? r : dsse_sign(type, buf_str(&text), k, 1, ret);
}

static bool hex_ok(struct str s)
{
	uint8_t bytes[64];

	return s.n <= 128 && !(s.n % 2) && !parse_hex(s, bytes, s.n / 2);
}

#define HEX(T, field, digits) \
	{ #field, JSON_TEXT, offsetof(T, field), .required = true, .min = (digits), .max = (digits), .ok = hex_ok, .want = "hexadecimal" }

int doc_lives(int64_t expires_s, int64_t now_s, const char *what, struct err *e)
{
	char text[24], now[24];

	format_time(text, expires_s);
	format_time(now, now_s);
	if (expires_s + CLOCK_SLACK_S < now_s)
		return err_set(e, -ETIME, "%s expired at %s and it is %s here: look at both clocks", what, text, now);
	if (expires_s > now_s + ORDER_LIFE_MAX_S + CLOCK_SLACK_S)
		return err_set(e, -ETIME, "%s would live until %s and it is %s here: %d s is the longest, so look at both clocks", what, text, now,
			       ORDER_LIFE_MAX_S);
	return 0;
}

static int for_node(const struct key_pub *meant, const struct key_pub *node, const char *what, struct err *e)
{
	char a[KEY_TEXT_SIZE], b[KEY_TEXT_SIZE];

	if (key_pub_eq(meant, node))
		return 0;
	key_pub_format(a, meant);
	key_pub_format(b, node);
	return err_set(e, -EXDEV, "%s is meant for node %s and this is %s", what, a, b);
}

static const struct json_field order_fields[] = {
	{ "method", JSON_TEXT, offsetof(struct order, method), .required = true, .min = 1, .max = 80 },
	{ "arguments", JSON_ANY, offsetof(struct order, arguments), .required = true },
	{ "node", JSON_KEY, offsetof(struct order, node), .required = true },
	{ "expires", JSON_TIME, offsetof(struct order, expires_s), .required = true },
	HEX(struct order, nonce, ORDER_NONCE_LEN),
};
static const struct json_table order_table = { order_fields, ARRAY_LEN(order_fields), 0, NULL };

int order_open(sd_json_variant *envelope, const struct key_pub *node, int64_t now_s, struct order *ret, struct err *e)
{
	int r;

	*ret = (struct order){ 0 };
	if ((r = doc_open(envelope, API_TYPE_ORDER, &ret->doc, e)))
		return err_wrap(e, r, "order");
	if (ret->doc.envelope.n_signatures != 1)
		return err_set(e, -EKEYREJECTED, "an order carries one signature, its caller's");
	if ((r = json_decode(ret->doc.body, &order_table, ret, e)))
		return err_wrap(e, r, "order");
	ret->caller = ret->doc.envelope.signatures[0].by;
	if ((r = for_node(&ret->node, node, "the order", e)))
		return r;
	return doc_lives(ret->expires_s, now_s, "the order", e);
}

void order_deinit(struct order *o)
{
	doc_deinit(&o->doc);
}

int order_sign(const struct key *caller, const struct key_pub *node, const char *method, sd_json_variant *arguments, int64_t expires_s,
	       struct buf *ret)
{
	AUTO_JSON sd_json_variant *body = NULL;
	AUTO_BUF struct buf nonce = { 0 };
	uint8_t random[ORDER_NONCE_LEN / 2];
	char node_text[KEY_TEXT_SIZE], expires[24];
	int r;

	random_bytes(random, sizeof(random));
	format_hex(&nonce, random, sizeof(random));
	key_pub_format(node_text, node);
	format_time(expires, expires_s);
	r = sd_json_buildo(&body, SD_JSON_BUILD_PAIR_STRING("method", method),
			   SD_JSON_BUILD_PAIR_CONDITION(arguments != NULL, "arguments", SD_JSON_BUILD_VARIANT(arguments)),
			   SD_JSON_BUILD_PAIR_CONDITION(arguments == NULL, "arguments", SD_JSON_BUILD_EMPTY_OBJECT),
			   SD_JSON_BUILD_PAIR_STRING("node", node_text), SD_JSON_BUILD_PAIR_STRING("expires", expires),
			   SD_JSON_BUILD_PAIR_STRING("nonce", nonce.p));
	return r < 0 ? r : doc_sign(API_TYPE_ORDER, body, caller, ret);
}

static const struct json_field login_fields[] = {
	{ "user", JSON_KEY, offsetof(struct login, user), .required = true },
	{ "node", JSON_KEY, offsetof(struct login, node), .required = true },
	HEX(struct login, tls_key, 64),
	{ "expires", JSON_TIME, offsetof(struct login, expires_s), .required = true },
};
static const struct json_table login_table = { login_fields, ARRAY_LEN(login_fields), 0, NULL };

int login_open(sd_json_variant *envelope, const struct key_pub *node, const uint8_t tls_key[static 32], int64_t now_s, struct login *ret,
	       struct err *e)
{
	uint8_t named[32];
	int r;

	*ret = (struct login){ 0 };
	if ((r = doc_open(envelope, API_TYPE_LOGIN, &ret->doc, e)) || (r = json_decode(ret->doc.body, &login_table, ret, e)))
		return err_wrap(e, r, "login");
	if ((r = doc_signed_by_only(&ret->doc, &ret->user, "a login", e)) || (r = for_node(&ret->node, node, "the login", e)) ||
	    (r = doc_lives(ret->expires_s, now_s, "the login", e)))
		return r;
	if (parse_hex(str_c(ret->tls_key), named, sizeof(named)) || memcmp(named, tls_key, sizeof(named)))
		return err_set(e, -EKEYREJECTED, "the login names another TLS key than this session's");
	return 0;
}

void login_deinit(struct login *l)
{
	doc_deinit(&l->doc);
}

int login_sign(const struct key *user, const struct key_pub *node, const uint8_t tls_key[static 32], int64_t expires_s, struct buf *ret)
{
	AUTO_JSON sd_json_variant *body = NULL;
	AUTO_BUF struct buf hex = { 0 };
	char user_text[KEY_TEXT_SIZE], node_text[KEY_TEXT_SIZE], expires[24];
	int r;

	format_hex(&hex, tls_key, 32);
	key_pub_format(user_text, &user->pub);
	key_pub_format(node_text, node);
	format_time(expires, expires_s);
	r = sd_json_buildo(&body, SD_JSON_BUILD_PAIR_STRING("user", user_text), SD_JSON_BUILD_PAIR_STRING("node", node_text),
			   SD_JSON_BUILD_PAIR_STRING("tls_key", hex.p), SD_JSON_BUILD_PAIR_STRING("expires", expires));
	return r < 0 ? r : doc_sign(API_TYPE_LOGIN, body, user, ret);
}

/* host or host:port of a registry; it becomes a file name and part of a URL. */
static bool host_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && !strchr(".-:[]", s.p[i]))
			return false;
	return s.n && s.p[0] != '.' && s.p[0] != '-';
}

static bool hub_url_ok(struct str s)
{
	return str_starts(s, S("nats://")) || str_starts(s, S("tls://"));
}

static const struct json_field hub_fields[] = {
	{ "url", JSON_TEXT, offsetof(struct farm_hub, url), .required = true, .max = 256, .ok = hub_url_ok,
	  .want = "a URL that starts with nats:// or tls://" },
	{ "key", JSON_TEXT, offsetof(struct farm_hub, key), .max = 2048 },
	{ "ca", JSON_TEXT, offsetof(struct farm_hub, ca), .max = 4095 },
};
static const struct json_table hub_table = { hub_fields, ARRAY_LEN(hub_fields), sizeof(struct farm_hub), NULL };

static const struct json_field allow_fields[] = {
	{ "key", JSON_KEY, offsetof(struct farm_allow, key), .required = true },
	{ "cpu", JSON_MILLI, offsetof(struct farm_allow, cpu_milli) },
	{ "memory", JSON_U64, offsetof(struct farm_allow, memory_bytes) },
};
static const struct json_table allow_table = { allow_fields, ARRAY_LEN(allow_fields), sizeof(struct farm_allow), NULL };

static const struct json_field registry_fields[] = {
	{ "host", JSON_TEXT, offsetof(struct farm_registry, host), .required = true, .max = 200, .ok = host_ok,
	  .want = "a host name, with :port where it needs one" },
	{ "ca", JSON_TEXT, offsetof(struct farm_registry, ca), .max = 16384 },
	{ "plain", JSON_BOOL, offsetof(struct farm_registry, plain) },
};
static const struct json_table registry_table = { registry_fields, ARRAY_LEN(registry_fields), sizeof(struct farm_registry), NULL };

static const struct json_field open_fields[] = {
	{ "range", JSON_TEXT, offsetof(struct farm_open, range), .required = true, .max = 18, .ok = range4_ok,
	  .want = "an IPv4 range such as 10.0.0.0/8" },
};
static const struct json_table open_table = { open_fields, ARRAY_LEN(open_fields), sizeof(struct farm_open), NULL };

/* What goes into a line of another program's settings: a word. */
static bool server_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && !strchr(".:-", s.p[i]))
			return false;
	return s.n && isalnum((unsigned char)s.p[s.n - 1]) && s.p[0] != '-' && s.p[0] != '.';
}

static const struct json_field time_fields[] = {
	{ "server", JSON_TEXT, offsetof(struct farm_time, server), .required = true, .max = 253, .ok = server_ok,
	  .want = "a host name or an address" },
	{ "port", JSON_U64, offsetof(struct farm_time, port), .min = 1, .max = 65535 },
	{ "nts", JSON_BOOL, offsetof(struct farm_time, nts) },
};
static const struct json_table time_table = { time_fields, ARRAY_LEN(time_fields), sizeof(struct farm_time), NULL };

static bool address_ok(struct str s)
{
	uint8_t v6[16];
	uint32_t v4;

	return !parse_ip4(s, &v4) || !parse_ip6(s, v6);
}

static const struct json_field dns_fields[] = {
	{ "server", JSON_TEXT, offsetof(struct farm_dns, server), .required = true, .max = IP6_TEXT_SIZE - 1, .ok = address_ok,
	  .want = "an address such as 192.0.2.53 or 2001:db8::53" },
};
static const struct json_table dns_table = { dns_fields, ARRAY_LEN(dns_fields), sizeof(struct farm_dns), NULL };

static bool recovery_ok(struct str s)
{
	uint8_t pub[SEAL_PUB_LEN];

	return !recovery_pub_parse(s, pub);
}

static const struct json_field farm_fields[] = {
	{ "name", JSON_TEXT, offsetof(struct farm, name), .required = true, .ok = name_ok, .want = "a name: a-z, 0-9 and -, at most 36 characters" },
	{ "farm", JSON_KEY, offsetof(struct farm, farm), .required = true },
	{ "sequence", JSON_U64, offsetof(struct farm, sequence), .required = true, .min = 1 },
	{ "hubs", JSON_LIST, offsetof(struct farm, hubs), .required = true, .min = 1, .max = FARM_HUBS_MAX, .table = &hub_table,
	  .n_off = offsetof(struct farm, n_hubs) },
	{ "allow", JSON_LIST, offsetof(struct farm, allow), .max = FARM_ALLOW_MAX, .table = &allow_table, .n_off = offsetof(struct farm, n_allow) },
	{ "registries", JSON_LIST, offsetof(struct farm, registries), .max = FARM_REGISTRIES_MAX, .table = &registry_table,
	  .n_off = offsetof(struct farm, n_registries) },
	{ "open", JSON_LIST, offsetof(struct farm, open), .max = FARM_OPEN_MAX, .table = &open_table, .n_off = offsetof(struct farm, n_open) },
	{ "time", JSON_LIST, offsetof(struct farm, time), .max = FARM_TIME_MAX, .table = &time_table, .n_off = offsetof(struct farm, n_time) },
	{ "dns", JSON_LIST, offsetof(struct farm, dns), .max = FARM_DNS_MAX, .table = &dns_table, .n_off = offsetof(struct farm, n_dns) },
	{ "gateways", JSON_LIST, offsetof(struct farm, gateways), .max = FARM_GATEWAYS_MAX, .table = &farm_gateway_table,
	  .n_off = offsetof(struct farm, n_gateways) },
	{ "bandwidth", JSON_U64, offsetof(struct farm, bandwidth), .min = BANDWIDTH_MIN, .max = BANDWIDTH_MAX },
	{ "relays", JSON_LIST, offsetof(struct farm, relays), .max = FARM_RELAYS_MAX, .table = &farm_relay_table,
	  .n_off = offsetof(struct farm, n_relays) },
	{ "addresses", JSON_LIST, offsetof(struct farm, addresses), .max = FARM_ADDRESSES_MAX, .table = &farm_addresses_table,
	  .n_off = offsetof(struct farm, n_addresses) },
	{ "usb_disks", JSON_BOOL, offsetof(struct farm, usb_disks) },
	{ "recovery", JSON_TEXT, offsetof(struct farm, recovery), .ok = recovery_ok, .want = "a public key, as 'zos farm recovery on' writes it" },
};
static const struct json_table farm_table = { farm_fields, ARRAY_LEN(farm_fields), 0, NULL };

int farm_open(struct str envelope, struct farm *ret, struct err *e)
{
	int r;

	*ret = (struct farm){ 0 };
	if ((r = doc_open_text(envelope, API_TYPE_FARM, &ret->doc, e)) || (r = json_decode(ret->doc.body, &farm_table, ret, e)))
		return err_wrap(e, r, "farm document");
	if (ret->farm.role != KEY_FARM)
		return err_set(e, -EBADMSG, "farm document: /farm: must be a farm's key (A...)");
	if (!dsse_is_signed_by(&ret->doc.envelope, &ret->farm))
		return err_set(e, -EKEYREJECTED, "farm document: not signed by the farm it names");
	if (!(r = farm_gateways_check(ret, e)) && !(r = farm_relays_check(ret, e)))
		r = farm_addresses_check(ret, e);
	return err_wrap(e, r, "farm document");
}

void farm_deinit(struct farm *f)
{
	doc_deinit(&f->doc);
}

const struct farm_allow *farm_allow_find(const struct farm *f, const struct key_pub *key)
{
	for (size_t i = 0; i < f->n_allow; i++)
		if (key_pub_eq(&f->allow[i].key, key))
			return &f->allow[i];
	return NULL;
}

static const struct json_field approval_fields[] = {
	{ "farm", JSON_KEY, offsetof(struct approval, farm), .required = true },
	{ "node", JSON_KEY, offsetof(struct approval, node), .required = true },
};
static const struct json_table approval_table = { approval_fields, ARRAY_LEN(approval_fields), 0, NULL };

int approval_open(sd_json_variant *envelope, struct approval *ret, struct err *e)
{
	int r;

	*ret = (struct approval){ 0 };
	if ((r = doc_open(envelope, API_TYPE_APPROVAL, &ret->doc, e)) || (r = json_decode(ret->doc.body, &approval_table, ret, e)))
		return err_wrap(e, r, "approval");
	if (ret->farm.role != KEY_FARM || ret->node.role != KEY_NODE)
		return err_set(e, -EBADMSG, "approval: a farm (A...) approves a node (N...)");
	return doc_signed_by_only(&ret->doc, &ret->farm, "an approval", e);
}

void approval_deinit(struct approval *a)
{
	doc_deinit(&a->doc);
}

int approval_sign(const struct key *farm, const struct key_pub *node, struct buf *ret)
{
	AUTO_JSON sd_json_variant *body = NULL;
	char farm_text[KEY_TEXT_SIZE], node_text[KEY_TEXT_SIZE];
	int r;

	key_pub_format(farm_text, &farm->pub);
	key_pub_format(node_text, node);
	r = sd_json_buildo(&body, SD_JSON_BUILD_PAIR_STRING("farm", farm_text), SD_JSON_BUILD_PAIR_STRING("node", node_text));
	return r < 0 ? r : doc_sign(API_TYPE_APPROVAL, body, farm, ret);
}

static const struct json_field record_fields[] = {
	{ "node", JSON_KEY, offsetof(struct record, node), .required = true },
	{ "inbox", JSON_TEXT, offsetof(struct record, inbox), .required = true, .min = 1, .max = 64 },
	HEX(struct record, tls_key, 64),
	{ "sequence", JSON_U64, offsetof(struct record, sequence), .required = true },
	{ "expires", JSON_TIME, offsetof(struct record, expires_s), .required = true },
	{ "farm", JSON_KEY, offsetof(struct record, farm) },
	{ "farm_name", JSON_TEXT, offsetof(struct record, farm_name), .max = 36 },
	{ "approval", JSON_ANY, offsetof(struct record, approval) },
	{ "capacity", JSON_ANY, offsetof(struct record, capacity) },
	{ "version", JSON_TEXT, offsetof(struct record, version), .max = 64 },
	{ "flavour", JSON_TEXT, offsetof(struct record, flavour), .max = 32 },
	{ "arch", JSON_TEXT, offsetof(struct record, arch), .max = 32 },
	{ "boot_time", JSON_U64, offsetof(struct record, boot_s) },
	{ "drained", JSON_BOOL, offsetof(struct record, is_drained) },
	{ "seal_key", JSON_TEXT, offsetof(struct record, seal_key), .min = 64, .max = 64, .ok = hex_ok, .want = "hexadecimal" },
};
static const struct json_table record_table = { record_fields, ARRAY_LEN(record_fields), 0, NULL };

static bool record_is_approved(const struct record *r)
{
	CLEANUP(approval_deinit) struct approval a = { 0 };

	return r->approval && r->farm.role && !approval_open(r->approval, &a, NULL) && key_pub_eq(&a.farm, &r->farm) && key_pub_eq(&a.node, &r->node);
}

int record_open(struct str envelope, int64_t now_s, struct record *ret, struct err *e)
{
	int r;

	*ret = (struct record){ 0 };
	if ((r = doc_open_text(envelope, API_TYPE_RECORD, &ret->doc, e)) || (r = json_decode(ret->doc.body, &record_table, ret, e)))
		return err_wrap(e, r, "node record");
	if (ret->node.role != KEY_NODE)
		return err_set(e, -EBADMSG, "node record: /node: must be a node's key (N...)");
	if ((r = doc_signed_by_only(&ret->doc, &ret->node, "a node record", e)))
		return r;
	if (ret->expires_s + CLOCK_SLACK_S < now_s)
		return err_set(e, -ETIME, "the node's record has expired: the node has not been heard of since");
	ret->approved = record_is_approved(ret);
	return 0;
}

void record_deinit(struct record *r)
{
	doc_deinit(&r->doc);
}
