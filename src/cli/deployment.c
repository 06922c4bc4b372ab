#include "cli/command.h"

#include "base/file.h"
#include "base/parse.h"
#include "cli/document.h"
#include "cli/run.h"

#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <time.h>

enum { DEPLOYMENT_FILE_MAX = 1 << 20, READY_TIMEOUT_MS = 300000 };

int deployment_node(struct client *c, const char *node, const char *name, const struct record **ret, struct err *e)
{
	struct key_pub place;
	char key[KEY_TEXT_SIZE];

	if (node)
		return client_node(c, node, false, ret, e);
	profile_place_get(&c->profile, name, &place);
	if (!place.role)
		return client_node(c, NULL, false, ret, e);
	key_pub_format(key, &place);
	return err_wrap(e, client_node(c, key, false, ret, e), "'%s' was last sent to %.8s...", name, key);
}

/* The next sequence: one above what the node holds, 1 when it holds none. */
static int sequence_next(struct link *l, const char *name, uint64_t *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *arguments = NULL, *status = NULL;
	int r;

	if (sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("name", name)) < 0)
		return err_set(e, -ENOMEM, "ask the node: out of memory");
	r = link_call(l, "zos.Deployment.Get", arguments, &status, e);
	if (r == -ENOENT) {
		*ret = 1;
		return 0;
	}
	if (!r)
		*ret = out_u64(status, "sequence") + 1;
	return r;
}

struct waiting {
	const struct cli *cli;
	uint64_t sequence;
	char problem[400];
	sd_json_variant *last; /* owned */
};
enum { ALL_OK = 1 };

/* One line for the workload that is furthest behind. */
static int on_status(void *ctx, sd_json_variant *status)
{
	struct waiting *w = ctx;
	sd_json_variant *list = sd_json_variant_by_key(status, "workloads");
	size_t n = sd_json_variant_is_array(list) ? sd_json_variant_elements(list) : 0, ok = 0;

	json_unrefp(&w->last);
	w->last = sd_json_variant_ref(status);
	for (size_t i = 0; i < n; i++) {
		sd_json_variant *one = sd_json_variant_by_index(list, i), *progress = sd_json_variant_by_key(one, "progress");
		const char *state = out_text(one, "state", "?"), *message = out_text(one, "message", "");
		char line[160];

		if (!strcmp(state, "ok") || !strcmp(state, "gone") || !strcmp(state, "degraded")) {
			ok++;
			continue;
		}
		snprintf(line, sizeof(line), "%s: %s %s", out_text(one, "name", "?"), state, out_text(progress, "what", message));
		out_progress(w->cli, line, out_u64(progress, "done"), out_u64(progress, "total"));
		if (!strcmp(state, "retrying"))
			snprintf(w->problem, sizeof(w->problem), "%s: %s", out_text(one, "name", "?"), message);
	}
	return ok == n && out_u64(status, "sequence") >= w->sequence ? ALL_OK : 0;
}

static int wait_until_ok(const struct cli *c, struct link *l, const char *name, uint64_t sequence, sd_json_variant **ret, struct err *e)
{
	struct waiting w = { .cli = c, .sequence = sequence };
	AUTO_JSON sd_json_variant *arguments = NULL;
	int r = sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("name", name));

	if (r < 0)
		return err_set(e, r, "watch the deployment: %s", strerror(-r));
	r = link_watch(l, "zos.Deployment.Watch", arguments, READY_TIMEOUT_MS, on_status, &w, e);
	out_progress_end(c);
	if (r == -ETIMEDOUT)
		r = err_set(e, r, "'%s' is not up after %d s, the node goes on trying%s%s", name, READY_TIMEOUT_MS / 1000, w.problem[0] ? ": " : "",
			    w.problem);
	*ret = take_ptr(w.last);
	return r < 0 ? r : 0;
}

int deployment_wait(const struct cli *c, struct link *l, const char *name, sd_json_variant **ret, struct err *e)
{
	return wait_until_ok(c, l, name, 0, ret, e);
}

enum { ADDRESS_SIZE = 160 }; /* of eight networks, and a NUL */

