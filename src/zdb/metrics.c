#include "zdb/metrics.h"

#include <inttypes.h>

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_addf(b, "# HELP zdb_%s %s\n# TYPE zdb_%s %s\n", name, help, name, type);
}

/* --- of all that it did --- */

static const struct {
	const char *name, *type, *help;
	size_t off;
} whole[] = {
	{ "clients", "gauge", "Clients that are connected.", offsetof(struct counters, open_clients) },
	{ "clients_total", "counter", "Clients that came.", offsetof(struct counters, clients) },
	{ "commands_failed_total", "counter", "Commands that were answered with an error.", offsetof(struct counters, failed) },
	{ "commands_unauthorized_total", "counter", "Passwords that were wrong, and commands for others.", offsetof(struct counters, unauthorized) },
	{ "received_bytes_total", "counter", "Bytes from clients.", offsetof(struct counters, received_bytes) },
	{ "sent_bytes_total", "counter", "Bytes to clients.", offsetof(struct counters, sent_bytes) },
	{ "value_read_bytes_total", "counter", "Bytes of values that were read.", offsetof(struct counters, read_bytes) },
	{ "value_written_bytes_total", "counter", "Bytes of values that were written.", offsetof(struct counters, written_bytes) },
	{ "read_errors_total", "counter", "Values that the disk did not give, or not as they were written.", offsetof(struct counters, read_failed) },
	{ "write_errors_total", "counter", "Writes that did not reach the disk.", offsetof(struct counters, write_failed) },
};

static uint64_t counter_at(const struct counters *c, size_t off)
{
	uint64_t n;

	memcpy(&n, (const char *)c + off, sizeof(n));
	return n;
}

static void commands_put(struct buf *b, const struct counters *c)
{
	head(b, "commands_total", "counter", "Commands that were carried out, also those that were refused then.");
	for (size_t i = 0; i < COMMANDS_MAX; i++)
		if (c->commands[i])
			buf_addf(b, "zdb_commands_total{command=\"%s\"} %" PRIu64 "\n", command_name_at(i), c->commands[i]);
}

/* Turns that took at most so long; the last bucket is for those that took longer. */
static const uint32_t turn_bucket_us[TURN_BUCKETS - 1] = { 100, 1000, 5000, 25000, 100000, 1000000 };

void metrics_turn(struct counters *c, uint64_t n, uint64_t took_us)
{
	size_t i = 0;

	while (i < ARRAY_LEN(turn_bucket_us) && took_us > turn_bucket_us[i])
		i++;
	c->turns[i] += n;
	c->turns_us += n * took_us;
}

/* Of a command its turn: from when the clients of that turn were heard until all were answered, what they wrote being safe. */
static void turns_put(struct buf *b, const struct counters *c)
{
	uint64_t below = 0;

	head(b, "command_seconds", "histogram", "Time that commands took, those that came together counted as long as all of them.");
	for (size_t i = 0; i < TURN_BUCKETS; i++) {
		below += c->turns[i];
		if (i + 1 < TURN_BUCKETS)
			buf_addf(b, "zdb_command_seconds_bucket{le=\"%g\"} %" PRIu64 "\n", (double)turn_bucket_us[i] / 1e6, below);
	}
	buf_addf(b, "zdb_command_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\nzdb_command_seconds_sum %.6f\nzdb_command_seconds_count %" PRIu64 "\n",
		 below, (double)c->turns_us / 1e6, below);
}

/* --- of each namespace --- */

static double keys(const struct namespace *n)
{
	return (double)n->space.keys.n;
}

static double data_bytes(const struct namespace *n)
{
	return (double)n->space.data_bytes;
}

static double limit_bytes(const struct namespace *n)
{
	return (double)n->space.max_bytes;
}

static double index_bytes(const struct namespace *n)
{
	return (double)keydir_bytes(&n->space.keys);
}

static double files(const struct namespace *n)
{
	return (double)n->space.log.n_files;
}

static double file_bytes(const struct namespace *n)
{
	return (double)datalog_bytes(&n->space.log);
}

static double dead_bytes(const struct namespace *n)
{
	double sum = 0;

	for (size_t i = 0; i < n->space.log.n_files; i++)
		sum += n->space.log.files[i].dead_bytes;
	return sum;
}

static double hurt_files(const struct namespace *n)
{
	double sum = 0;

	for (size_t i = 0; i < n->space.log.n_files; i++)
		sum += n->space.log.files[i].is_hurt;
	return sum;
}

static double compactions(const struct namespace *n)
{
	return (double)n->compactions;
}

static double replayed(const struct namespace *n)
{
	return (double)n->space.replayed;
}

static double unsaved(const struct namespace *n)
{
	return (double)(n->space.n_records - n->space.saved_records);
}

static double syncs(const struct namespace *n)
{
	return (double)n->space.log.syncs;
}

static double sync_seconds(const struct namespace *n)
{
	return (double)n->space.log.syncs_us / 1e6;
}

static double is_failed(const struct namespace *n)
{
	return n->space.log.failed != 0;
}

static const struct {
	const char *name, *type, *help;
	double (*get)(const struct namespace *n);
} each[] = {
	{ "keys", "gauge", "Keys.", keys },
	{ "data_bytes", "gauge", "Bytes of their values.", data_bytes },
	{ "limit_bytes", "gauge", "Bytes of values that there may be; 0 is no limit.", limit_bytes },
	{ "index_bytes", "gauge", "Memory for the table of keys.", index_bytes },
	{ "files", "gauge", "Data files.", files },
	{ "file_bytes", "gauge", "Bytes in them.", file_bytes },
	{ "dead_bytes", "gauge", "Bytes in them that nobody needs any more.", dead_bytes },
	{ "hurt_files", "gauge", "Data files that are not compacted, as something in them cannot be read.", hurt_files },
	{ "compactions_total", "counter", "Data files that were written anew, or removed, to get room back.", compactions },
	{ "replayed_records", "gauge", "Records that the start had to read.", replayed },
	{ "unsaved_records", "gauge", "Records that a start would have to read, were there one now: what no checkpoint has.", unsaved },
	{ "fsyncs_total", "counter", "How often its data was made safe.", syncs },
	{ "fsync_seconds_total", "counter", "How long that took.", sync_seconds },
	{ "failed", "gauge", "1: a write or sync went wrong, and nothing is written any more until the store is started again.", is_failed },
};

void metrics_put(struct buf *b, const struct shared *s, int64_t time_s)
{
	head(b, "info", "gauge", "What this is.");
	buf_addf(b, "zdb_info{version=\"" ZOS_VERSION "\",instance=\"%u\"} 1\n", s->instance);
	head(b, "uptime_seconds", "gauge", "Since its start.");
	buf_addf(b, "zdb_uptime_seconds %" PRId64 "\n", time_s - s->started_s);
	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		head(b, whole[i].name, whole[i].type, whole[i].help);
		buf_addf(b, "zdb_%s %" PRIu64 "\n", whole[i].name, counter_at(&s->counters, whole[i].off));
	}
	commands_put(b, &s->counters);
	turns_put(b, &s->counters);
	for (size_t i = 0; i < ARRAY_LEN(each); i++) {
		head(b, each[i].name, each[i].type, each[i].help);
		for (const struct namespace *n = s->store.list; n; n = n->next)
			buf_addf(b, "zdb_%s{namespace=\"%s\"} %.15g\n", each[i].name, n->name, each[i].get(n));
	}
}
