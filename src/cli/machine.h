/* What the commands for machines share: who is meant, and a session with the node where it is. */
#pragma once
#include "cli/command.h"

/* "web/db" is machine db of deployment web; "web" alone is the machine of the same name. */
struct target {
	char deployment[40], machine[40];
};

MUST_CHECK int target_parse(const char *text, struct target *ret, struct err *e);

struct machine_client {
	struct client client;
	struct link link;
	struct target target;
};
#define MACHINE_CLIENT_NONE { .client = CLIENT_NONE }
#define AUTO_MACHINE CLEANUP(machine_close)

/* RET is to be released whatever is returned. NODE NULL = where the deployment was sent. */
MUST_CHECK int machine_open(struct machine_client *ret, const char *text, const char *node, struct err *e);
void machine_close(struct machine_client *m);

/* {deployment, machine}; returns owned. */
MUST_CHECK int machine_arguments(const struct machine_client *m, sd_json_variant **ret, struct err *e);

/* exec.c */
struct exec_args {
	const char *node, *user, *workdir;
	bool tty, no_tty;
};
int cmd_exec(const struct cli *c, const void *args, const char **words, struct err *e);

/* transfer.c */
struct export_args {
	const char *node, *snapshot;
};
int cmd_volume_export(const struct cli *c, const void *args, const char **words, struct err *e);
int cmd_volume_import(const struct cli *c, const void *args, const char **words, struct err *e);

/* store.c */
struct zdb_args {
	const char *node;
};
int cmd_zdb_metrics(const struct cli *c, const void *args, const char **words, struct err *e);

/* stats.c */
struct stats_args {
	const char *node;
	bool once;
};
int cmd_stats(const struct cli *c, const void *args, const char **words, struct err *e);
