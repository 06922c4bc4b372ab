#include "grid/addr.h"

#include "test/t.h"

#include <stdio.h>

static void key_make(char ret[static HUB_KEY_SIZE])
{
	struct key account = KEY_NONE, signer = KEY_NONE;
	char text[KEY_TEXT_SIZE], seed[KEY_SEED_SIZE];

	T_NEED(!key_new(KEY_FARM, &account) && !key_new(KEY_FARM, &signer), "keys");
	key_pub_format(text, &account.pub);
	key_seed_format(seed, &signer);
	snprintf(ret, HUB_KEY_SIZE, "%s%s", text, seed);
}

static void addresses_are_taken_apart(void)
{
	static const struct {
		const char *url;
		int r;
		const char *host, *port;
	} rows[] = {
		{ "nats://hub.example:4222", 0, "hub.example", "4222" },
		{ "tls://10.0.0.1:443,tls://10.0.0.2:443", 0, "10.0.0.1", "443" },
		{ "nats://[2001:db8::1]:4222", 0, "2001:db8::1", "4222" },
		{ "nats://hub", -EINVAL, "", "" },
		{ "nats://:4222", -EINVAL, "", "" },
		{ "nats://hub:", -EINVAL, "", "" },
		{ "nats://hub:123456789", -EINVAL, "", "" },
		{ "", -EINVAL, "", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char host[256] = "", port[8] = "";
		int r = hub_url_parse(rows[i].url, host, port);

		T_CHECK(r == rows[i].r && !strcmp(host, rows[i].host) && !strcmp(port, rows[i].port), "'%s': %d '%s' '%s'", rows[i].url, r, host,
			port);
	}
}

static void addresses_are_checked(void)
{
	static const struct {
		const char *url, *ca;
		bool bad_key;
		const char *want; /* NULL = taken */
	} rows[] = {
		{ "nats://h:1", NULL, false, NULL },
		{ "tls://h:1,tls://i:2", NULL, false, NULL },
		{ "tls://h:1", "MIIB", false, NULL },
		{ "tls://h:1", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", false, NULL },
		{ "http://h:1", NULL, false, "looks like" },
		{ "nats://h", NULL, false, "looks like" },
		{ "nats://h:1,tls://h:1", NULL, false, "all servers of one hub" },
		{ "nats://h:1", NULL, true, "key is damaged" },
		{ "nats://h:1", "MIIB", false, "goes with a tls://" },
		{ "tls://h:1", "MII", false, "no certificate" },
		{ "tls://h:1", "MI=B", false, "no certificate" },
		{ "tls://h:1", "====", false, "no certificate" },
		{ "tls://h:1", "/etc/ca", false, "no certificate" },
	};
	char key[HUB_KEY_SIZE];

	key_make(key);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct hub_addr a = { 0 };
		struct err e = { 0 };
		int r = hub_addr_make(&a, rows[i].url, rows[i].bad_key ? key + 1 : key, rows[i].ca, &e);

		if (rows[i].want)
			T_CHECK(r < 0 && strstr(e.msg, rows[i].want) && !a.url[0], "row %zu: %d '%s'", i, r, e.msg);
		else
			T_CHECK(!r && !strcmp(a.url, rows[i].url) && !!a.ca[0] == !!rows[i].ca, "row %zu: %d '%s'", i, r, e.msg);
	}
}

static void one_line_becomes_pem(void)
{
	char key[HUB_KEY_SIZE], line[101];
	struct hub_addr a;

	memset(line, 'A', 100);
	line[100] = '\0';
	key_make(key);
	T_NEED(!hub_addr_make(&a, "tls://h:1", key, line, NULL), "taken");
	T_CHECK(strlen(a.ca) == 28 + 65 + 37 + 26 && a.ca[28 + 64] == '\n', "%zu\n%s", strlen(a.ca), a.ca);
}

static void hubs_are_told_apart_by_their_keys(void)
{
	struct hub_addr list[HUBS_MAX] = { 0 }, a = { .url = "nats://h:1" };
	size_t n = 0;
	struct err e = { 0 };

	for (int i = 0; i < HUBS_MAX; i++) {
		key_make(a.key);
		T_CHECK(!hub_addrs_add(list, &n, &a, &e) && n == (size_t)i + 1, "%zu %s", n, e.msg);
	}
	snprintf(a.url, sizeof(a.url), "nats://i:2");
	T_CHECK(!hub_addrs_add(list, &n, &a, &e) && n == HUBS_MAX && !strcmp(list[HUBS_MAX - 1].url, "nats://h:1,nats://i:2"), "%zu %s %s", n,
		list[HUBS_MAX - 1].url, e.msg);
	snprintf(a.url, sizeof(a.url), "tls://i:2");
	T_CHECK(hub_addrs_add(list, &n, &a, &e) == -EINVAL, "a cluster half in TLS");
	snprintf(a.ca, sizeof(a.ca), "another");
	T_CHECK(hub_addrs_add(list, &n, &a, &e) == -EINVAL && strstr(e.msg, "different"), "%s", e.msg);
	key_make(a.key);
	T_CHECK(hub_addrs_add(list, &n, &a, &e) == -ENOSPC && n == HUBS_MAX, "one too many: %zu", n);
	snprintf(a.key, sizeof(a.key), "%s", list[0].key);
	a.ca[0] = '\0';
	snprintf(a.url, sizeof(a.url), "nats://j:2");
	for (int i = 1; i < HUB_URLS_MAX; i++)
		T_CHECK(!hub_addrs_add(list, &n, &a, &e), "server %d: %s", i, e.msg);
	T_CHECK(hub_addrs_add(list, &n, &a, &e) == -EINVAL, "one server too many");
}

int main(void)
{
	T_RUN(addresses_are_taken_apart);
	T_RUN(addresses_are_checked);
	T_RUN(one_line_becomes_pem);
	T_RUN(hubs_are_told_apart_by_their_keys);
	return T_END();
}
