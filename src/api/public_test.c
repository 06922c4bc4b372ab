/* What a farm says of its public addresses. */
#include "api/doc.h"

#include "test/t.h"

static struct key nodes[2], farm;

static int farm_of(const char *more, struct farm *ret, struct err *e)
{
	AUTO_BUF struct buf body = { 0 }, text = { 0 };
	char name[KEY_TEXT_SIZE];

	key_pub_format(name, &farm.pub);
	buf_addf(&body, "{\"name\":\"home\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://192.0.2.1:4222\"}],%s}", name, more);
	T_NEED(!buf_check(&body) && !dsse_sign(API_TYPE_FARM, buf_str(&body), &farm, 1, &text), "sign");
	return farm_open(buf_str(&text), ret, e);
}

static const struct row {
	const char *more;
	struct {
		unsigned node;
		const char *fields;
	} list[2];
	unsigned n;
	const char *says; /* NULL = it is taken */
} rows[] = {
	{ "", { { 0, "\"ranges\":[\"198.51.100.16/29\",\"203.0.113.7/32\"]" } }, 1, NULL },
	{ "", { { 0, "\"ranges\":[\"198.51.100.16/29\"],\"card\":\"eth1\"" }, { 1, "\"ranges\":[\"198.51.100.24/29\"]" } }, 2, NULL },
	{ "\"relays\":[{\"node\":\"%s\",\"address\":\"198.51.100.7\"}],", { { 0, "\"ranges\":[\"198.51.100.8/29\"]" } }, 1, NULL },
	{ "\"relays\":[{\"node\":\"%s\",\"address\":\"198.51.100.7\"}],",
	  { { 0, "\"ranges\":[\"198.51.100.0/29\"]" } },
	  1,
	  "/addresses/0/ranges: hold the address of relays/0, 198.51.100.7" },
	{ "\"gateways\":[{\"node\":\"%s\",\"address\":\"198.51.100.7/24\",\"router\":\"198.51.100.1\"}],",
	  { { 0, "\"ranges\":[\"198.51.100.0/29\"]" } },
	  1,
	  "/addresses/0/ranges: hold the address of gateways/0" },
	{ "", { { 0, "\"card\":\"eth0\"" } }, 1, "/addresses/0/ranges: is missing" },
	{ "", { { 0, "\"ranges\":[]" } }, 1, "/addresses/0/ranges" },
	{ "", { { 0, "\"ranges\":[7]" } }, 1, "/addresses/0/ranges" },
	{ "", { { 0, "\"ranges\":[\"10.0.0.0/29\"]" } }, 1, "/addresses/0/ranges/0: '10.0.0.0/29' holds private addresses" },
	{ "", { { 0, "\"ranges\":[\"198.51.100.16/29\",\"198.51.100.16/32\"]" } }, 1, "/addresses/0/ranges/1: '198.51.100.16/32' holds addresses" },
	{ "", { { 0, "\"ranges\":[\"198.51.100.16/29\"],\"card\":\"../x\"" } }, 1, "/addresses/0/card" },
	{ "", { { 0, "\"ranges\":[\"198.51.100.16/29\"],\"colour\":1" } }, 1, "/addresses/0/colour: unknown field" },
	{ "",
	  { { 0, "\"ranges\":[\"198.51.100.16/29\"]" }, { 0, "\"ranges\":[\"198.51.100.24/29\"]" } },
	  2,
	  "/addresses/1/node: stands in addresses/0" },
	{ "",
	  { { 0, "\"ranges\":[\"198.51.100.16/29\"]" }, { 1, "\"ranges\":[\"198.51.100.23/32\"]" } },
	  2,
	  "/addresses/1/ranges: hold addresses that addresses/0 has" },
};

static void a_farm_says_who_has_which(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_BUF struct buf text = { 0 };
		AUTO_FREE struct farm *f = calloc(1, sizeof(*f));
		char name[KEY_TEXT_SIZE];
		struct err e = { 0 };
		struct pool p;
		int r;

		key_pub_format(name, &nodes[1].pub);
		const char *at = strstr(rows[i].more, "%s");
		if (at)
			buf_addf(&text, "%.*s%s%s", (int)(at - rows[i].more), rows[i].more, name, at + 2);
		buf_add(&text, S("\"addresses\":["));
		for (unsigned k = 0; k < rows[i].n; k++) {
			key_pub_format(name, &nodes[rows[i].list[k].node].pub);
			buf_addf(&text, "%s{\"node\":\"%s\",%s}", k ? "," : "", name, rows[i].list[k].fields);
		}
		buf_add(&text, S("]"));
		r = farm_of(text.p, f, &e);
		T_CHECK(r == (rows[i].says ? -EBADMSG : 0) && (!rows[i].says || strstr(e.msg, rows[i].says)), "row %zu: %d '%s'", i, r, e.msg);
		if (!r) {
			const struct farm_addresses *a = farm_addresses_find(f, &nodes[0].pub);

			farm_pool(f, &nodes[0].pub, &p);
			T_CHECK(a && !strcmp(a->card, i == 1 ? "eth1" : "eth0") && pool_size(&p) == (i ? 8 : 9), "row %zu: %zu", i, pool_size(&p));
			farm_pool(f, &nodes[1].pub, &p);
			T_CHECK(pool_size(&p) == (i == 1 ? 8 : 0), "row %zu: of the other %zu", i, pool_size(&p));
		}
		farm_deinit(f);
	}
}

static void without_a_farm_there_are_none(void)
{
	struct pool p = { .n = 1 };

	farm_pool(NULL, &nodes[0].pub, &p);
	T_CHECK(!p.n, "%zu", p.n);
}

int main(void)
{
	T_NEED(!key_new(KEY_NODE, &nodes[0]) && !key_new(KEY_NODE, &nodes[1]) && !key_new(KEY_FARM, &farm), "keys");
	T_RUN(a_farm_says_who_has_which);
	T_RUN(without_a_farm_there_are_none);
	return T_END();
}
