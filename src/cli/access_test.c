#include "cli/access.h"

#include "api/json.h"
#include "test/t.h"

#define MACHINES "\"machines\":[{\"name\":\"web\",\"ip\":[\"10.20.1.6\",\"fd00::6\"]}],"
#define DEVICE "{\"device\":\"phone\",\"key\":\"x\",\"subnet\":\"10.20.1.5/32\",\"subnet6\":\"fd00:1:2:1::a14:105/128\"}"
#define NETWORK(more) "{\"name\":\"net\",\"subnet\":\"10.20.1.0/29\",\"range\":\"10.20.0.0/16\",\"range6\":\"fd00:1:2::/48\"," MACHINES more "}"
#define HERE(ends) \
	NETWORK("\"public_key\":\"node\",\"gateway\":[\"10.20.1.1\",\"fd00::1\"],\"outgoing\":true,\"peers\":[" DEVICE "],\"endpoint\":[" ends "]")

static sd_json_variant *parsed(const char *text)
{
	sd_json_variant *ret = NULL;
	struct err e = { 0 };

	T_NEED(!json_parse(str_c(text), &ret, &e), "%s", e.msg);
	return ret;
}

static void keys_are_a_pair_and_never_the_same(void)
{
	struct access_device a = { 0 }, b = { 0 };
	uint8_t key[NETWORK_KEY_LEN];
	struct err e = { 0 };

	T_NEED(!access_keys_make(&a, &e) && !access_keys_make(&b, &e), "%s", e.msg);
	for (size_t i = 0; i < 3; i++) {
		const char *mine = (const char *[]){ a.private_key, a.public_key, a.preshared }[i];
		const char *other = (const char *[]){ b.private_key, b.public_key, b.preshared }[i];

		T_CHECK(network_key_decode(str_c(mine), key) && strcmp(mine, other), "%zu: %s", i, mine);
	}
	T_CHECK(strcmp(a.secret, b.secret) && name_ok(str_c(a.secret)), "%s %s", a.secret, b.secret);
}

