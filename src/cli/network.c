/* zos network ..., zos gateway list: private networks and who is in them, and what they publish. */
#include "cli/command.h"

#include "base/file.h"
#include "base/parse.h"
#include "cli/access.h"
#include "cli/machine.h"
#include "ident/seal.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#define NETWORK "network"

struct network_args {
	const char *node;
};
static const struct opt network_opts[] = {
	OPT(struct network_args, node, "node", "N...", "on this node (default: where the deployment was sent)"),
};

/* The workloads of DEPLOYMENT whose type begins with TYPE, each with its deployment's name. */
static void list_add(sd_json_variant *deployment, const char *type, sd_json_variant **list)
{
	sd_json_variant *all = sd_json_variant_by_key(deployment, "workloads");

	for (size_t i = 0; sd_json_variant_is_array(all) && i < sd_json_variant_elements(all); i++) {
		AUTO_JSON sd_json_variant *one = sd_json_variant_ref(sd_json_variant_by_index(all, i));

		if (!str_starts(str_c(out_text(one, "type", "")), str_c(type)))
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
	if (!sd_json_variant_elements(list)) {
		printf("No private network of yours is there: a workload of type 'network' in a deployment is one.\n");
		return;
	}
	static const struct out_column columns[COLUMNS] = { { "NETWORK" }, { "STATE", .is_state = true }, { "MACHINE" }, { "IPV4" }, { "IPV6" },
							    { "OUTGOING" } };
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
	char name[80], at[80], age[16], received[16], sent[16];
};

static void path_row_fill(sd_json_variant *network, sd_json_variant *peer, bool is_first, struct path_row *row)
{
	const char *shaken = out_text(peer, "handshake", NULL);
	int64_t then = 0, now = time(NULL);

	snprintf(row->name, sizeof(row->name), "%s/%s", out_text(network, "deployment", "?"), out_text(network, "name", "?"));
	snprintf(row->at, sizeof(row->at), "%s%s", out_text(peer, "endpoint", "-"), strcmp(out_text(peer, "way", ""), "relay") ? "" : " (relay)");
	if (shaken && !parse_utc(str_c(shaken), &then))
		format_duration(row->age, (uint64_t)(now > then ? now - then : 0));
	format_size(row->received, out_u64(peer, "received"));
	format_size(row->sent, out_u64(peer, "sent"));
	row->cells[0] = is_first ? row->name : "";
	row->cells[1] = out_text(peer, "device", out_text(peer, "node", out_text(peer, "key", "?")));
	row->cells[2] = out_text(peer, "subnet", "?");
	row->cells[3] = out_text(peer, "state", "?");
	row->cells[4] = row->at;
	row->cells[5] = then ? row->age : "never";
	row->cells[6] = row->received;
	row->cells[7] = row->sent;
}

static void paths_print(sd_json_variant *list)
{
	enum { ROWS_MAX = 4096 };
	static const struct out_column columns[PATH_COLUMNS] = { { "NETWORK" },  { "PEER" },      { "SUBNET" },   { "STATE", .is_state = true },
								 { "ENDPOINT" }, { "HANDSHAKE" }, { "RECEIVED" }, { "SENT" } };
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

/* The workloads of that type on a node, of the deployment WORD or of all. Returns owned. */
static int workloads_read(const struct network_args *a, const char *type, const char *word, sd_json_variant **ret, struct err *e)
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
			list_add(sd_json_variant_by_index(all, i), type, ret);
	return 0;
}

static int workloads_show(const struct cli *c, const struct network_args *a, const char *type, const char *word, void (*print)(sd_json_variant *list),
			  struct err *e)
{
	AUTO_JSON sd_json_variant *list = NULL;
	int r = workloads_read(a, type, word, &list, e);

	if (r)
		return r;
	if (c->json)
		return out_json(list, e);
	print(list);
	return 0;
}

static int network_paths(const struct cli *c, const void *args, const char **words, struct err *e)
{
	return workloads_show(c, args, NETWORK, words[0], paths_print, e);
}

static int network_list(const struct cli *c, const void *args, const char **words, struct err *e)
{
	return workloads_show(c, args, NETWORK, words[0], list_print, e);
}

enum { NAME_COLUMNS = 6 };

/* The day is enough of it; TEXT keeps it. */
static const char *https_text(sd_json_variant *name, char text[static 24])
{
	sd_json_variant *certificate = sd_json_variant_by_key(name, "certificate");
	const char *until = certificate ? out_text(certificate, "until", "") : "";

	if (sd_json_variant_is_boolean(sd_json_variant_by_key(name, "tls_passthrough")) &&
	    sd_json_variant_boolean(sd_json_variant_by_key(name, "tls_passthrough")))
		return "passed on";
	if (!until[0])
		return certificate ? "not yet" : "-";
	snprintf(text, 24, "to %.10s", until);
	return text;
}

/* A published name has a line for each of its backends. */
static size_t name_cells(sd_json_variant *name, char https[static 24], const char **cells, size_t max)
{
	sd_json_variant *backends = sd_json_variant_by_key(name, "backends");
	size_t n = sd_json_variant_is_array(backends) ? sd_json_variant_elements(backends) : 0, i = 0;

	do {
		const char **row = &cells[NAME_COLUMNS * i];

		row[0] = i ? "" : out_text(name, "fqdn", "-");
		row[1] = i ? "" : out_text(name, "state", "?");
		row[2] = element(backends, i);
		row[3] = i ? "" : https_text(name, https);
		row[4] = i ? "" : out_text(name, "deployment", "?");
		row[5] = i ? "" : out_text(name, "message", "");
	} while (++i < n && i < max);
	return i;
}

static void names_print(sd_json_variant *list)
{
	enum { ROWS_MAX = 4096 };
	static const struct out_column columns[NAME_COLUMNS] = { { "NAME" },       { "STATE", .is_state = true },
								 { "BACKEND" },    { "HTTPS" },
								 { "DEPLOYMENT" }, { "MESSAGE" } };
	AUTO_FREE const char **cells = calloc((size_t)ROWS_MAX * NAME_COLUMNS, sizeof(*cells));
	AUTO_FREE char(*https)[24] = calloc(ROWS_MAX, sizeof(*https));
	size_t n = 0;

	BUG_ON(!cells || !https);
	for (size_t i = 0; i < sd_json_variant_elements(list) && n < ROWS_MAX; i++)
		n += name_cells(sd_json_variant_by_index(list, i), https[i], &cells[NAME_COLUMNS * n], ROWS_MAX - n);
	if (n)
		out_table(columns, NAME_COLUMNS, cells, n);
	else
		printf("No name of yours is published there: a workload of type 'gateway-name-proxy' or 'gateway-fqdn-proxy' is one.\n");
}

static int gateway_list(const struct cli *c, const void *args, const char **words, struct err *e)
{
	return workloads_show(c, args, "gateway-", words[0], names_print, e);
}

struct join_args {
	const char *node, *out, *endpoint;
	bool qr;
};
static const struct opt join_opts[] = {
	OPT(struct join_args, node, "node", "N...", "on this node (default: where the deployment was sent)"),
	OPT(struct join_args, out, "out", "FILE", "where the configuration goes; - is standard output (default: DEVICE.conf)"),
	OPT(struct join_args, endpoint, "endpoint", "HOST:PORT", "how the device reaches the node (default: an address that the node says it has)"),
	OPT(struct join_args, qr, "qr", NULL, "show it as a code for a telephone, and write no file but --out's (qrencode draws it)"),
};

/* T's network among LIST; where T names none the one that is there. Borrowed. */
static int network_find(struct target *t, sd_json_variant *list, sd_json_variant **ret, struct err *e)
{
	size_t n = sd_json_variant_elements(list);

	if (!t->machine[0] && n == 1)
		snprintf(t->machine, sizeof(t->machine), "%s", out_text(sd_json_variant_by_index(list, 0), "name", ""));
	for (size_t i = 0; i < n; i++)
		if (!strcmp(out_text(sd_json_variant_by_index(list, i), "name", ""), t->machine)) {
			*ret = sd_json_variant_by_index(list, i);
			return 0;
		}
	return err_set(e, -ENOENT, "which network of '%s'? It has %zu: write %s/NETWORK, as 'zos network list' has it", t->deployment, n,
		       t->deployment);
}

/* NAME as `target` takes it, or that of a deployment alone. */
static int network_target(const char *name, struct target *ret, struct err *e)
{
	if (strchr(name, '/'))
		return target_parse(name, ret, e);
	*ret = (struct target){ 0 };
	snprintf(ret->deployment, sizeof(ret->deployment), "%s", name);
	return 0;
}

/* The private key is in no other place: nothing is written over. */
static int config_write(const char *path, const struct buf *text, struct err *e)
{
	AUTO_FD int fd = -1;

	if (!strcmp(path, "-"))
		return fwrite(text->p, 1, text->len, stdout) == text->len && !fflush(stdout) ? 0 : err_set(e, -errno, "write to standard output: %m");
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text->p, text->len) != (ssize_t)text->len || fsync(fd))
		return err_set(e, -errno, "write %s: %m", path);
	return 0;
}

