/* zos volume ...: what keeps data, and its snapshots. */
#include "cli/machine.h"

#include "api/deployment.h"
#include "base/parse.h"
#include "cli/document.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

struct volume_args {
	const char *node;
};
static const struct opt volume_opts[] = {
	OPT(struct volume_args, node, "node", "N...", "on this node (default: where the deployment was sent)"),
};

/* {deployment, volume, snapshot?} */
static int arguments_make(const struct machine_client *m, const char *snapshot, sd_json_variant **ret, struct err *e)
{
	if (sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("deployment", m->target.deployment), SD_JSON_BUILD_PAIR_STRING("volume", m->target.machine),
			   SD_JSON_BUILD_PAIR_CONDITION(snapshot != NULL, "snapshot", SD_JSON_BUILD_STRING(snapshot))) < 0)
		return err_set(e, -ENOMEM, "ask the node: out of memory");
	return 0;
}

static int ask(struct machine_client *m, const char *method, const char *snapshot, sd_json_variant **ret, struct err *e)
{
	AUTO_JSON sd_json_variant *arguments = NULL;
	int r = arguments_make(m, snapshot, &arguments, e);

	return r ? r : link_call(&m->link, method, arguments, ret, e);
}

static void list_add(sd_json_variant *deployment, sd_json_variant **list)
{
	sd_json_variant *all = sd_json_variant_by_key(deployment, "workloads");

	for (size_t i = 0; sd_json_variant_is_array(all) && i < sd_json_variant_elements(all); i++) {
		AUTO_JSON sd_json_variant *one = sd_json_variant_ref(sd_json_variant_by_index(all, i));

		const char *type = out_text(one, "type", "zmachine");

		if (!strcmp(type, "zmachine") || !strcmp(type, "network"))
			continue;
		BUG_ON(sd_json_variant_set_field_string(&one, "deployment", out_text(deployment, "name", "?")) < 0 ||
		       sd_json_variant_append_array(list, one) < 0);
	}
}

static void list_print(sd_json_variant *list)
{
	enum { COLUMNS = 6 };
	static const struct out_column columns[COLUMNS] = { { "VOLUME" }, { "KIND" }, { "STATE", .is_state = true },
							    { "SIZE" },   { "USED" }, { "DISK" } };
	size_t n = sd_json_variant_elements(list);
	AUTO_FREE const char **cells = calloc(COLUMNS * (n + 1), sizeof(*cells));
	AUTO_FREE struct {
		char name[80], size[16], used[16];
	} *texts = calloc(n + 1, sizeof(*texts));

	BUG_ON(!cells || !texts);
	for (size_t i = 0; i < n; i++) {
		sd_json_variant *one = sd_json_variant_by_index(list, i);
		bool has_usage = strcmp(out_text(one, "type", ""), "zmount");

		snprintf(texts[i].name, sizeof(texts[i].name), "%s/%s", out_text(one, "deployment", "?"), out_text(one, "name", "?"));
		format_size(texts[i].size, out_u64(one, "size"));
		format_size(texts[i].used, out_u64(one, "used"));
		const char *const row[COLUMNS] = { texts[i].name, out_text(one, "type", "?"),      out_text(one, "state", "?"),
						   texts[i].size, has_usage ? texts[i].used : "-", out_text(one, "device", "-") };
		memcpy(&cells[COLUMNS * i], row, sizeof(row));
	}
	out_table(columns, COLUMNS, cells, n);
}

static int volume_list(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct volume_args *a = args;
	AUTO_CLIENT struct client client = CLIENT_NONE;
	AUTO_LINK struct link link = { 0 };
	AUTO_JSON sd_json_variant *reply = NULL, *list = NULL;
	const struct record *where;
	sd_json_variant *all;
	int r;

	(void)words;
	if ((r = client_open(&client, KEY_USER, e)) || (r = client_node(&client, a->node, false, &where, e)) ||
	    (r = link_open(&client, where, &link, e)) || (r = link_call(&link, "zos.Deployment.List", NULL, &reply, e)))
		return r;
	BUG_ON(sd_json_variant_new_array(&list, NULL, 0) < 0);
	all = sd_json_variant_by_key(reply, "deployments");
	for (size_t i = 0; sd_json_variant_is_array(all) && i < sd_json_variant_elements(all); i++)
		list_add(sd_json_variant_by_index(all, i), &list);
	if (c->json)
		return out_json(list, e);
	if (!sd_json_variant_elements(list))
		printf("Nothing of yours keeps data there: a workload of type 'volume' in a deployment does.\n");
	else
		list_print(list);
	return 0;
}

