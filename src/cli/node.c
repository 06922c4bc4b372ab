#include "cli/command.h"

#include "base/parse.h"

#include <stdio.h>
#include <time.h>

static int node_json(const struct record *r, sd_json_variant **ret)
{
	char node[KEY_TEXT_SIZE], farm[KEY_TEXT_SIZE] = "";

	key_pub_format(node, &r->node);
	if (r->farm.role)
		key_pub_format(farm, &r->farm);
	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("node", node), SD_JSON_BUILD_PAIR_STRING("farm", farm),
	                      SD_JSON_BUILD_PAIR_STRING("farm_name", r->farm_name ? r->farm_name : ""),
	                      SD_JSON_BUILD_PAIR_BOOLEAN("approved", r->approved),
	                      SD_JSON_BUILD_PAIR_STRING("version", r->version ? r->version : ""),
	                      SD_JSON_BUILD_PAIR_STRING("flavour", r->flavour ? r->flavour : ""),
	                      SD_JSON_BUILD_PAIR_UNSIGNED("boot_time", r->boot_s),
	                      SD_JSON_BUILD_PAIR_CONDITION(r->capacity != NULL, "capacity", SD_JSON_BUILD_VARIANT(r->capacity)));
}

static int nodes_json(const struct client *c, struct err *e)
{
	AUTO_JSON sd_json_variant *list = NULL;
	int r = sd_json_variant_new_array(&list, NULL, 0);

	for (size_t i = 0; r >= 0 && i < c->n_nodes; i++) {
		AUTO_JSON sd_json_variant *one = NULL;

		r = node_json(&c->nodes[i], &one);
		if (r >= 0)
			r = sd_json_variant_append_array(&list, one);
	}
	return r < 0 ? err_set(e, -ENOMEM, "print: out of memory") : out_json(list, e);
}

struct node_row {
	char node[KEY_TEXT_SIZE], cpu[24], memory[40], up[16];
};

static void nodes_table(const struct client *c)
{
	enum { COLUMNS = 7 };
	struct out_column columns[COLUMNS] = { { "NODE", 0 }, { "FARM", 0 },   { "APPROVED", 0 }, { "CPU", 0 },
		                               { "MEMORY FREE", 0 }, { "UP", 0 }, { "VERSION", 0 } };
	AUTO_FREE struct node_row *rows = calloc(c->n_nodes + 1, sizeof(*rows));
	AUTO_FREE const char **cells = calloc(COLUMNS * (c->n_nodes + 1), sizeof(*cells));

	BUG_ON(!rows || !cells);
	for (size_t i = 0; i < c->n_nodes; i++) {
		const struct record *r = &c->nodes[i];
		uint64_t total = out_u64(r->capacity, "memory"), used = out_u64(r->capacity, "memory_used");
		char a[16], b[16];
		const char **cell = &cells[COLUMNS * i];

		key_pub_format(rows[i].node, &r->node);
		snprintf(rows[i].cpu, sizeof(rows[i].cpu), "%u", (unsigned)(out_u64(r->capacity, "cpu_milli") / 1000));
		format_size(a, total > used ? total - used : 0);
		format_size(b, total);
		snprintf(rows[i].memory, sizeof(rows[i].memory), "%s of %s", a, b);
		format_duration(rows[i].up, (uint64_t)time(NULL) > r->boot_s ? (uint64_t)time(NULL) - r->boot_s : 0);
		cell[0] = rows[i].node;
		cell[1] = r->farm_name ? r->farm_name : "-";
		cell[2] = r->approved ? "yes" : "no";
		cell[3] = rows[i].cpu;
		cell[4] = rows[i].memory;
		cell[5] = rows[i].up;
		cell[6] = r->version ? r->version : "-";
	}
	out_table(columns, COLUMNS, cells, c->n_nodes);
}

static int node_list(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	int r = client_open(&client, KEY_USER, e);

	(void)args;
	(void)words;
	if (r)
		return r;
	if (c->json)
		return nodes_json(&client, e);
	nodes_table(&client);
	return 0;
}

static void info_print(sd_json_variant *v)
{
	sd_json_variant *capacity = sd_json_variant_by_key(v, "capacity");
	uint64_t total = out_u64(capacity, "memory"), used = out_u64(capacity, "memory_used");
	char free[16], all[16], reserve[16], up[16];

	format_size(free, total > used ? total - used : 0);
	format_size(all, total);
	format_size(reserve, out_u64(capacity, "memory_reserve"));
	format_duration(up, out_u64(v, "now") - out_u64(v, "boot_time"));
	printf("node       %s\n", out_text(v, "node", "-"));
	printf("farm       %s%s\n", out_text(v, "farm_name", "none"),
	       out_true(v, "approved") ? ", approved" : ", not approved yet");
	printf("version    %s (%s), Linux %s\n", out_text(v, "version", "-"), out_text(v, "flavour", "-"), out_text(v, "kernel", "-"));
	printf("up         %s\n", up);
	printf("cpu        %u\n", (unsigned)(out_u64(capacity, "cpu_milli") / 1000));
	printf("memory     %s free of %s for workloads, %s kept for the node\n", free, all, reserve);
	printf("isolation  %s\n", out_true(capacity, "kvm") ? "vm, container" : "container (no KVM)");
	printf("workloads  %u\n", (unsigned)out_u64(v, "workloads"));
	if (!out_true(v, "durable"))
		printf("state      kept until it is switched off: the node has no data disk\n");
}

static int node_info(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_LINK struct link link = { 0 };
	AUTO_JSON sd_json_variant *v = NULL;
	const struct record *node;
	int r;

	(void)args;
	if ((r = client_open(&client, KEY_USER, e)) || (r = client_node(&client, words[0], words[0] != NULL, &node, e)) ||
	    (r = link_open(&client, node, &link, e)) || (r = link_call(&link, "zos.Node.Info", NULL, &v, e)))
		return r;
	if (c->json)
		return out_json(v, e);
	info_print(v);
	return 0;
}

const struct command node_commands[] = {
	{ .name = "node list", .help = "the nodes on your hub", .run = node_list },
	{ .name = "node info", .words = "[N...]", .help = "ask a node about itself", .max_words = 1, .run = node_info },
};
const size_t n_node_commands = ARRAY_LEN(node_commands);
