#include "api/deployment.h"

#include "test/t.h"

#include <arpa/inet.h>
#include <stdio.h>

struct fixture {
	struct key farm, owner, node, other;
	char farm_text[KEY_TEXT_SIZE], owner_text[KEY_TEXT_SIZE], node_text[KEY_TEXT_SIZE], other_text[KEY_TEXT_SIZE];
};

static void fixture_new(struct fixture *f)
{
	T_NEED(!key_new(KEY_FARM, &f->farm) && !key_new(KEY_USER, &f->owner) && !key_new(KEY_NODE, &f->node) && !key_new(KEY_NODE, &f->other),
	       "keys");
	key_pub_format(f->farm_text, &f->farm.pub);
	key_pub_format(f->owner_text, &f->owner.pub);
	key_pub_format(f->node_text, &f->node.pub);
	key_pub_format(f->other_text, &f->other.pub);
}

static int opened(const struct fixture *f, const char *workloads, struct deployment *d, struct err *e)
{
	AUTO_BUF struct buf body = { 0 }, text = { 0 };

	buf_addf(&body, "{\"name\":\"blog\",\"owner\":\"%s\",\"node\":\"%s\",\"sequence\":1,\"workloads\":[%s]}", f->owner_text, f->node_text,
		 workloads);
	T_NEED(!dsse_sign(API_TYPE_DEPLOYMENT, buf_str(&body), &f->owner, 1, &text), "sign");
	return deployment_open_text(buf_str(&text), d, e);
}

#define NET "{\"name\":\"back\",\"type\":\"network\",\"data\":{\"subnet\":\"10.20.1.0/24\",\"range\":\"10.20.0.0/16\"}}"
#define WEB                                                                                                                                        \
	"{\"name\":\"web\",\"type\":\"zmachine\",\"data\":{\"image\":\"r/web:1\",\"cpu\":1,\"memory\":134217728,\"networks\":[{\"name\":\"back\"," \
	"\"ip\":\"10.20.1.5\"}]}}"
#define BY_NAME(fields) "{\"name\":\"site\",\"type\":\"gateway-name-proxy\",\"data\":{" fields "}}"
#define BY_FQDN(fields) "{\"name\":\"site\",\"type\":\"gateway-fqdn-proxy\",\"data\":{" fields "}}"
#define SITE(backends) BY_NAME("\"name\":\"blog\",\"network\":\"back\",\"backends\":[" backends "]")

static const struct {
	const char *workloads, *why; /* NULL: accepted */
} rows[] = {
	{ SITE("\"web:80\"") "," NET "," WEB, NULL },
	{ NET "," WEB "," SITE("\"web:80\",\"10.20.2.7:8080\""), NULL },
	{ NET "," WEB "," SITE("\"web:80\",\"10.20.1.5:80\""), "/workloads/2/data/backends/1: is where backends/0 is" },
	{ NET "," WEB "," SITE("\"web\""), "backends/0: 'web' is neither MACHINE:PORT" },
	{ NET "," WEB "," SITE("\"web:0\""), "'web:0' is neither" },
	{ NET "," WEB "," SITE("\"web:65536\""), "'web:65536' is neither" },
	{ NET "," WEB "," SITE("\"back:80\""), "'back:80' is neither" },
	{ NET "," WEB "," SITE("\"http://web:80\""), "is neither" },
	{ NET "," WEB "," SITE("\"10.21.0.1:80\""), "10.21.0.1:80 is not an IPv4 address for machines or peers of 'back'" },
	{ NET "," WEB "," SITE("\"10.20.1.1:80\""), "10.20.1.1:80 is not an IPv4 address for machines" },
	{ NET "," WEB "," SITE("\"[fd00::1]:80\""), "is not an IPv4 address" },
	{ NET "," WEB "," SITE(""), "/backends" },
	{ WEB "," SITE("\"web:80\""), "has no network 'back'" },
	{ BY_NAME("\"name\":\"blog\",\"network\":\"back\",\"backends\":[\"10.20.1.5:80\"]"),
	  "/workloads/0/data/network: this deployment has no network" },
	{ BY_NAME("\"name\":\"blog\",\"backends\":[\"203.0.113.5:80\"]"), NULL },
	{ BY_NAME("\"name\":\"blog\",\"backends\":[\"[2001:db8::5]:80\"]"), NULL },
	{ BY_NAME("\"name\":\"blog\",\"backends\":[\"127.0.0.1:80\"]"), "no address that another machine has" },
	{ BY_NAME("\"name\":\"blog\",\"backends\":[\"web:80\"]"), "reached in a 'network'" },
	{ BY_NAME("\"name\":\"Blog\",\"backends\":[\"203.0.113.5:80\"]"), "/name" },
	{ BY_NAME("\"name\":\"a.b\",\"backends\":[\"203.0.113.5:80\"]"), "/name" },
	{ BY_NAME("\"name\":\"-a\",\"backends\":[\"203.0.113.5:80\"]"), "/name" },
	{ BY_NAME("\"fqdn\":\"a.b\",\"backends\":[\"203.0.113.5:80\"]"), "fqdn" },
	{ BY_FQDN("\"fqdn\":\"www.example.org\",\"backends\":[\"203.0.113.5:443\"],\"tls_passthrough\":true"), NULL },
	{ BY_FQDN("\"fqdn\":\"www.example.org.\",\"backends\":[\"203.0.113.5:80\"]"), "/fqdn" },
	{ BY_FQDN("\"fqdn\":\"example\",\"backends\":[\"203.0.113.5:80\"]"), "/fqdn" },
	{ BY_FQDN("\"fqdn\":\"192.0.2.1\",\"backends\":[\"203.0.113.5:80\"]"), "/fqdn" },
	{ BY_FQDN("\"fqdn\":\"a..org\",\"backends\":[\"203.0.113.5:80\"]"), "/fqdn" },
	{ BY_FQDN("\"fqdn\":\"a b.org\",\"backends\":[\"203.0.113.5:80\"]"), "/fqdn" },
	{ BY_FQDN("\"fqdn\":\"www.example.org\",\"backends\":[\"203.0.113.5:80\"],\"tls\":true"), "tls" },
};