static int volume_snapshot(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct volume_args *a = args;
	AUTO_MACHINE struct machine_client m = MACHINE_CLIENT_NONE;
	AUTO_JSON sd_json_variant *reply = NULL, *v = NULL;
	char name[32];
	time_t now = time(NULL);
	struct tm tm;
	int r;

	strftime(name, sizeof(name), "%Y%m%d-%H%M%S", gmtime_r(&now, &tm));
	if ((r = machine_open(&m, words[0], a->node, e)) || (r = ask(&m, "zos.Volume.Snapshot", words[1] ? words[1] : name, &reply, e)))
		return r;
	if (!c->json)
		return printf("%s\n", words[1] ? words[1] : name) < 0 ? err_set(e, -errno, "print: %m") : 0;
	r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("name", words[1] ? words[1] : name));
	return r < 0 ? err_set(e, r, "print: %s", strerror(-r)) : out_json(v, e);
}

static int volume_snapshots(const struct cli *c, const void *args, const char **words, struct err *e)
{
	enum { COLUMNS = 2 };
	static const struct out_column columns[COLUMNS] = { { "SNAPSHOT" }, { "MADE AGO" } };
	const struct volume_args *a = args;
	AUTO_MACHINE struct machine_client m = MACHINE_CLIENT_NONE;
	AUTO_JSON sd_json_variant *reply = NULL;
	uint64_t now = (uint64_t)time(NULL);
	sd_json_variant *list;
	int r;

	if ((r = machine_open(&m, words[0], a->node, e)) || (r = ask(&m, "zos.Volume.Snapshots", NULL, &reply, e)))
		return r;
	list = sd_json_variant_by_key(reply, "snapshots");
	if (c->json)
		return out_json(reply, e);
	size_t n = sd_json_variant_is_array(list) ? sd_json_variant_elements(list) : 0;
	AUTO_FREE const char **cells = calloc(COLUMNS * (n + 1), sizeof(*cells));
	AUTO_FREE char(*ages)[16] = calloc(n + 1, sizeof(*ages));
	BUG_ON(!cells || !ages);
	for (size_t i = 0; i < n; i++) {
		sd_json_variant *one = sd_json_variant_by_index(list, i);
		uint64_t at = out_u64(one, "time");

		format_duration(ages[i], now > at ? now - at : 0);
		cells[COLUMNS * i] = out_text(one, "name", "?");
		cells[COLUMNS * i + 1] = ages[i];
	}
	out_table(columns, COLUMNS, cells, n);
	return 0;
}

static int order(const struct cli *c, const struct volume_args *a, const char **words, const char *method, struct err *e)
{
	AUTO_MACHINE struct machine_client m = MACHINE_CLIENT_NONE;
	AUTO_JSON sd_json_variant *reply = NULL;
	int r = machine_open(&m, words[0], a->node, e);

	if (r || (r = ask(&m, method, words[1], &reply, e)))
		return r;
	return c->json ? out_json(reply, e) : 0;
}

static int volume_forget(const struct cli *c, const void *args, const char **words, struct err *e)
{
	return order(c, args, words, "zos.Volume.Forget", e);
}

static int snapshot_check(struct machine_client *m, const char *name, struct err *e)
{
	AUTO_JSON sd_json_variant *reply = NULL;
	sd_json_variant *list;
	int r = ask(m, "zos.Volume.Snapshots", NULL, &reply, e);

	list = r ? NULL : sd_json_variant_by_key(reply, "snapshots");
	for (size_t i = 0; list && i < sd_json_variant_elements(list); i++)
		if (!strcmp(out_text(sd_json_variant_by_index(list, i), "name", ""), name))
			return 0;
	return r ? r
		 : err_set(e, -ENOENT, "there is no snapshot '%s': 'zos volume snapshots %s/%s' lists what is", name, m->target.deployment,
			   m->target.machine);
}

static int volume_restore(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct volume_args *a = args;
	AUTO_MACHINE struct machine_client m = MACHINE_CLIENT_NONE;
	AUTO_JSON sd_json_variant *reply = NULL, *status = NULL;
	int r = machine_open(&m, words[0], a->node, e);

	if (r || (r = snapshot_check(&m, words[1], e)) || (r = ask(&m, "zos.Volume.Restore", words[1], &reply, e)) ||
	    (r = deployment_wait(c, &m.link, m.target.deployment, &status, e)))
		return r;
	return c->json ? out_json(status, e) : 0;
}