/* Of what is stored: its size, and what is in it; of a zmount nobody knows that. */
static void size_format(sd_json_variant *one, char ret[static 48])
{
	char size[16], used[16];

	format_size(size, out_u64(one, "size"));
	format_size(used, out_u64(one, "used"));
	if (strcmp(out_text(one, "type", ""), "zmount"))
		snprintf(ret, 48, "%s, %s used", size, used);
	else
		snprintf(ret, 48, "%s", size);
}

/* Of a machine its addresses of one family, the private ones where it has any; of a network its gateway's; of an ip what it is. */
static void address_format(sd_json_variant *one, char ret[static ADDRESS_SIZE])
{
	sd_json_variant *gateway = sd_json_variant_by_key(one, "gateway"), *public = sd_json_variant_by_key(one, "addresses");
	sd_json_variant *list = gateway ? gateway : public ? public : sd_json_variant_by_key(one, "ip");
	size_t n = sd_json_variant_is_array(list) ? sd_json_variant_elements(list) : 0;
	struct buf text = { .limit = ADDRESS_SIZE - 1 };

	for (size_t i = n > 2 ? 1 : 0; i < n; i++) {
		sd_json_variant *ip = sd_json_variant_by_index(list, i);
		const char *address = sd_json_variant_is_string(ip) ? sd_json_variant_string(ip) : "?";

		if (!strchr(address, ':'))
			buf_addf(&text, "%s%s", text.len ? " " : "", address);
	}
	snprintf(ret, ADDRESS_SIZE, "%s", text.len && !buf_check(&text) ? text.p : "-");
	buf_deinit(&text);
}

static void status_print(sd_json_variant *status)
{
	enum { COLUMNS = 7 };
	static const struct out_column columns[COLUMNS] = {
		{ "WORKLOAD" }, { "STATE", .is_state = true },       { "HEALTH", .is_state = true }, { "KIND" }, { "ADDRESS" },
		{ "RESTARTS" }, { "IMAGE, SIZE, SUBNET OR NAME", 0 }
	};
	sd_json_variant *list = sd_json_variant_by_key(status, "workloads");
	size_t n = sd_json_variant_is_array(list) ? sd_json_variant_elements(list) : 0;
	AUTO_FREE const char **cells = calloc(COLUMNS * (n + 1), sizeof(*cells));
	AUTO_FREE char(*restarts)[24] = calloc(n + 1, sizeof(*restarts));
	AUTO_FREE char(*sizes)[48] = calloc(n + 1, sizeof(*sizes));
	AUTO_FREE char(*addresses)[ADDRESS_SIZE] = calloc(n + 1, sizeof(*addresses));

	BUG_ON(!cells || !restarts || !sizes || !addresses);
	for (size_t i = 0; i < n; i++) {
		sd_json_variant *one = sd_json_variant_by_index(list, i);
		const char **cell = &cells[COLUMNS * i];

		size_format(one, sizes[i]);
		address_format(one, addresses[i]);
		snprintf(restarts[i], sizeof(restarts[i]), "%" PRIu64, out_u64(one, "restarts"));
		cell[0] = out_text(one, "name", "?");
		cell[1] = out_text(one, "state", "?");
		cell[2] = out_text(sd_json_variant_by_key(one, "health"), "state", "-");
		cell[3] = out_text(one, "isolation", out_text(one, "type", "?"));
		cell[4] = addresses[i];
		cell[5] = restarts[i];
		cell[6] = out_text(one, "image", out_text(one, "subnet", out_text(one, "fqdn", sizes[i])));
	}
	out_table(columns, COLUMNS, cells, n);
	for (size_t i = 0; i < n; i++) {
		sd_json_variant *one = sd_json_variant_by_index(list, i);

		if (*out_text(one, "message", ""))
			printf("%s: %s\n", out_text(one, "name", "?"), out_text(one, "message", ""));
	}
}

