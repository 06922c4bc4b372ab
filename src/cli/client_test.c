/* Which node a client means, or takes when none is named. */
#include "cli/client.h"

#include "api/deployment.h"
#include "test/t.h"

enum { NODES_MAX = 3, GIB = 1 << 30 };

struct row {
	struct {
		uint64_t total, used;
		bool stranger, drained, kvm;
		uint64_t ssd, hdd, cpu;
		const char *gateway;
		uint64_t addresses; /* one of them used */
	} nodes[NODES_MAX];
	size_t n;
	struct demand asked; /* in GiB, processors */
	int want;            /* the index, or the error */
	const char *msg;
};

static const struct row rows[] = {
	{ { { 4, 1 }, { 4, 0 }, { 2, 0 } }, 3, { 1 }, 1, NULL },
	{ { { 4, 1 }, { 4, 0, .drained = true }, { 2, 0 } }, 3, { 1 }, 0, NULL },
	{ { { 4, 1 }, { 8, 0, .stranger = true }, { 2, 0 } }, 3, { 3 }, 0, NULL },
	{ { { 4, 1 }, { 8, 0, .stranger = true }, { 2, 0 } }, 3, { 4 }, -ENOSPC, "of your 2 nodes (0 drained)" },
	{ { { 4, 1 }, { 8, 0, .stranger = true }, { 2, 0 } }, 3, { 4 }, -ENOSPC, "has 3.0 GiB of memory free, and 4.0 GiB are asked for" },
	{ { { 4, 0, .drained = true }, { 4, 0, .drained = true } }, 2, { 1 }, -ENOSPC, "of your 2 nodes (2 drained)" },
	{ { { 4, 0, .drained = true, .ssd = 9 }, { 4, 0 } }, 2, { .ssd_bytes = 1 }, -ENOSPC, "0 B of SSD free" },
	{ { { 4, 0 }, { 2, 0, .ssd = 9 } }, 2, { 1, .ssd_bytes = 9 }, 1, NULL },
	{ { { 4, 0, .ssd = 9 }, { 2, 0, .hdd = 9 } }, 2, { 1, .hdd_bytes = 1 }, 1, NULL },
	{ { { 4, 0, .ssd = 9 }, { 2, 0, .hdd = 9 } }, 2, { 1, .any_bytes = 9 }, 0, NULL },
	{ { { 4, 0, .ssd = 9, .hdd = 1 }, { 2, 0, .hdd = 9 } }, 2, { 1, .any_bytes = 9, .hdd_bytes = 2 }, -ENOSPC, "1.0 GiB of HDD free" },
	{ { { 4, 0, .ssd = 9, .hdd = 1 }, { 2, 0, .hdd = 9 } }, 2, { 1, .any_bytes = 9, .ssd_bytes = 2 }, -ENOSPC, "8.0 GiB of disk free" },
	{ { { 4, 0, .cpu = 2 }, { 2, 0, .cpu = 4 } }, 2, { 1, .cpu_milli = 3 }, 1, NULL },
	{ { { 4, 0, .cpu = 2 }, { 2, 0, .cpu = 4 } }, 2, { 1, .cpu_milli = 5 }, -ENOSPC, "2 processors, and a machine asks for 5" },
	{ { { 4, 0 }, { 2, 0, .kvm = true } }, 2, { 1, .needs_kvm = true }, 1, NULL },
	{ { { 4, 0 }, { 2, 0 } }, 2, { 1, .needs_kvm = true }, -ENOSPC, "no KVM" },
	{ { { 4, 0 }, { 2, 0, .gateway = "" } }, 2, { 1, .needs_gateway = true }, 1, NULL },
	{ { { 4, 0 }, { 2, 0, .gateway = "apps.example.org" }, { 4, 0, .gateway = "" } }, 3, { 1, .needs_domain = true }, 1, NULL },
	{ { { 4, 0 }, { 2, 0 } }, 2, { 1, .needs_gateway = true }, -ENOSPC, "no public address" },
	{ { { 4, 0, .gateway = "" }, { 2, 0 } }, 2, { 1, .needs_domain = true }, -ENOSPC, "no domain" },
	{ { { 4, 0 }, { 2, 0, .addresses = 3 }, { 3, 0, .addresses = 2 } }, 3, { 1, .n_addresses = 2 }, 1, NULL },
	{ { { 4, 0 }, { 2, 0, .addresses = 2 } }, 2, { 1, .n_addresses = 2 }, -ENOSPC, "too few public addresses free" },
	{ { { 4, 4, .drained = true } }, 1, { 9 }, 0, NULL }, /* the only one: what is wrong it says itself */
	{ { { 4, 4, .stranger = true } }, 1, { 1 }, -EACCES, "not approved by your farm" },
	{ { { 0 } }, 0, { 1 }, -ENOENT, "no node is on your hubs" },
};