/* By its standard input: what stands among a program's words is seen by all who use the computer. */
static int code_show(const struct buf *text, struct err *e)
{
	FILE *to = popen("qrencode -t ANSIUTF8", "we");
	int status;

	fflush(stdout);
	if (!to)
		return err_set(e, -errno, "start qrencode: %m");
	fwrite(text->p, 1, text->len, to); /* what it did not get it says */
	status = pclose(to);
	return status ? err_set(e, -EIO, "qrencode could not draw it: take the device out with 'zos network leave' and join it without --qr") : 0;
}

static int join_write(const struct join_args *a, sd_json_variant *status, struct target *t, const struct access_device *d, const char *path,
		      struct err *e)
{
	AUTO_SECRET struct buf text = { 0 };
	AUTO_JSON sd_json_variant *list = NULL;
	sd_json_variant *network;
	int r;

	BUG_ON(sd_json_variant_new_array(&list, NULL, 0) < 0);
	list_add(status, NETWORK, &list);
	if ((r = network_find(t, list, &network, e)) || (r = access_format(network, d, a->endpoint, &text, e)) ||
	    (path && (r = config_write(path, &text, e))) || (a->qr && (r = code_show(&text, e))))
		return r;
	if (path && strcmp(path, "-"))
		fprintf(stderr, "%s: for '%s', which is %s in %s/%s. Bring it up with 'wg-quick up'\n", path, d->name, d->ip, t->deployment,
			t->machine);
	return 0;
}