/* What is looked at, for each machine with a check. */
static void checks_print(sd_json_variant *status)
{
	sd_json_variant *list = sd_json_variant_by_key(status, "workloads");

	for (size_t i = 0; sd_json_variant_is_array(list) && i < sd_json_variant_elements(list); i++) {
		sd_json_variant *one = sd_json_variant_by_index(list, i), *health = sd_json_variant_by_key(one, "health");
		struct health_check h;
		char what[600];

		if (!health || health_check_decode(sd_json_variant_by_key(health, "check"), &h, NULL))
			continue;
		if (h.exec)
			snprintf(what, sizeof(what), "%s in it ends with 0", sd_json_variant_string(sd_json_variant_by_index(h.exec, 0)));
		else if (h.tcp)
			snprintf(what, sizeof(what), "port %" PRIu64 " is open", h.tcp);
		else
			snprintf(what, sizeof(what), "port %" PRIu64 " answers GET %s", h.http.port, h.http.path);
		printf("%s: health %s: whether %s, every %" PRIu64 " s, within %" PRIu64 " s; unwell after %" PRIu64 " failures in a row\n",
		       out_text(one, "name", "?"), out_text(health, "state", "?"), what, h.every_s, h.timeout_s, h.failures);
	}
}

/* Where a document goes: where it is told to, where it went last, or where there is most room. */
static int deploy_node(struct client *c, const char *node, const char *name, sd_json_variant *doc, const struct record **ret, struct err *e)
{
	struct key_pub place;
	struct demand demand;

	profile_place_get(&c->profile, name, &place);
	if (node || place.role)
		return deployment_node(c, node, name, ret, e);
	demand_read(doc, &demand);
	return client_roomiest(c, &demand, ret, e);
}

static void changes_print(sd_json_variant *list)
{
	enum { COLUMNS = 3 };
	static const struct out_column columns[COLUMNS] = { { "WORKLOAD" }, { "WOULD" }, { "BECAUSE OF" } };
	size_t n = sd_json_variant_is_array(list) ? sd_json_variant_elements(list) : 0;
	AUTO_FREE const char **cells = calloc(COLUMNS * (n + 1), sizeof(*cells));
	AUTO_FREE char(*because)[160] = calloc(n + 1, sizeof(*because));

	BUG_ON(!cells || !because);
	for (size_t i = 0; i < n; i++) {
		sd_json_variant *one = sd_json_variant_by_index(list, i), *fields = sd_json_variant_by_key(one, "fields");
		struct buf text = { .limit = sizeof(because[i]) - 1 };

		for (size_t k = 0; sd_json_variant_is_array(fields) && k < sd_json_variant_elements(fields); k++)
			buf_addf(&text, "%s%s", k ? ", " : "", sd_json_variant_string(sd_json_variant_by_index(fields, k)));
		snprintf(because[i], sizeof(because[i]), STR_FMT, STR_ARG(buf_str(&text)));
		buf_deinit(&text);
		cells[COLUMNS * i] = out_text(one, "workload", "?");
		cells[COLUMNS * i + 1] = out_text(one, "change", "?");
		cells[COLUMNS * i + 2] = because[i];
	}
	out_table(columns, COLUMNS, cells, n);
}

/* What the node says about a document that is not to be kept. */
static int dry_run(const struct cli *c, struct link *l, const char *name, uint64_t sequence, sd_json_variant *arguments, struct err *e)
{
	AUTO_JSON sd_json_variant *reply = NULL;
	char key[KEY_TEXT_SIZE];
	int r = link_call(l, "zos.Deployment.Check", arguments, &reply, e);

	if (r)
		return r;
	if (c->json)
		return out_json(reply, e);
	changes_print(sd_json_variant_by_key(reply, "changes"));
	key_pub_format(key, &l->node);
	printf("node %.8s... would take '%s' as sequence %" PRIu64 "; nothing was sent to stay\n", key, name, sequence);
	return 0;
}

struct deploy_args {
	const char *node;
	bool no_wait, dry_run;
	sd_json_variant **status; /* where it goes instead of standard output; NULL = there */
};

/* Seals what DOC refers to, with the key whose DIGEST the node's signed record names. */
static int secrets_seal(struct link *l, const char *digest, int dir_fd, sd_json_variant **doc, struct err *e)
{
	AUTO_BUF struct buf key = { 0 };
	int r;

	if (!document_is_open(*doc))
		return 0;
	if ((r = link_seal_key(l, digest, &key, e)))
		return err_wrap(e, r, "/secrets");
	return document_seal(doc, dir_fd, (const uint8_t *)key.p, &l->client->key.pub, &l->node, e);
}

