/* What an end asks of a relay, and what a farm says of its relays. */
#include "api/relay.h"

#include "base/parse.h"
#include "test/t.h"

#include <sys/socket.h>

#define KEY1 "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define KEY2 "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="

static struct key node, peer, user, farm;

static sd_json_variant *parsed(const char *text)
{
	sd_json_variant *v = NULL;
	struct err e = { 0 };

	T_NEED(!json_parse(str_c(text), &v, &e), "%s: %s", text, e.msg);
	return v;
}

static int ask_read(const char *own, const char *other, const struct key_pub *who, struct relay_ends *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	AUTO_BUF struct buf text = { 0 };
	struct relay_args args = { 0 };
	char name[KEY_TEXT_SIZE];
	int r;

	key_pub_format(name, who);
	buf_addf(&text, "{\"public_key\":\"%s\",\"peer_key\":\"%s\",\"peer\":\"%s\",\"approval\":{}}", own, other, name);
	v = parsed(text.p);
	r = json_decode(v, &relay_table, &args, e);
	return r ? r : relay_ends_decode(&args, &node.pub, ret, e);
}

static void an_end_asks_for_another(void)
{
	const struct {
		const char *own, *other;
		const struct key_pub *peer;
		const char *says; /* NULL = good */
	} rows[] = {
		{ KEY1, KEY2, &peer.pub, NULL },
		{ KEY1, KEY1, &peer.pub, "/peer_key: is the key of the end that asks" },
		{ KEY1, KEY2, &node.pub, "/peer: is the node that asks" },
		{ KEY1, KEY2, &user.pub, "/peer: must be a node's key" },
		{ "x", KEY2, &peer.pub, "/public_key" },
		{ KEY1, "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgJ=", &peer.pub, "/peer_key" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct relay_ends ends = { 0 };
		struct err e = { 0 };
		int r = ask_read(rows[i].own, rows[i].other, rows[i].peer, &ends, &e);

		T_CHECK(r == (rows[i].says ? -EBADMSG : 0) && (!rows[i].says || strstr(e.msg, rows[i].says)), "row %zu: %d '%s'", i, r, e.msg);
		T_CHECK(rows[i].says || (ends.public_key[0] == 1 && ends.peer_key[31] == 2), "row %zu: whose is whose", i);
	}
}

static void what_is_built_is_read(void)
{
	AUTO_JSON sd_json_variant *v = NULL, *approval = parsed("{}");
	struct relay_ends ends, got = { 0 };
	struct relay_args args = { 0 };
	struct err e = { 0 };

	memset(ends.public_key, 5, sizeof(ends.public_key));
	memset(ends.peer_key, 6, sizeof(ends.peer_key));
	T_NEED(!relay_args_build(&ends, &peer.pub, approval, &v) && !json_decode(v, &relay_table, &args, &e), "%s", e.msg);
	T_CHECK(!relay_ends_decode(&args, &node.pub, &got, &e) && !memcmp(&got, &ends, sizeof(ends)) && key_pub_eq(&args.peer, &peer.pub), "%s",
		e.msg);
}

static void an_answer_is_one_of_the_ports(void)
{
	static const struct {
		const char *text;
		uint16_t want; /* 0 = refused */
	} rows[] = {
		{ "{\"port\":28160}", 28160 },
		{ "{\"port\":28671}", 28671 },
		{ "{\"port\":28159}", 0 },
		{ "{\"port\":28672}", 0 },
		{ "{\"port\":53}", 0 },
		{ "{}", 0 },
		{ "{\"port\":28160,\"address\":\"192.0.2.1\"}", 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_JSON sd_json_variant *v = parsed(rows[i].text);
		struct err e = { 0 };
		uint16_t port = 0;
		int r = relay_answer_decode(v, &port, &e);

		T_CHECK(r == (rows[i].want ? 0 : -EBADMSG) && port == rows[i].want, "%s: %d %u", rows[i].text, r, port);
	}
}

static int farm_of(const char *relays, struct farm *ret, struct err *e)
{
	AUTO_BUF struct buf body = { 0 }, text = { 0 };
	char name[KEY_TEXT_SIZE];

	key_pub_format(name, &farm.pub);
	buf_addf(&body, "{\"name\":\"home\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://192.0.2.1:4222\"}],\"relays\":[%s]}", name,
		 relays);
	T_NEED(!buf_check(&body) && !dsse_sign(API_TYPE_FARM, buf_str(&body), &farm, 1, &text), "sign");
	return farm_open(buf_str(&text), ret, e);
}

static void a_farm_says_where_its_relays_are(void)
{
	static const struct {
		const char *fields;
		unsigned n; /* rows like it, of the same node */
		const char *says;
	} rows[] = {
		{ ",\"address\":\"198.51.100.7\",\"address6\":\"2001:db8::7\"", 1, NULL },
		{ ",\"address\":\"10.0.0.7\"", 1, NULL },
		{ ",\"address6\":\"2001:db8::7\"", 1, NULL },
		{ "", 1, "/relays/0/address: is missing" },
		{ ",\"address\":\"127.0.0.1\"", 1, "/relays/0/address" },
		{ ",\"address\":\"198.51.100.7:99\"", 1, "/relays/0/address" },
		{ ",\"address6\":\"fe80::1\"", 1, "/relays/0/address6" },
		{ ",\"address\":\"198.51.100.7\"", 2, "/relays/1/node: stands there twice" },
	};
	char name[KEY_TEXT_SIZE];

	key_pub_format(name, &node.pub);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_BUF struct buf list = { 0 };
		AUTO_FREE struct farm *f = calloc(1, sizeof(*f));
		const struct farm_relay *relay;
		struct err e = { 0 };
		int r;

		for (unsigned k = 0; k < rows[i].n; k++)
			buf_addf(&list, "%s{\"node\":\"%s\"%s}", k ? "," : "", name, rows[i].fields);
		r = farm_of(list.p, f, &e);
		T_CHECK(r == (rows[i].says ? -EBADMSG : 0) && (!rows[i].says || strstr(e.msg, rows[i].says)), "row %zu: %d '%s'", i, r, e.msg);
		relay = r ? NULL : farm_relay_find(f, &node.pub);
		T_CHECK(r || (relay && !farm_relay_find(f, &peer.pub)), "row %zu: who", i);
		if (!i && relay) {
			struct endpoint v4 = farm_relay_at(relay, AF_INET, 28161), v6 = farm_relay_at(relay, AF_INET6, 28161);
			char text4[ENDPOINT_TEXT_SIZE], text6[ENDPOINT_TEXT_SIZE];

			endpoint_format(text4, &v4);
			endpoint_format(text6, &v6);
			T_CHECK(!strcmp(text4, "198.51.100.7:28161") && !strcmp(text6, "[2001:db8::7]:28161"), "%s %s", text4, text6);
		}
		T_CHECK(i != 1 || !relay || !farm_relay_at(relay, AF_INET6, 1).family, "not by IPv6");
		farm_deinit(f);
	}
}

int main(void)
{
	T_NEED(!key_new(KEY_NODE, &node) && !key_new(KEY_NODE, &peer) && !key_new(KEY_USER, &user) && !key_new(KEY_FARM, &farm), "keys");
	T_RUN(an_end_asks_for_another);
	T_RUN(what_is_built_is_read);
	T_RUN(an_answer_is_one_of_the_ports);
	T_RUN(a_farm_says_where_its_relays_are);
	return T_END();
}
