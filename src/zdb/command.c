/* Answers are 0-db's, word for word, where it has them: clients compare them. The table of all commands, those of the store itself, and what is
 * asked of a client before one is run. */
#include "base/file.h"
#include "base/parse.h"
#include "zdb/call.h"
#include "zdb/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/time.h>

enum command_flags {
	EMPTY_OK = 1, /* arguments may be empty */
	ADMIN = 2,
	READS = 4, /* not from a frozen namespace */
	WRITES = 8, /* nor into a locked one, or by one who may only read */
	CHANGES = 16, /* mirrors are told */
	LENDS = 32, /* values in its answer need not be copies; data files stay as they are */
};

struct command {
	const char *name;
	uint16_t min_words, max_words, flags;
	void (*run)(struct call *c);
};

void session_begin(const struct shared *s, struct session *ret)
{
	bool is_home = s->home && !s->home->settings.password[0];

	*ret = (struct session){ .space = is_home ? s->home : store_find(&s->store, S(NAMESPACE_DEFAULT)),
				 .is_admin = !s->admin,
				 .is_writable = is_home || !s->is_protected || !s->admin };
}

static void run_ping(struct call *c)
{
	resp_simple(c->out, "PONG");
}

static void run_time(struct call *c)
{
	char text[2][24];
	struct timeval now;

	gettimeofday(&now, NULL);
	snprintf(text[0], sizeof(text[0]), "%" PRId64, (int64_t)now.tv_sec);
	snprintf(text[1], sizeof(text[1]), "%" PRId64, (int64_t)now.tv_usec);
	resp_array(c->out, 2);
	resp_bulk(c->out, str_c(text[0]));
	resp_bulk(c->out, str_c(text[1]));
}

static void run_info(struct call *c)
{
	const struct counters *n = &c->shared->counters;
	AUTO_BUF struct buf b = { 0 };

	buf_addf(&b, "# server\nserver_name: 0-db (zdb)\nserver_revision: zos-" ZOS_VERSION "\nengine_revision: zos-" ZOS_VERSION "\n");
	buf_addf(&b, "instance_id: %u\nboot_time: %" PRId64 "\nuptime: %" PRId64 "\n", c->shared->instance, c->shared->started_s,
		 c->time_s - c->shared->started_s);
	buf_addf(&b, "\n# clients\nclients_lifetime: %" PRIu64 "\n", n->clients);
	buf_addf(&b, "\n# internals\nsequential_key_size: %d\ndata_version: %d\nindex_version: 4\n", SPACE_SEQ_ID_BYTES, DATA_VERSION);
	buf_addf(&b, "\n# stats\ncommands_executed: %" PRIu64 "\ncommands_failed: %" PRIu64 "\ncommands_unauthorized: %" PRIu64 "\n", n->executed,
		 n->failed, n->unauthorized);
	buf_addf(&b,
		 "index_disk_read_failed: 0\nindex_disk_write_failed: 0\ndata_disk_read_failed: %" PRIu64 "\ndata_disk_write_failed: %" PRIu64 "\n",
		 n->read_failed, n->write_failed);
	call_volume(&b, "data_disk_read", n->read_bytes);
	call_volume(&b, "data_disk_write", n->written_bytes);
	call_volume(&b, "network_rx", n->received_bytes);
	call_volume(&b, "network_tx", n->sent_bytes);
	resp_bulk(c->out, buf_str(&b));
}

static void run_metrics(struct call *c)
{
	AUTO_BUF struct buf b = { 0 };

	metrics_put(&b, c->shared, c->time_s);
	BUG_ON(buf_check(&b));
	resp_bulk(c->out, buf_str(&b));
}

static void run_auth(struct call *c)
{
	AUTO_BUF struct buf hex = { 0 };
	uint8_t nonce[CHALLENGE_HEX / 2];

	if (c->in->n == 3 && call_is_word(call_word(c, 1), "SECURE") && call_is_word(call_word(c, 2), "CHALLENGE")) {
		random_bytes(nonce, sizeof(nonce));
		format_hex(&hex, nonce, sizeof(nonce));
		BUG_ON(buf_check(&hex));
		memcpy(c->session->challenge, hex.p, CHALLENGE_HEX + 1);
		resp_simple(c->out, c->session->challenge);
		return;
	}
	if (!c->shared->admin) {
		call_refuse(c, "Authentication disabled");
		return;
	}
	if (!call_is_admitted(c, 1, c->shared->admin))
		return;
	c->session->is_admin = true;
	call_ok(c);
}

static void run_wait(struct call *c);

static void run_any(struct call *c)
{
	call_refuse(c, "This is not a valid command");
}