/* Sends DOC and, unless told otherwise, waits until it is true. Files that it names are looked for from DIR_FD on. */
static int deploy(const struct cli *c, const struct deploy_args *a, sd_json_variant **doc, int dir_fd, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_LINK struct link link = { 0 };
	AUTO_JSON sd_json_variant *arguments = NULL, *reply = NULL, *status = NULL;
	const struct record *where;
	char key[KEY_TEXT_SIZE], seal[SEAL_DIGEST_LEN + 1], name[40]; /* copies: what they are taken from is replaced */
	uint64_t sequence = 0;
	int r;

	snprintf(name, sizeof(name), "%s", out_text(*doc, "name", ""));
	if (!name_ok(str_c(name)))
		return err_set(e, -EINVAL, "/name: '%s' is not a name: a-z, 0-9 and -, at most 36 characters", name);
	if ((r = document_resolve(doc, e)) || (r = client_open(&client, KEY_USER, e)) || (r = deploy_node(&client, a->node, name, *doc, &where, e)))
		return r;
	snprintf(seal, sizeof(seal), "%s", where->seal_key ? where->seal_key : "");
	if ((r = link_open(&client, where, &link, e)) || (r = secrets_seal(&link, seal, dir_fd, doc, e)) ||
	    (r = sequence_next(&link, name, &sequence, e)) || (r = document_sign(doc, &client.key, &link.node, sequence, &arguments, e)))
		return r;
	if (a->dry_run)
		return dry_run(c, &link, name, sequence, arguments, e);
	if ((r = link_call(&link, "zos.Deployment.Deploy", arguments, &reply, e)))
		return r;
	profile_place_set(&client.profile, name, &link.node);
	key_pub_format(key, &link.node);
	if (!c->json)
		fprintf(stderr, "%s: accepted by node %.8s... as sequence %" PRIu64 "\n", name, key, sequence);
	if (a->no_wait)
		return c->json ? out_json(reply, e) : 0;
	if ((r = wait_until_ok(c, &link, name, sequence, &status, e)))
		return r;
	if (a->status)
		*a->status = take_ptr(status);
	else if (c->json)
		return out_json(status, e);
	else
		status_print(status);
	return 0;
}

int deployment_send(const struct cli *c, const char *node, sd_json_variant **doc, sd_json_variant **ret_status, struct err *e)
{
	return deploy(c, &(struct deploy_args){ .node = node, .status = ret_status }, doc, AT_FDCWD, e);
}

static const struct opt deploy_opts[] = {
	OPT(struct deploy_args, node, "node", "N...",
	    "on this node (the start of its key is enough; default: the one with most memory free that has what it asks for)"),
	OPT(struct deploy_args, dry_run, "dry-run", NULL, "ask the node what it would change, and change nothing"),
	OPT(struct deploy_args, no_wait, "no-wait", NULL, "return as soon as the node has accepted it"),
};

static int cmd_deploy(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct deploy_args *a = args;
	AUTO_BUF struct buf text = { 0 };
	AUTO_JSON sd_json_variant *doc = NULL;
	int r = file_read(AT_FDCWD, words[0], DEPLOYMENT_FILE_MAX, &text, e);

	if (r || (r = json_parse(buf_str(&text), &doc, e)))
		return err_wrap(e, r, "%s", words[0]);
	AUTO_FREE char *path = strdup(words[0]);
	BUG_ON(!path);
	AUTO_FD int dir_fd = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return err_set(e, -errno, "open the directory of %s: %m", words[0]);
	return deploy(c, a, &doc, dir_fd, e);
}

