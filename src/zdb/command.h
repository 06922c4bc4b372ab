/* What clients can ask for: one table, from which the dispatcher, WAIT and the reference in doc/zdb.md follow. */
#pragma once
#include "zdb/lending.h"
#include "zdb/resp.h"
#include "zdb/store.h"

enum {
	CHALLENGE_HEX = 16,
	ADMIN_PASSWORD_MAX = 128,
	WAIT_MIN_MS = 100,
	WAIT_MAX_MS = 30 * 60 * 1000,
	WAIT_DEFAULT_MS = 5000,
	SCAN_SLICE_US = 2000, /* after which SCAN answers with what it has */
	SCAN_KEYS_MAX = 4096,
	MGET_KEYS_MAX = 1023,
	MGET_BYTES_MAX = 32 << 20,
	COMMANDS_MAX = 48,
	TURN_BUCKETS = 7,
};

struct counters { /* since the start; the number of open clients is as it is now */
	uint64_t open_clients, clients, executed, failed, unauthorized, received_bytes, sent_bytes, read_bytes, written_bytes, read_failed,
		write_failed;
	uint64_t commands[COMMANDS_MAX];        /* by their place in the table */
	uint64_t turns[TURN_BUCKETS], turns_us; /* commands, by how long their turn took; all of that */
};

/* What the commands of all clients share. */
struct shared {
	struct store store;
	const char *admin; /* password; NULL = everybody is one */
	bool is_protected; /* the default namespace is read-only but for admins */
	struct namespace *home; /* where clients begin when they may write there; NULL = in the default one */
	uint32_t instance;
	int64_t started_s;
	struct counters counters;
};

struct command;

/* What the server knows of one client, as far as commands care. */
struct session {
	struct namespace *space; /* NULL: it was removed */
	bool is_admin, is_writable;
	bool is_mirror, is_master; /* is told all changes; says whose they are (mirror.h) */
	char challenge[CHALLENGE_HEX + 1]; /* empty = none */
	const struct command *waits_for;
	uint64_t wait_ms;
};
void session_begin(const struct shared *s, struct session *ret);

struct call {
	struct shared *shared;
	struct session *session;
	const struct resp_command *in;
	struct buf *out;
	struct lending *lending; /* values may stand in it instead of OUT; NULL = they may not */
	int64_t time_s;
	struct namespace *removed; /* set by NSDEL: clients in it are to be told */
	bool is_refused; /* set by what answers with an error */
};

/* Carries IN out and appends the answer. Returns the command that it was, NULL when it was none. */
const struct command *command_run(struct call *c);

/* Whether one that waits for COMMAND is woken by RAN. */
bool command_wakes(const struct command *waits_for, const struct command *ran);
const char *command_name(const struct command *c);
const char *command_name_at(size_t place);
bool command_changes(const struct command *c); /* something that a copy has to follow */