/* The document with the volume NAME as large as SIZE. */
static int document_resize(sd_json_variant **doc, const char *name, const char *size, struct err *e)
{
	AUTO_JSON sd_json_variant *list = NULL;
	sd_json_variant *all = sd_json_variant_by_key(*doc, "workloads");
	bool found = false;
	int r = sd_json_variant_new_array(&list, NULL, 0);

	for (size_t i = 0; r >= 0 && sd_json_variant_is_array(all) && i < sd_json_variant_elements(all); i++) {
		AUTO_JSON sd_json_variant *one = sd_json_variant_ref(sd_json_variant_by_index(all, i)), *data = NULL;

		if (!strcmp(out_text(one, "name", ""), name) && strcmp(out_text(one, "type", ""), "zmachine")) {
			data = sd_json_variant_ref(sd_json_variant_by_key(one, "data"));
			found = true;
			if ((r = sd_json_variant_set_field_string(&data, "size", size)) >= 0)
				r = sd_json_variant_set_field(&one, "data", data);
		}
		if (r >= 0)
			r = sd_json_variant_append_array(&list, one);
	}
	if (r >= 0 && !found)
		return err_set(e, -ENOENT, "there is no volume or zmount '%s' in this deployment: 'zos volume list' lists what is", name);
	return r < 0 || (r = sd_json_variant_set_field(doc, "workloads", list)) < 0 ? err_set(e, r, "read the deployment: %s", strerror(-r)) : 0;
}

static int volume_resize(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct volume_args *a = args;
	AUTO_JSON sd_json_variant *doc = NULL;
	struct target t;
	int r;

	if ((r = target_parse(words[0], &t, e)) || (r = deployment_read(a->node, t.deployment, &doc, e)) ||
	    (r = document_resize(&doc, t.machine, words[1], e)))
		return r;
	return deployment_send(c, a->node, &doc, NULL, e);
}

static const struct opt export_opts[] = {
	OPT(struct export_args, node, "node", "N...", "on this node (default: where the deployment was sent)"),
	OPT(struct export_args, snapshot, "snapshot", "NAME", "what was in it then (default: what is in it now)"),
};

#define VOLUME_OPTS .opts = volume_opts, .n_opts = ARRAY_LEN(volume_opts), .args_size = sizeof(struct volume_args)
static const struct opt zdb_opts[] = {
	OPT(struct zdb_args, node, "node", "N...", "on this node"),
};

const struct command volume_commands[] = {
	{ .name = "volume list", .help = "volumes and disks on a node, and what is in them", VOLUME_OPTS, .run = volume_list },
	{ .name = "volume resize",
	  .words = "DEPLOYMENT/VOLUME SIZE",
	  .help = "make one larger, or a volume smaller",
	  VOLUME_OPTS,
	  .min_words = 2,
	  .max_words = 2,
	  .run = volume_resize },
	{ .name = "volume snapshot",
	  .words = "DEPLOYMENT/VOLUME [NAME]",
	  .help = "keep what is in a volume now",
	  VOLUME_OPTS,
	  .min_words = 1,
	  .max_words = 2,
	  .run = volume_snapshot },
	{ .name = "volume snapshots",
	  .words = "DEPLOYMENT/VOLUME",
	  .help = "what was kept of a volume",
	  VOLUME_OPTS,
	  .min_words = 1,
	  .max_words = 1,
	  .run = volume_snapshots },
	{ .name = "volume restore",
	  .words = "DEPLOYMENT/VOLUME SNAPSHOT",
	  .help = "go back to a snapshot; its machines are restarted",
	  VOLUME_OPTS,
	  .min_words = 2,
	  .max_words = 2,
	  .run = volume_restore },
	{ .name = "volume export",
	  .words = "DEPLOYMENT/VOLUME",
	  .help = "what is in a volume, as a tar archive on standard output",
	  .opts = export_opts,
	  .n_opts = ARRAY_LEN(export_opts),
	  .args_size = sizeof(struct export_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = cmd_volume_export },
	{ .name = "volume import",
	  .words = "DEPLOYMENT/VOLUME",
	  .help = "put a tar archive from standard input in its place; its machines are restarted",
	  .opts = export_opts,
	  .n_opts = 1, /* without --snapshot */
	  .args_size = sizeof(struct export_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = cmd_volume_import },
	{ .name = "volume forget",
	  .words = "DEPLOYMENT/VOLUME SNAPSHOT",
	  .help = "remove a snapshot",
	  VOLUME_OPTS,
	  .min_words = 2,
	  .max_words = 2,
	  .run = volume_forget },
	{ .name = "zdb metrics",
	  .words = "DEPLOYMENT[/ZDB]",
	  .help = "what a key-value store counts, as text for Prometheus",
	  .opts = zdb_opts,
	  .n_opts = ARRAY_LEN(zdb_opts),
	  .args_size = sizeof(struct zdb_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = cmd_zdb_metrics },
};
const size_t n_volume_commands = ARRAY_LEN(volume_commands);
