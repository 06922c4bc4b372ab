/* zos stats: what machines use, asked of their node once a second. A share of a processor is the difference of two
 * answers. */
#include "cli/machine.h"

#include "base/parse.h"

#include <inttypes.h>
#include <stdio.h>

enum { STATS_MACHINES_MAX = 256, STATS_EVERY_MS = 1000, STATS_COLUMNS = 8, STATS_CELL_MAX = 40 };

struct stats_machine {
	struct target target;
	sd_json_variant *before, *now; /* owned; NULL = it does not run */
};

struct stats {
	struct client client;
	struct link link;
	struct stats_machine *all;
	size_t n;
	bool is_named; /* one was asked for */
};
#define STATS_NONE { .client = CLIENT_NONE }

static void stats_close(struct stats *s)
{
	for (size_t i = 0; i < s->n; i++) {
		json_unrefp(&s->all[i].before);
		json_unrefp(&s->all[i].now);
	}
	free(s->all);
	link_close(&s->link);
	client_close(&s->client);
}

static void machine_add(struct stats *s, const char *deployment, const char *machine)
{
	struct target *t = &s->all[s->n].target;

	if (s->n == STATS_MACHINES_MAX)
		return;
	snprintf(t->deployment, sizeof(t->deployment), "%s", deployment);
	snprintf(t->machine, sizeof(t->machine), "%s", machine);
	s->n++;
}

/* All machines of the caller's on the node. */
static int machines_list(struct stats *s, struct err *e)
{
	AUTO_JSON sd_json_variant *reply = NULL;
	sd_json_variant *deployments;
	int r = link_call(&s->link, "zos.Deployment.List", NULL, &reply, e);

	deployments = sd_json_variant_by_key(reply, "deployments");
	for (size_t i = 0; !r && sd_json_variant_is_array(deployments) && i < sd_json_variant_elements(deployments); i++) {
		sd_json_variant *one = sd_json_variant_by_index(deployments, i), *workloads = sd_json_variant_by_key(one, "workloads");

		for (size_t k = 0; sd_json_variant_is_array(workloads) && k < sd_json_variant_elements(workloads); k++)
			machine_add(s, out_text(one, "name", ""), out_text(sd_json_variant_by_index(workloads, k), "name", ""));
	}
	return r;
}

static int stats_open(struct stats *s, const char *word, const char *node, struct err *e)
{
	const struct record *where;
	struct target t;
	int r;

	s->all = calloc(STATS_MACHINES_MAX + 1, sizeof(*s->all));
	BUG_ON(!s->all);
	if ((word && (r = target_parse(word, &t, e))) || (r = client_open(&s->client, KEY_USER, e)) ||
	    (r = word ? deployment_node(&s->client, node, t.deployment, &where, e) : client_node(&s->client, node, false, &where, e)) ||
	    (r = link_open(&s->client, where, &s->link, e)))
		return r;
	s->is_named = word;
	if (!word)
		return machines_list(s, e);
	machine_add(s, t.deployment, t.machine);
	return 0;
}

/* A machine that does not run has no numbers; when it was asked for by name that is the answer. */
static int machine_ask(struct stats *s, struct stats_machine *m, struct err *e)
{
	AUTO_JSON sd_json_variant *arguments = NULL;
	int r;

	json_unrefp(&m->before);
	m->before = take_ptr(m->now);
	if (sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("deployment", m->target.deployment),
			   SD_JSON_BUILD_PAIR_STRING("machine", m->target.machine)) < 0)
		return err_set(e, -ENOMEM, "ask the node: out of memory");
	r = link_call(&s->link, "zos.Machine.Stats", arguments, &m->now, e);
	return (r == -EHOSTUNREACH || r == -ENOENT) && !s->is_named && !s->link.closed ? 0 : r;
}

static int stats_ask(struct stats *s, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < s->n && !r; i++)
		r = machine_ask(s, &s->all[i], e);
	return r;
}

/* In thousandths of a processor, between the last two answers; a runner that began anew counts from nothing. */
static uint64_t cpu_milli(const struct stats_machine *m)
{
	uint64_t used = out_u64(m->now, "cpu_usec"), before = out_u64(m->before, "cpu_usec");
	uint64_t at = out_u64(m->now, "at_ms"), then = out_u64(m->before, "at_ms");

	return m->before && at > then && used > before ? (used - before) / (at - then) : 0;
}

static uint64_t memory_used(const struct stats_machine *m)
{
	uint64_t all = out_u64(m->now, "memory"), cache = out_u64(m->now, "memory_cache");

	return all > cache ? all - cache : 0;
}

