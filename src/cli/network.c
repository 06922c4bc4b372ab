/* zos network ...: private networks and who is in them. */
#include "cli/command.h"

#include "base/parse.h"

#include <stdio.h>
#include <time.h>

struct network_args {
	const char *node;
};
static const struct opt network_opts[] = {
	OPT(struct network_args, node, "node", "N...", "on this node (default: where the deployment was sent)"),
};

/* The networks of DEPLOYMENT, each with its deployment's name. */
static void list_add(sd_json_variant *deployment, sd_json_variant **list)
{
	sd_json_variant *all = sd_json_variant_by_key(deployment, "workloads");

	for (size_t i = 0; sd_json_variant_is_array(all) && i < sd_json_variant_elements(all); i++) {
		AUTO_JSON sd_json_variant *one = sd_json_variant_ref(sd_json_variant_by_index(all, i));

		if (strcmp(out_text(one, "type", ""), "network"))
			continue;
		BUG_ON(sd_json_variant_set_field_string(&one, "deployment", out_text(deployment, "name", "?")) < 0 ||
		       sd_json_variant_append_array(list, one) < 0);
	}
}

static const char *element(sd_json_variant *list, size_t i)
{
	sd_json_variant *one = sd_json_variant_is_array(list) && i < sd_json_variant_elements(list) ? sd_json_variant_by_index(list, i) : NULL;

	return sd_json_variant_is_string(one) ? sd_json_variant_string(one) : "-";
}

enum { COLUMNS = 6 };
struct row {
	const char *cells[COLUMNS];
	char name[80];
};

static void rows_add(sd_json_variant *network, struct row *rows, size_t *n, size_t max)
{
	sd_json_variant *machines = sd_json_variant_by_key(network, "machines");
	size_t n_machines = sd_json_variant_is_array(machines) ? sd_json_variant_elements(machines) : 0;
	sd_json_variant *gateway = sd_json_variant_by_key(network, "gateway");

	for (size_t i = 0; i <= n_machines && *n < max; i++) {
		struct row *row = &rows[(*n)++];
		sd_json_variant *machine = i ? sd_json_variant_by_index(machines, i - 1) : NULL;
		sd_json_variant *ip = i ? sd_json_variant_by_key(machine, "ip") : gateway;

		snprintf(row->name, sizeof(row->name), "%s/%s", out_text(network, "deployment", "?"), out_text(network, "name", "?"));
		row->cells[0] = i ? "" : row->name;
		row->cells[1] = i ? "" : out_text(network, "state", "?");
		row->cells[2] = i ? out_text(machine, "name", "?") : "(gateway)";
		row->cells[3] = element(ip, 0);
		row->cells[4] = element(ip, 1);
		row->cells[5] = i ? "" : out_true(network, "outgoing") ? "yes" : "no";
	}
}

static void list_print(sd_json_variant *list)
{
	enum { ROWS_MAX = 4096 };
	struct out_column columns[COLUMNS] = { { "NETWORK", 0 }, { "STATE", 0 }, { "MACHINE", 0 }, { "IPV4", 0 }, { "IPV6", 0 }, { "OUTGOING", 0 } };
	AUTO_FREE struct row *rows = calloc(ROWS_MAX, sizeof(*rows));
	AUTO_FREE const char **cells = calloc((size_t)ROWS_MAX * COLUMNS, sizeof(*cells));
	size_t n = 0;

	BUG_ON(!rows || !cells);
	for (size_t i = 0; i < sd_json_variant_elements(list); i++)
		rows_add(sd_json_variant_by_index(list, i), rows, &n, ROWS_MAX);
	for (size_t i = 0; i < n; i++)
		memcpy(&cells[COLUMNS * i], rows[i].cells, sizeof(rows[i].cells));
	out_table(columns, COLUMNS, cells, n);
}

enum { PATH_COLUMNS = 8 };
struct path_row {
	const char *cells[PATH_COLUMNS];
	char name[80], age[16], received[16], sent[16];
};

static void path_row_fill(sd_json_variant *network, sd_json_variant *peer, bool is_first, struct path_row *row)
{
	const char *shaken = out_text(peer, "handshake", NULL);
	int64_t then = 0, now = time(NULL);

	snprintf(row->name, sizeof(row->name), "%s/%s", out_text(network, "deployment", "?"), out_text(network, "name", "?"));
	if (shaken && !parse_utc(str_c(shaken), &then))
		format_duration(row->age, (uint64_t)(now > then ? now - then : 0));
	format_size(row->received, out_u64(peer, "received"));
	format_size(row->sent, out_u64(peer, "sent"));
	row->cells[0] = is_first ? row->name : "";
	row->cells[1] = out_text(peer, "node", out_text(peer, "key", "?"));
	row->cells[2] = out_text(peer, "subnet", "?");
	row->cells[3] = out_text(peer, "state", "?");
	row->cells[4] = out_text(peer, "endpoint", "-");
	row->cells[5] = then ? row->age : "never";
	row->cells[6] = row->received;
	row->cells[7] = row->sent;
}