struct run_all {
	struct deploy_args deploy;
	struct run_args run;
};
static const struct opt run_opts[] = {
	OPT(struct run_all, run.name, "name", "NAME", "of the deployment and its machine (default: from the image)"),
	OPT(struct run_all, run.cpu, "cpu", "N", "CPUs (default 1)"),
	OPT_SIZE(struct run_all, run.bandwidth, "bandwidth", "bytes a second that it may receive, and send (default: what there is)"),
	OPT_SIZE(struct run_all, run.memory_bytes, "memory", "memory (default 256MiB, with --disk 1GiB)"),
	OPT(struct run_all, run.vm, "vm", NULL, "as a virtual machine"),
	OPT(struct run_all, run.container, "container", NULL, "as a container"),
	OPT(struct run_all, run.secrets, "secret", "NAME[=FILE]",
	    "a variable in its environment, sealed to the node; without FILE taken from here (any number)"),
	OPT(struct run_all, run.login, "login", "USER", "who asks the registry for the image"),
	OPT(struct run_all, run.password, "password", "FILE", "with that password or token, sealed to the node"),
	OPT(struct run_all, run.disk, "disk", NULL, "boot the disk image in the image's /disk, as a virtual machine"),
	OPT(struct run_all, run.user_data, "user-data", "FILE", "for the disk image's cloud-init; it travels in clear in the signed document"),
	OPT(struct run_all, run.publish, "publish", "NAME[:PORT]",
	    "its port (default 80) under that name of a gateway's domain, or under a whole name of yours"),
	OPT(struct run_all, deploy.node, "node", "N...", "on this node"),
	OPT(struct run_all, deploy.no_wait, "no-wait", NULL, "return as soon as the node has accepted it"),
};

static int cmd_run(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct run_all *a = args;
	AUTO_JSON sd_json_variant *doc = NULL;
	int r = run_document(&a->run, words, &doc, e);

	return r ? r : deploy(c, &a->deploy, &doc, AT_FDCWD, e);
}

struct node_args {
	const char *node;
};
static const struct opt node_opts[] = {
	OPT(struct node_args, node, "node", "N...", "on this node"),
};

static int cmd_delete(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct node_args *a = args;
	AUTO_JSON sd_json_variant *doc = NULL;
	int r = sd_json_buildo(&doc, SD_JSON_BUILD_PAIR_STRING("name", words[0]), SD_JSON_BUILD_PAIR("workloads", SD_JSON_BUILD_EMPTY_ARRAY));

	if (r < 0)
		return err_set(e, r, "describe the deployment: %s", strerror(-r));
	return deploy(c, &(struct deploy_args){ .node = a->node }, &doc, AT_FDCWD, e);
}

static int cmd_get(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct node_args *a = args;
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_LINK struct link link = { 0 };
	AUTO_JSON sd_json_variant *arguments = NULL, *status = NULL;
	const struct record *where;
	int r;

	if (sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("name", words[0])) < 0)
		return err_set(e, -ENOMEM, "ask the node: out of memory");
	if ((r = client_open(&client, KEY_USER, e)) || (r = deployment_node(&client, a->node, words[0], &where, e)) ||
	    (r = link_open(&client, where, &link, e)) || (r = link_call(&link, "zos.Deployment.Get", arguments, &status, e)))
		return r;
	if (c->json)
		return out_json(status, e);
	printf("%s, sequence %" PRIu64 "%s\n", words[0], out_u64(status, "sequence"), out_true(status, "deleted") ? ", deleted" : "");
	status_print(status);
	checks_print(status);
	return 0;
}

static int on_watched(void *ctx, sd_json_variant *status)
{
	const struct cli *c = ctx;
	struct err e;
	time_t now = time(NULL);
	struct tm at;
	char clock[16] = "";

	if (c->json)
		return out_json_line(status, &e);
	if (localtime_r(&now, &at))
		strftime(clock, sizeof(clock), "%H:%M:%S", &at);
	printf("%s  sequence %" PRIu64 "%s\n", clock, out_u64(status, "sequence"), out_true(status, "deleted") ? ", deleted" : "");
	status_print(status);
	fflush(stdout);
	return 0;
}

static int cmd_watch(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct node_args *a = args;
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_LINK struct link link = { 0 };
	AUTO_JSON sd_json_variant *arguments = NULL;
	const struct record *where;
	int r;

	if (sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("name", words[0])) < 0)
		return err_set(e, -ENOMEM, "ask the node: out of memory");
	if ((r = client_open(&client, KEY_USER, e)) || (r = deployment_node(&client, a->node, words[0], &where, e)) ||
	    (r = link_open(&client, where, &link, e)))
		return r;
	return link_watch(&link, "zos.Deployment.Watch", arguments, 0, on_watched, (void *)c, e);
}