static void names_are_strict(void)
{
	struct fixture f;

	fixture_new(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_DEPLOYMENT struct deployment *d = deployment_new();
		struct err e = { 0 };
		int r = opened(&f, rows[i].workloads, d, &e);

		T_CHECK(rows[i].why ? r == -EBADMSG && strstr(e.msg, rows[i].why) : !r, "row %zu: %d '%s'", i, r, e.msg);
	}
}

static void backends_arrive(void)
{
	AUTO_DEPLOYMENT struct deployment *d = deployment_new();
	struct err e = { 0 };
	struct endpoint at;
	struct fixture f;
	char text[ENDPOINT_TEXT_SIZE];

	fixture_new(&f);
	T_NEED(!opened(&f, SITE("\"web:8080\",\"10.20.2.7:81\"") "," WEB "," NET, d, &e), "%s", e.msg);
	T_CHECK(gateway_n_backends(&d->workloads[0].gateway) == 2, "two");
	gateway_backend(d, &d->workloads[0].gateway, 0, &at);
	endpoint_format(text, &at);
	T_CHECK(!strcmp(text, "10.20.1.5:8080"), "a machine by its name: %s", text);
	gateway_backend(d, &d->workloads[0].gateway, 1, &at);
	endpoint_format(text, &at);
	T_CHECK(!strcmp(text, "10.20.2.7:81"), "a peer's by its address: %s", text);
}

static int farm_of(const struct fixture *f, const char *gateways, struct farm *ret, struct err *e)
{
	AUTO_BUF struct buf body = { 0 }, text = { 0 };

	buf_addf(&body, "{\"name\":\"home\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"nats://192.0.2.1:4222\"}],\"gateways\":[%s]}",
		 f->farm_text, gateways);
	T_NEED(!dsse_sign(API_TYPE_FARM, buf_str(&body), &f->farm, 1, &text), "sign");
	return farm_open(buf_str(&text), ret, e);
}