static void of_size(char *ret, uint64_t used, uint64_t limit)
{
	char a[16], b[16];

	format_size(a, used);
	format_size(b, limit);
	snprintf(ret, STATS_CELL_MAX, "%s / %s", a, b);
}

static void row_make(const struct stats_machine *m, char ret[static STATS_COLUMNS][STATS_CELL_MAX])
{
	char size[16];

	for (size_t i = 1; i < STATS_COLUMNS; i++)
		snprintf(ret[i], STATS_CELL_MAX, "-");
	snprintf(ret[0], STATS_CELL_MAX, "%s%s%s", m->target.deployment, strcmp(m->target.deployment, m->target.machine) ? "/" : "",
		 strcmp(m->target.deployment, m->target.machine) ? m->target.machine : "");
	if (!m->now)
		return;
	snprintf(ret[1], STATS_CELL_MAX, "%" PRIu64 "%% / %" PRIu64 "%%", cpu_milli(m) / 10, out_u64(m->now, "cpu_milli_limit") / 10);
	of_size(ret[2], memory_used(m), out_u64(m->now, "memory_limit"));
	snprintf(ret[3], STATS_CELL_MAX, "%" PRIu64, out_u64(m->now, "tasks"));
	if (sd_json_variant_by_key(m->now, "root"))
		of_size(ret[4], out_u64(m->now, "root"), out_u64(m->now, "root_limit"));
	format_size(size, out_u64(m->now, "received"));
	snprintf(ret[5], STATS_CELL_MAX, "%s", size);
	format_size(size, out_u64(m->now, "sent"));
	snprintf(ret[6], STATS_CELL_MAX, "%s", size);
	snprintf(ret[7], STATS_CELL_MAX, "%" PRIu64, out_u64(m->now, "restarts"));
}

static void stats_table(const struct stats *s)
{
	static const struct out_column columns[STATS_COLUMNS] = { { "MACHINE" }, { "CPU" },      { "MEMORY" }, { "TASKS" },
								  { "ROOT" },    { "RECEIVED" }, { "SENT" },   { "RESTARTS" } };
	AUTO_FREE char(*texts)[STATS_COLUMNS][STATS_CELL_MAX] = calloc(s->n + 1, sizeof(*texts));
	AUTO_FREE const char **cells = calloc((s->n + 1) * STATS_COLUMNS, sizeof(*cells));

	BUG_ON(!texts || !cells);
	for (size_t i = 0; i < s->n; i++) {
		row_make(&s->all[i], texts[i]);
		for (size_t k = 0; k < STATS_COLUMNS; k++)
			cells[i * STATS_COLUMNS + k] = texts[i][k];
	}
	out_table(columns, STATS_COLUMNS, cells, s->n);
}

static int stats_json(const struct stats *s, struct err *e)
{
	AUTO_JSON sd_json_variant *list = NULL, *v = NULL;
	int r = sd_json_variant_new_array(&list, NULL, 0);

	for (size_t i = 0; r >= 0 && i < s->n; i++) {
		const struct stats_machine *m = &s->all[i];
		AUTO_JSON sd_json_variant *one = sd_json_variant_ref(m->now);

		if ((r = sd_json_variant_set_field_string(&one, "deployment", m->target.deployment)) >= 0 &&
		    (r = sd_json_variant_set_field_string(&one, "machine", m->target.machine)) >= 0 &&
		    (r = sd_json_variant_set_field_unsigned(&one, "cpu_milli", cpu_milli(m))) >= 0)
			r = sd_json_variant_append_array(&list, one);
	}
	if (r >= 0)
		r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_VARIANT("machines", list));
	return r < 0 ? err_set(e, r, "print: %s", strerror(-r)) : out_json_line(v, e);
}

static int stats_show(const struct cli *c, const struct stats *s, bool redraw, struct err *e)
{
	if (c->json)
		return stats_json(s, e);
	if (redraw)
		printf("\033[H\033[J");
	stats_table(s);
	return fflush(stdout) ? err_set(e, -errno, "print: %m") : 0;
}

int cmd_stats(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct stats_args *a = args;
	CLEANUP(stats_close) struct stats s = STATS_NONE;
	const bool never = false;
	bool redraw = !a->once && !c->json && isatty(STDOUT_FILENO);
	int r = stats_open(&s, words[0], a->node, e);

	if (!r)
		r = stats_ask(&s, e);
	while (!r && (r = client_wait(&s.client, &never, STATS_EVERY_MS)) == -ETIMEDOUT) {
		if ((r = stats_ask(&s, e)) || (r = stats_show(c, &s, redraw, e)) || a->once)
			break;
	}
	return r == -ECANCELED ? 0 : r;
}