int deployment_read(const char *node, const char *name, sd_json_variant **ret, struct err *e)
{
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_LINK struct link link = { 0 };
	AUTO_JSON sd_json_variant *arguments = NULL, *reply = NULL;
	const struct record *where;
	int r;

	if (sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("name", name)) < 0)
		return err_set(e, -ENOMEM, "ask the node: out of memory");
	if ((r = client_open(&client, KEY_USER, e)) || (r = deployment_node(&client, node, name, &where, e)) ||
	    (r = link_open(&client, where, &link, e)) || (r = link_call(&link, "zos.Deployment.Document", arguments, &reply, e)))
		return r;
	return document_bare(sd_json_variant_by_key(reply, "document"), ret, e);
}

static int cmd_export(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct node_args *a = args;
	AUTO_JSON sd_json_variant *bare = NULL;
	int r = deployment_read(a->node, words[0], &bare, e);

	(void)c; /* it is JSON anyway */
	return r ? r : out_json(bare, e);
}

static void list_print(sd_json_variant *deployments)
{
	for (size_t i = 0; i < sd_json_variant_elements(deployments); i++) {
		sd_json_variant *one = sd_json_variant_by_index(deployments, i);

		printf("%s%s (sequence %" PRIu64 ")\n", i ? "\n" : "", out_text(one, "name", "?"), out_u64(one, "sequence"));
		status_print(one);
	}
}

static int cmd_ps(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct node_args *a = args;
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_LINK struct link link = { 0 };
	AUTO_JSON sd_json_variant *reply = NULL;
	sd_json_variant *list;
	const struct record *where;
	int r;

	(void)words;
	if ((r = client_open(&client, KEY_USER, e)) || (r = client_node(&client, a->node, false, &where, e)) ||
	    (r = link_open(&client, where, &link, e)) || (r = link_call(&link, "zos.Deployment.List", NULL, &reply, e)))
		return r;
	if (c->json)
		return out_json(reply, e);
	list = sd_json_variant_by_key(reply, "deployments");
	if (!sd_json_variant_is_array(list) || !sd_json_variant_elements(list))
		printf("Nothing of yours runs there. 'zos run IMAGE' changes that.\n");
	else
		list_print(list);
	return 0;
}

#define NODE_OPTS .opts = node_opts, .n_opts = ARRAY_LEN(node_opts), .args_size = sizeof(struct node_args)
const struct command deployment_commands[] = {
	{ .name = "deploy",
	  .words = "FILE",
	  .help = "bring a deployment (JSON) to a node, or update it",
	  .opts = deploy_opts,
	  .n_opts = ARRAY_LEN(deploy_opts),
	  .args_size = sizeof(struct deploy_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = cmd_deploy },
	{ .name = "run",
	  .words = "IMAGE [-- ARGUMENT...]",
	  .help = "deploy one machine from an image",
	  .opts = run_opts,
	  .n_opts = ARRAY_LEN(run_opts),
	  .args_size = sizeof(struct run_all),
	  .min_words = 1,
	  .max_words = 64,
	  .run = cmd_run },
	{ .name = "ps", .help = "what of yours runs on a node", NODE_OPTS, .run = cmd_ps },
	{ .name = "get", .words = "NAME", .help = "how a deployment stands", NODE_OPTS, .min_words = 1, .max_words = 1, .run = cmd_get },
	{ .name = "watch",
	  .words = "NAME",
	  .help = "each change of a deployment as it happens, until Ctrl-C",
	  NODE_OPTS,
	  .min_words = 1,
	  .max_words = 1,
	  .run = cmd_watch },
	{ .name = "export",
	  .words = "NAME",
	  .help = "a deployment as a file for 'zos deploy', with sizes in bytes",
	  NODE_OPTS,
	  .min_words = 1,
	  .max_words = 1,
	  .run = cmd_export },
	{ .name = "delete", .words = "NAME", .help = "delete a deployment", NODE_OPTS, .min_words = 1, .max_words = 1, .run = cmd_delete },
};
const size_t n_deployment_commands = ARRAY_LEN(deployment_commands);