/* The document again, with D in it; RET_STATUS: owned. */
static int join_send(const struct cli *c, const char *node, const char *deployment, const struct access_device *d, sd_json_variant **ret_status,
		     struct err *e)
{
	AUTO_JSON sd_json_variant *doc = NULL;
	int r;

	if ((r = deployment_read(node, deployment, &doc, e)) || (r = access_add(&doc, d, e)))
		return r;
	if (setenv(ACCESS_SECRET_ENV, d->preshared, true)) /* where sealing looks for it; nothing is started from here */
		return err_set(e, -errno, "keep the key: %m");
	r = deployment_send(c, node, &doc, ret_status, e);
	unsetenv(ACCESS_SECRET_ENV);
	return r;
}

/* Before anything is sent: the keys are made once, and would be lost. */
static int join_check(const struct join_args *a, const char *path, struct err *e)
{
	if (path && strcmp(path, "-") && !access(path, F_OK))
		return err_set(e, -EEXIST, "%s is there already: name another file with --out", path);
	if (a->endpoint && !access_is_endpoint(a->endpoint))
		return err_set(e, -EINVAL, "'%s' is no place for a device to reach: write HOST:PORT", a->endpoint);
	if (a->qr && system("command -v qrencode >/dev/null"))
		return err_set(e, -ENOENT, "there is no 'qrencode' on this machine, which draws the code: install it, or leave out --qr");
	return 0;
}

static int network_join(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct join_args *a = args;
	CLEANUP(access_wipe) struct access_device d = { .name = words[1] };
	AUTO_JSON sd_json_variant *list = NULL, *status = NULL;
	sd_json_variant *network;
	struct target t;
	char name[80];
	const char *path = a->out ? a->out : a->qr ? NULL : name; /* NULL = no file */
	int r;

	if (!name_ok(str_c(words[1])))
		return err_set(e, -EINVAL, "'%s' is not a name: a-z, 0-9 and -, at most 36 characters", words[1]);
	snprintf(name, sizeof(name), "%s.conf", words[1]);
	if ((r = join_check(a, path, e)))
		return r;
	if ((r = network_target(words[0], &t, e)) || (r = workloads_read(&(struct network_args){ a->node }, NETWORK, t.deployment, &list, e)) ||
	    (r = network_find(&t, list, &network, e)))
		return r;
	d.network = t.machine;
	if ((r = access_keys_make(&d, e)) || (r = access_ip_choose(network, &d, e)) || (r = join_send(c, a->node, t.deployment, &d, &status, e)))
		return r;
	return join_write(a, status, &t, &d, path, e);
}

static int network_leave(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct network_args *a = args;
	AUTO_JSON sd_json_variant *list = NULL, *doc = NULL;
	sd_json_variant *network;
	struct target t;
	int r;

	if ((r = network_target(words[0], &t, e)) || (r = workloads_read(a, NETWORK, t.deployment, &list, e)) ||
	    (r = network_find(&t, list, &network, e)) || (r = deployment_read(a->node, t.deployment, &doc, e)) ||
	    (r = access_remove(&doc, t.machine, words[1], e)))
		return r;
	return deployment_send(c, a->node, &doc, NULL, e);
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
	{ .name = "network join",
	  .words = "DEPLOYMENT[/NETWORK] DEVICE",
	  .help = "let a device of yours into a private network: writes what its WireGuard needs",
	  .opts = join_opts,
	  .n_opts = ARRAY_LEN(join_opts),
	  .args_size = sizeof(struct join_args),
	  .min_words = 2,
	  .max_words = 2,
	  .run = network_join },
	{ .name = "network leave",
	  .words = "DEPLOYMENT[/NETWORK] DEVICE",
	  .help = "take a device out of a private network",
	  .opts = network_opts,
	  .n_opts = ARRAY_LEN(network_opts),
	  .args_size = sizeof(struct network_args),
	  .min_words = 2,
	  .max_words = 2,
	  .run = network_leave },
	{ .name = "gateway list",
	  .words = "[DEPLOYMENT]",
	  .help = "the names that you have published on a node, and how their backends do",
	  .opts = network_opts,
	  .n_opts = ARRAY_LEN(network_opts),
	  .args_size = sizeof(struct network_args),
	  .max_words = 1,
	  .run = gateway_list },
};
const size_t n_network_commands = ARRAY_LEN(network_commands);