static void paths_print(sd_json_variant *list)
{
	enum { ROWS_MAX = 4096 };
	struct out_column columns[PATH_COLUMNS] = { { "NETWORK", 0 },  { "PEER", 0 },      { "SUBNET", 0 },   { "STATE", 0 },
						    { "ENDPOINT", 0 }, { "HANDSHAKE", 0 }, { "RECEIVED", 0 }, { "SENT", 0 } };
	AUTO_FREE struct path_row *rows = calloc(ROWS_MAX, sizeof(*rows));
	AUTO_FREE const char **cells = calloc((size_t)ROWS_MAX * PATH_COLUMNS, sizeof(*cells));
	size_t n = 0;

	BUG_ON(!rows || !cells);
	for (size_t i = 0; i < sd_json_variant_elements(list); i++) {
		sd_json_variant *network = sd_json_variant_by_index(list, i), *peers = sd_json_variant_by_key(network, "peers");

		for (size_t k = 0; sd_json_variant_is_array(peers) && k < sd_json_variant_elements(peers) && n < ROWS_MAX; k++)
			path_row_fill(network, sd_json_variant_by_index(peers, k), !k, &rows[n++]);
	}
	for (size_t i = 0; i < n; i++)
		memcpy(&cells[PATH_COLUMNS * i], rows[i].cells, sizeof(rows[i].cells));
	if (n)
		out_table(columns, PATH_COLUMNS, cells, n);
	else
		printf("None of these networks has peers.\n");
}

/* The networks on a node, of the deployment WORD or of all. Returns owned. */
static int networks_read(const struct network_args *a, const char *word, sd_json_variant **ret, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_LINK struct link link = { 0 };
	AUTO_JSON sd_json_variant *reply = NULL;
	const struct record *where;
	sd_json_variant *all;
	int r;

	if ((r = client_open(&client, KEY_USER, e)) ||
	    (r = word ? deployment_node(&client, a->node, word, &where, e) : client_node(&client, a->node, false, &where, e)) ||
	    (r = link_open(&client, where, &link, e)) || (r = link_call(&link, "zos.Deployment.List", NULL, &reply, e)))
		return r;
	BUG_ON(sd_json_variant_new_array(ret, NULL, 0) < 0);
	all = sd_json_variant_by_key(reply, "deployments");
	for (size_t i = 0; sd_json_variant_is_array(all) && i < sd_json_variant_elements(all); i++)
		if (!word || !strcmp(out_text(sd_json_variant_by_index(all, i), "name", ""), word))
			list_add(sd_json_variant_by_index(all, i), ret);
	return 0;
}

static int network_paths(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_JSON sd_json_variant *list = NULL;
	int r = networks_read(args, words[0], &list, e);

	if (r)
		return r;
	if (c->json)
		return out_json(list, e);
	paths_print(list);
	return 0;
}

static int network_list(const struct cli *c, const void *args, const char **words, struct err *e)
{
	AUTO_JSON sd_json_variant *list = NULL;
	int r = networks_read(args, words[0], &list, e);

	if (r)
		return r;
	if (c->json)
		return out_json(list, e);
	if (!sd_json_variant_elements(list))
		printf("No private network of yours is there: a workload of type 'network' in a deployment is one.\n");
	else
		list_print(list);
	return 0;
}

const struct command network_commands[] = {
	{ .name = "network list",
	  .words = "[DEPLOYMENT]",
	  .help = "your private networks on a node, and who is in them",
	  .opts = network_opts,
	  .n_opts = ARRAY_LEN(network_opts),
	  .args_size = sizeof(struct network_args),
	  .max_words = 1,
	  .run = network_list },
	{ .name = "network paths",
	  .words = "[DEPLOYMENT]",
	  .help = "how a node's end of your networks reaches the others",
	  .opts = network_opts,
	  .n_opts = ARRAY_LEN(network_opts),
	  .args_size = sizeof(struct network_args),
	  .max_words = 1,
	  .run = network_paths },
};
const size_t n_network_commands = ARRAY_LEN(network_commands);