static const struct command commands[] = {
	{ "*", 1, 1, 0, run_any }, /* what WAIT takes for any of them */
	{ "PING", 1, 2, 0, run_ping },
	{ "TIME", 1, 1, 0, run_time },
	{ "AUTH", 2, 3, 0, run_auth },
	{ "INFO", 1, 2, 0, run_info },
	{ "METRICS", 1, 1, 0, run_metrics },
	{ "WAIT", 2, 3, 0, run_wait },
	{ "SET", 3, 4, EMPTY_OK | WRITES | CHANGES, command_set },
	{ "SETX", 3, 4, EMPTY_OK | WRITES | CHANGES, command_set },
	{ "GET", 2, 2, READS | LENDS, command_get },
	{ "MGET", 2, MGET_KEYS_MAX + 1, READS | LENDS, command_mget },
	{ "DEL", 2, 3, WRITES | CHANGES, command_del },
	{ "EXISTS", 2, 2, READS, command_exists },
	{ "CHECK", 2, 2, READS, command_check },
	{ "LENGTH", 2, 2, READS, command_length },
	{ "KEYTIME", 2, 2, READS, command_keytime },
	{ "SCAN", 1, 2, READS, command_scan },
	{ "SCANX", 1, 2, READS, command_scan },
	{ "RSCAN", 1, 2, READS, command_rscan },
	{ "KEYCUR", 2, 2, READS, command_keycur },
	{ "HISTORY", 2, 3, READS, command_history },
	{ "DBSIZE", 1, 1, 0, command_dbsize },
	{ "FLUSH", 1, 1, WRITES | CHANGES, command_flush },
	{ "SELECT", 2, 4, 0, command_select },
	{ "NSNEW", 2, 2, ADMIN | CHANGES, command_nsnew },
	{ "NSDEL", 2, 2, ADMIN | CHANGES, command_nsdel },
	{ "NSLIST", 1, 1, 0, command_nslist },
	{ "NSINFO", 2, 2, 0, command_nsinfo },
	{ "NSSET", 4, 4, ADMIN | CHANGES, command_nsset },
	{ "NSJUMP", 1, 1, ADMIN | WRITES | CHANGES, command_nsjump },
	{ "RELOAD", 2, 2, ADMIN, command_reload },
	{ "INDEX", 2, 3, ADMIN, command_index },
	{ "DATA", 2, 4, ADMIN | READS, command_data },
	{ "HOOKS", 1, 1, ADMIN, command_hooks },
	{ "MIRROR", 1, 1, ADMIN, command_mirror },
	{ "MASTER", 1, 1, ADMIN, command_master },
};

static_assert(ARRAY_LEN(commands) <= COMMANDS_MAX);

static const struct command *find(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (call_is_word(name, commands[i].name))
			return &commands[i];
	return NULL;
}

static void run_wait(struct call *c)
{
	const struct command *what = find(call_word(c, 1));
	uint64_t ms = WAIT_DEFAULT_MS;

	if (!what)
		call_refuse(c, "Unknown command to watch");
	else if (c->in->n == 3 && (parse_u64(call_word(c, 2), WAIT_MAX_MS, &ms) || ms < WAIT_MIN_MS))
		call_refuse(c, "Invalid timeout");
	else {
		c->session->waits_for = what;
		c->session->wait_ms = ms;
	}
}

bool command_wakes(const struct command *waits_for, const struct command *ran)
{
	return waits_for == ran || waits_for->run == run_any;
}

const char *command_name(const struct command *c)
{
	return c->name;
}

const char *command_name_at(size_t place)
{
	return commands[place].name;
}

bool command_changes(const struct command *c)
{
	return c->flags & CHANGES;
}

/* What forbids it, or NULL. */
static const char *forbidden(struct call *c, const struct command *what)
{
	const struct session *s = c->session;

	if (c->in->n < what->min_words || c->in->n > what->max_words)
		return "Unexpected arguments";
	for (size_t i = 0; i < c->in->n && !(what->flags & EMPTY_OK); i++)
		if (!c->in->words[i].n)
			return "Invalid argument";
	if (what->flags & ADMIN && !s->is_admin) {
		c->shared->counters.unauthorized++;
		return "Permission denied";
	}
	if (what->flags & WRITES && !s->is_writable)
		return "Namespace is in read-only mode";
	if (what->flags & (READS | WRITES) && s->space->settings.is_frozen)
		return "Namespace is temporarily frozen (read-write disabled)";
	if (what->flags & WRITES && s->space->settings.is_locked)
		return "Namespace is temporarily locked (read-only)";
	return NULL;
}

const struct command *command_run(struct call *c)
{
	const struct command *what = find(c->in->words[0]);
	const char *why;

	if (!c->session->space) {
		call_refuse(c, "Your active namespace is not available anymore (probably removed).");
		return NULL;
	}
	if (!what) {
		call_refuse(c, "Command not supported");
		return NULL;
	}
	if ((why = forbidden(c, what))) {
		call_refuse(c, why);
		return NULL;
	}
	if (c->lending && !(what->flags & LENDS)) {
		lending_end(c->lending, c->out, 0, 0);
		c->lending = NULL;
	}
	c->shared->counters.executed++;
	c->shared->counters.commands[what - commands]++;
	what->run(c);
	return what;
}