static void node_make(const struct client *c, const struct row *row, size_t k, struct record *ret)
{
	*ret = (struct record){
		.node.role = KEY_NODE, .farm = c->profile.farm, .approved = !row->nodes[k].stranger, .is_drained = row->nodes[k].drained
	};
	T_NEED(sd_json_buildo(&ret->capacity, SD_JSON_BUILD_PAIR_UNSIGNED("memory", row->nodes[k].total * GIB),
			      SD_JSON_BUILD_PAIR_UNSIGNED("memory_used", row->nodes[k].used * GIB),
			      SD_JSON_BUILD_PAIR_UNSIGNED("ssd", (row->nodes[k].ssd + 1) * GIB), SD_JSON_BUILD_PAIR_UNSIGNED("ssd_used", GIB),
			      SD_JSON_BUILD_PAIR_UNSIGNED("hdd", (row->nodes[k].hdd + 1) * GIB), SD_JSON_BUILD_PAIR_UNSIGNED("hdd_used", GIB),
			      SD_JSON_BUILD_PAIR_UNSIGNED("cpu_milli", row->nodes[k].cpu * 1000),
			      SD_JSON_BUILD_PAIR_BOOLEAN("kvm", row->nodes[k].kvm), SD_JSON_BUILD_PAIR_UNSIGNED("addresses", row->nodes[k].addresses),
			      SD_JSON_BUILD_PAIR_UNSIGNED("addresses_used", row->nodes[k].addresses ? 1 : 0),
			      SD_JSON_BUILD_PAIR_CONDITION(row->nodes[k].gateway != NULL, "gateway", SD_JSON_BUILD_STRING(row->nodes[k].gateway))) >=
		       0,
	       "build");
}

static void the_roomiest_that_has_it_takes_it(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct demand *a = &rows[i].asked;
		const struct demand asked = { a->memory_bytes * GIB, a->cpu_milli * 1000, a->ssd_bytes * GIB, a->hdd_bytes * GIB, a->any_bytes * GIB,
					      a->needs_kvm,          a->needs_gateway,    a->needs_domain,    a->n_addresses };
		struct record nodes[NODES_MAX] = { 0 };
		struct client c = CLIENT_NONE;
		const struct record *got = NULL;
		struct err e = { 0 };
		int r;

		c.nodes = nodes;
		c.n_nodes = rows[i].n;
		c.profile.farm.role = KEY_FARM;
		for (size_t k = 0; k < rows[i].n; k++)
			node_make(&c, &rows[i], k, &nodes[k]);
		r = client_roomiest(&c, &asked, &got, &e);
		T_CHECK(rows[i].want < 0 ? r == rows[i].want : !r && got == &nodes[rows[i].want], "row %zu: %d %s", i, r, e.msg);
		T_CHECK(!rows[i].msg || strstr(e.msg, rows[i].msg), "row %zu: '%s'", i, e.msg);
		for (size_t k = 0; k < rows[i].n; k++)
			sd_json_variant_unref(nodes[k].capacity);
	}
}

static void what_a_document_asks_for(void)
{
	static const char text[] = "{\"workloads\":["
				   "{\"type\":\"zmachine\",\"data\":{\"memory\":100,\"cpu\":0.5,\"isolation\":\"vm\"}},"
				   "{\"type\":\"zmachine\",\"data\":{\"memory\":200,\"cpu\":3}},"
				   "{\"type\":\"volume\",\"data\":{\"size\":1000,\"class\":\"ssd\"}},"
				   "{\"type\":\"zmount\",\"data\":{\"size\":2000,\"class\":\"hdd\"}},"
				   "{\"type\":\"volume\",\"data\":{\"size\":4000}},"
				   "{\"type\":\"zdb\",\"data\":{\"size\":4000,\"class\":\"any\"}},"
				   "{\"type\":\"gateway-name-proxy\",\"data\":{}},"
				   "{\"type\":\"network\",\"data\":{\"size\":1}}]}";
	AUTO_JSON sd_json_variant *doc = NULL, *empty = NULL;
	struct demand d;

	T_NEED(!json_parse(str_c(text), &doc, NULL) && !json_parse(S("{\"workloads\":[{\"type\":1},7,{\"type\":\"volume\"}]}"), &empty, NULL),
	       "json");
	demand_read(doc, &d);
	T_CHECK(d.memory_bytes == 300 + ZDB_MEMORY_MIN && d.cpu_milli == 3000 && d.needs_kvm && d.needs_domain && !d.needs_gateway, "%llu",
		(unsigned long long)d.memory_bytes);
	T_CHECK(d.ssd_bytes == 1000 && d.hdd_bytes == 2000 && d.any_bytes == 4000 + 5000 + ZDB_DISK_EXTRA, "%llu", (unsigned long long)d.any_bytes);
	demand_read(empty, &d);
	T_CHECK(!d.memory_bytes && !d.any_bytes && !d.needs_kvm, "what is no document is refused elsewhere");
}

int main(void)
{
	T_RUN(the_roomiest_that_has_it_takes_it);
	T_RUN(what_a_document_asks_for);
	return T_END();
}