#define A "\"address\":\"198.51.100.7/24\""
#define R "\"router\":\"198.51.100.1\""
#define ACME ",\"acme\":\"https://ca.example/dir\""
static const struct {
	const char *own, *others; /* fields of the node's row, and of another's; NULL = there is none */
	const char *why;          /* NULL: accepted */
} farms[] = {
	{ A "," R, NULL, NULL },
	{ A "," R ",\"domain\":\"apps.example.org\",\"card\":\"eth1\"", A "," R ",\"domain\":\"more.example.org\"", NULL },
	{ A "," R ",\"address6\":\"2001:db8::7/64\",\"router6\":\"fe80::1\"", NULL, NULL },
	{ A "," R ",\"address6\":\"2001:db8::7/64\"", NULL, "/gateways/0/router6: is missing" },
	{ A ",\"router\":\"198.51.101.1\"", NULL, "no other machine on the network of 198.51.100.7/24" },
	{ A ",\"router\":\"198.51.100.7\"", NULL, "no other machine" },
	{ A, NULL, "router" },
	{ A "," R ",\"domain\":\"apps.example.org\"", A "," R ",\"domain\":\"apps.example.org\"", "/gateways/1/domain: is that of gateways/0" },
	{ A "," R ",\"card\":\"../x\"", NULL, "/gateways/0/card" },
	{ A "," R ",\"domain\":\"Apps\"", NULL, "/gateways/0/domain" },
	{ A "," R ACME ",\"acme_ca\":\"-----BEGIN CERTIFICATE-----\\nMA==\\n\",\"acme_email\":\"host.master+1@example.org\"", NULL, NULL },
	{ A "," R ",\"acme\":\"https://192.0.2.9:14000/dir\"", NULL, NULL },
	{ A "," R ",\"acme\":\"http://ca.example/dir\"", NULL, "'http://ca.example/dir' is not the https:// URL" },
	{ A "," R ",\"acme\":\"https://ca.example/dir -h /x\"", NULL, "/gateways/0/acme: " },
	{ A "," R ",\"acme\":\"https://\"", NULL, "/gateways/0/acme: " },
	{ A "," R ACME ",\"acme_ca\":\"a file's name\"", NULL, "is not certificates in PEM" },
	{ A "," R ACME ",\"acme_ca\":\"-----BEGIN CERTIFICATE-----\\u0007\"", NULL, "/gateways/0/acme_ca" },
	{ A "," R ACME ",\"acme_email\":\"a\\\"b@example.org\"", NULL, "/gateways/0/acme_email" },
	{ A "," R ACME ",\"acme_email\":\"-y@example.org\"", NULL, "/gateways/0/acme_email" },
	{ A "," R ACME ",\"acme_email\":\"example.org\"", NULL, "/gateways/0/acme_email" },
	{ A "," R ",\"acme_email\":\"a@example.org\"", NULL, "/gateways/0/acme: is missing, and 'acme_email' goes with it" },
	{ A "," R ",\"acme_ca\":\"-----BEGIN CERTIFICATE-----\"", NULL, "/gateways/0/acme: is missing, and 'acme_ca' goes with it" },
};

static void farms_are_strict(void)
{
	struct fixture f;

	fixture_new(&f);
	for (size_t i = 0; i < ARRAY_LEN(farms); i++) {
		AUTO_FREE struct farm *farm = calloc(1, sizeof(*farm));
		AUTO_BUF struct buf list = { 0 };
		const struct farm_gateway *g;
		struct err e = { 0 };
		int r;

		buf_addf(&list, "{\"node\":\"%s\",%s}", f.node_text, farms[i].own);
		if (farms[i].others)
			buf_addf(&list, ",{\"node\":\"%s\",%s}", f.other_text, farms[i].others);
		r = farm_of(&f, list.p, farm, &e);
		T_CHECK(farms[i].why ? r == -EBADMSG && strstr(e.msg, farms[i].why) : !r, "row %zu: %d '%s'", i, r, e.msg);
		g = r ? NULL : farm_gateway_find(farm, &f.node.pub);
		T_CHECK(r || (g && !strcmp(g->address, "198.51.100.7/24") && (strcmp(g->card, "eth0") || !farms[i].others)), "row %zu: found", i);
		T_CHECK(r || !farm_gateway_find(farm, &f.owner.pub), "row %zu: nobody else", i);
		farm_deinit(farm);
	}
}

static void a_node_is_a_gateway_once(void)
{
	AUTO_FREE struct farm *farm = calloc(1, sizeof(*farm));
	AUTO_BUF struct buf list = { 0 };
	struct err e = { 0 };
	struct fixture f;

	fixture_new(&f);
	buf_addf(&list, "{\"node\":\"%s\"," A "," R "},{\"node\":\"%s\"," A "," R "}", f.node_text, f.node_text);
	T_CHECK(farm_of(&f, list.p, farm, &e) == -EBADMSG && strstr(e.msg, "/gateways/1/node: stands in gateways/0"), "%s", e.msg);
	farm_deinit(farm);
	list.len = 0;
	buf_addf(&list, "{\"node\":\"%s\"," A "," R "}", f.owner_text);
	T_CHECK(farm_of(&f, list.p, farm, &e) == -EBADMSG && strstr(e.msg, "/gateways/0/node"), "a user: %s", e.msg);
	farm_deinit(farm);
}

int main(void)
{
	T_RUN(names_are_strict);
	T_RUN(backends_arrive);
	T_RUN(farms_are_strict);
	T_RUN(a_node_is_a_gateway_once);
	return T_END();
}
