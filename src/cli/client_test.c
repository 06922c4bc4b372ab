/* Which node a client means, or takes when none is named. */
#include "cli/client.h"

#include "test/t.h"

enum { NODES_MAX = 3, GIB = 1 << 30 };

struct row {
	struct {
		uint64_t total, used;
		bool stranger, drained;
	} nodes[NODES_MAX];
	size_t n;
	uint64_t memory_bytes;
	int want; /* the index, or the error */
	const char *msg;
};

static const struct row rows[] = {
	{ { { 4, 1 }, { 4, 0 }, { 2, 0 } }, 3, 1, 1, NULL },
	{ { { 4, 1 }, { 4, 0, .drained = true }, { 2, 0 } }, 3, 1, 0, NULL },
	{ { { 4, 1 }, { 8, 0, .stranger = true }, { 2, 0 } }, 3, 3, 0, NULL },
	{ { { 4, 1 }, { 8, 0, .stranger = true }, { 2, 0 } },
	  3,
	  4,
	  -ENOSPC,
	  "no node has 4.0 GiB of memory free: of your 2 nodes (0 drained) the roomiest has 3.0 GiB" },
	{ { { 4, 0, .drained = true }, { 4, 0, .drained = true } }, 2, 1, -ENOSPC, "of your 2 nodes (2 drained)" },
	{ { { 4, 4, .drained = true } }, 1, 9, 0, NULL }, /* the only one: what is wrong it says itself */
	{ { { 4, 4, .stranger = true } }, 1, 1, -EACCES, "not approved by your farm" },
	{ { { 0 } }, 0, 1, -ENOENT, "no node is on your hubs" },
};

static void the_roomiest_takes_it(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct record nodes[NODES_MAX] = { 0 };
		struct client c = CLIENT_NONE;
		const struct record *got = NULL;
		struct err e = { 0 };
		int r;

		c.nodes = nodes;
		c.n_nodes = rows[i].n;
		c.profile.farm.role = KEY_FARM;
		for (size_t k = 0; k < rows[i].n; k++) {
			nodes[k] = (struct record){ .node.role = KEY_NODE,
						    .farm = c.profile.farm,
						    .approved = !rows[i].nodes[k].stranger,
						    .is_drained = rows[i].nodes[k].drained };
			T_NEED(sd_json_buildo(&nodes[k].capacity, SD_JSON_BUILD_PAIR_UNSIGNED("memory", rows[i].nodes[k].total * GIB),
					      SD_JSON_BUILD_PAIR_UNSIGNED("memory_used", rows[i].nodes[k].used * GIB)) >= 0,
			       "build");
		}
		r = client_roomiest(&c, rows[i].memory_bytes * GIB, &got, &e);
		T_CHECK(rows[i].want < 0 ? r == rows[i].want : !r && got == &nodes[rows[i].want], "row %zu: %d %s", i, r, e.msg);
		T_CHECK(!rows[i].msg || strstr(e.msg, rows[i].msg), "row %zu: '%s'", i, e.msg);
		for (size_t k = 0; k < rows[i].n; k++)
			sd_json_variant_unref(nodes[k].capacity);
	}
}

int main(void)
{
	T_RUN(the_roomiest_takes_it);
	return T_END();
}