static void an_address_is_chosen_that_nobody_has(void)
{
	static const struct {
		const char *network, *want; /* NULL = none is left */
	} rows[] = {
		{ NETWORK("\"peers\":[]"), "10.20.1.5" },
		{ NETWORK("\"peers\":[" DEVICE "]"), "10.20.1.4" },
		{ "{\"subnet\":\"10.20.1.0/24\"}", "10.20.1.254" },
		{ NETWORK("\"peers\":[" DEVICE ",{\"subnet\":\"10.20.1.4/32\"},{\"subnet\":\"10.20.1.3/32\"},{\"subnet\":\"10.20.1.2/32\"}]"), NULL },
		{ "{}", NULL },
		{ "{\"subnet\":\"10.20.1.0/8\"}", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_JSON sd_json_variant *network = parsed(rows[i].network);
		struct access_device d = { .network = "net" };
		struct err e = { 0 };
		int r = access_ip_choose(network, &d, &e);

		T_CHECK(rows[i].want ? !r && !strcmp(d.ip, rows[i].want) : r && e.msg[0], "row %zu: %d %s %s", i, r, d.ip, e.msg);
	}
}

#define BEFORE \
	"{\"name\":\"blog\",\"secrets\":{\"db\":\"sealed\"},\"workloads\":[{\"name\":\"net\",\"type\":\"network\",\"data\":{\"subnet\":\"10.20.1.0/24\"}}]}"

static void a_device_comes_and_goes_with_its_secret(void)
{
	AUTO_JSON sd_json_variant *doc = parsed(BEFORE),
				  *empty = parsed("{\"name\":\"blog\",\"secrets\":{\"db\":\"sealed\"},\"workloads\":[{\"name\":\"net\","
						  "\"type\":\"network\",\"data\":{\"subnet\":\"10.20.1.0/24\",\"access\":[]}}]}");
	const struct access_device d = { .network = "net", .name = "phone", .secret = "psk-1", .public_key = "KEY", .ip = "10.20.1.254" };
	const struct access_device elsewhere = { .network = "other", .name = "phone", .secret = "psk-2" };
	AUTO_BUF struct buf text = { 0 };
	struct err e = { 0 };

	T_CHECK(access_add(&doc, &elsewhere, &e) == -ENOENT && strstr(e.msg, "no network 'other'"), "%s", e.msg);
	T_NEED(!access_add(&doc, &d, &e) && !json_format(doc, &text), "%s", e.msg);
	T_CHECK(strstr(text.p, "\"access\":[{\"name\":\"phone\",\"key\":\"KEY\",\"ip\":\"10.20.1.254\",\"preshared\":{\"secret\":\"psk-1\"}}]") &&
			strstr(text.p, "\"secrets\":{\"db\":\"sealed\",\"psk-1\":{\"env\":\"" ACCESS_SECRET_ENV "\"}}"),
		"%s", text.p);
	T_CHECK(access_add(&doc, &d, &e) == -EEXIST && strstr(e.msg, "'phone' is in 'net' already"), "%s", e.msg);
	T_CHECK(access_remove(&doc, "net", "desk", &e) == -ENOENT && strstr(e.msg, "no device 'desk'"), "%s", e.msg);
	T_CHECK(!access_remove(&doc, "net", "phone", &e) && sd_json_variant_equal(doc, empty), "%s", e.msg);
}

static void a_device_is_told_where_the_node_is(void)
{
	static const struct {
		const char *network, *endpoint, *want; /* of the configuration, or of the sentence */
		int r;
	} rows[] = {
		{ HERE("\"192.168.1.5:28999\",\"203.0.113.7:28999\""), NULL, "\nEndpoint = 203.0.113.7:28999\n", 0 },
		{ HERE("\"192.168.1.5:28999\",\"[2001:db8::7]:28999\""), NULL, "\nEndpoint = [2001:db8::7]:28999\n", 0 },
		{ HERE("\"[2001:db8::7]:28999\",\"203.0.113.7:28999\""), NULL, "\nEndpoint = 203.0.113.7:28999\n", 0 },
		{ HERE("\"[fec0::7]:28999\",\"[2001:db8::7]:28999\""), NULL, "\nEndpoint = [2001:db8::7]:28999\n", 0 },
		{ HERE("\"[fd00::7]:28999\",\"100.64.0.1:5\""), NULL, "\nEndpoint = [fd00::7]:28999\n", 0 },
		{ HERE("\"192.168.1.5:28999\""), "home.example:1", "\nEndpoint = home.example:1\n", 0 },
		{ HERE("\"192.168.1.5:28999\""), NULL, "\nAddress = 10.20.1.5/32, fd00:1:2:1::a14:105/128\n", 0 },
		{ HERE("\"192.168.1.5:28999\""), NULL, "\nAllowedIPs = 10.20.0.0/16, fd00:1:2::/48\n", 0 },
		{ HERE("\"192.168.1.5:28999\""), NULL, "\nPublicKey = node\nPresharedKey = shared\n", 0 },
		{ HERE("\"192.168.1.5:28999\""), "home.example", "write HOST:PORT", -EINVAL },
		{ HERE("\"192.168.1.5:28999\""), "a:1\nPostUp = x", "write HOST:PORT", -EINVAL },
		{ HERE(""), NULL, "name one with --endpoint", -EAGAIN },
		{ NETWORK("\"peers\":[]"), NULL, "does not say yet", -EAGAIN },
	};
	const struct access_device d = { .network = "net", .name = "phone", .private_key = "private", .preshared = "shared", .ip = "10.20.1.5" };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_JSON sd_json_variant *network = parsed(rows[i].network);
		AUTO_BUF struct buf text = { 0 };
		struct err e = { 0 };

		T_CHECK(access_format(network, &d, rows[i].endpoint, &text, &e) == rows[i].r && strstr(rows[i].r ? e.msg : text.p, rows[i].want),
			"row %zu: %s %s", i, e.msg, text.len ? text.p : "");
	}
}

int main(void)
{
	T_RUN(keys_are_a_pair_and_never_the_same);
	T_RUN(an_address_is_chosen_that_nobody_has);
	T_RUN(a_device_comes_and_goes_with_its_secret);
	T_RUN(a_device_is_told_where_the_node_is);
	return T_END();
}
