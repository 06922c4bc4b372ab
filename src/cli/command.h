/* The commands of `zos`: one table, from which help and completion are printed. */
#pragma once
#include "cli/client.h"
#include "cli/table.h"

#include "base/opt.h"

struct cli {
	bool json;  /* machine-readable output */
	bool tty;   /* standard error is a terminal: progress may be drawn */
};

struct command {
	const char *name, *words, *help; /* WORDS: "NAME [PORT]" */
	const struct opt *opts;
	size_t n_opts;
	size_t args_size;                /* of the struct that the options fill */
	int min_words, max_words;
	/* WORDS ends with NULL. Returns 0, or a negative errno with a sentence. */
	bool has_status; /* a positive result of run is zos' exit status */
	int failed;      /* the exit status for an error; 0 = 1 */
	int (*run)(const struct cli *c, const void *args, const char **words, struct err *e);
};
enum { COMMAND_ARGS_MAX = 512, COMMAND_WORDS_MAX = 260 };

/* Each file of commands has its table; main.c knows them all. */
struct command_group {
	const char *title;
	const struct command *commands;
	const size_t *n;
};
extern const struct command_group command_groups[];
extern const size_t n_command_groups;
extern const struct command manual_commands[]; /* what is printed from these tables */
extern const size_t n_manual_commands;
extern const struct command key_commands[], farm_commands[], farm_role_commands[], hub_commands[], node_commands[], deployment_commands[],
	machine_commands[], image_commands[], volume_commands[], network_commands[], media_commands[], netboot_commands[], diagnose_commands[];
extern const size_t n_key_commands, n_farm_commands, n_farm_role_commands, n_hub_commands, n_node_commands, n_deployment_commands, n_machine_commands,
	n_image_commands, n_volume_commands, n_network_commands, n_media_commands, n_netboot_commands, n_diagnose_commands;

/* out.c: what people and programs see on standard output. */
int out_json(sd_json_variant *v, struct err *e);
int out_json_line(sd_json_variant *v, struct err *e); /* one of many: without a line break in it */
/* table_print() for standard output: what fits the terminal, and colours on one unless NO_COLOR is set. */
void out_table(const struct out_column *columns, size_t n_columns, const char *const *rows, size_t n_rows);
/* One line of progress on standard error, drawn over the one before on a terminal; TOTAL 0 = unknown. */
void out_progress(const struct cli *c, const char *what, uint64_t done, uint64_t total);
/* The same with how long the rest of it may take; UINT64_MAX = unknown. */
void out_progress_left(const struct cli *c, const char *what, uint64_t done, uint64_t total, uint64_t left_s);
void out_progress_end(const struct cli *c);
/* The text under KEY, or OTHERWISE. Borrowed. */
const char *out_text(sd_json_variant *v, const char *key, const char *otherwise);
uint64_t out_u64(sd_json_variant *v, const char *key);
bool out_true(sd_json_variant *v, const char *key);

/* deployment.c */
int deployment_node(struct client *c, const char *node, const char *name, const struct record **ret, struct err *e);
/* The document NAME as `export` prints it. Returns owned. */
MUST_CHECK int deployment_read(const char *node, const char *name, sd_json_variant **ret, struct err *e);
/* As `deploy` does with what is in a file: to NODE, NULL = where it went last. RET_STATUS: how it stands then, owned; NULL = it is printed. */
MUST_CHECK int deployment_send(const struct cli *c, const char *node, sd_json_variant **doc, sd_json_variant **ret_status, struct err *e);
/* Waits until all of NAME is as it shall be. Returns owned. */
MUST_CHECK int deployment_wait(const struct cli *c, struct link *l, const char *name, sd_json_variant **ret, struct err *e);

/* farm.c: the farm document of the profile, and its ENVELOPE as it was signed. RET is to be released also on failure. */
MUST_CHECK int farm_read(const struct profile *p, struct farm *ret, struct buf *envelope, struct err *e);

/* Whether whoever sits there has compared KEY with a node's screen. -ECANCELED. */
MUST_CHECK int farm_confirm(const char *key, struct err *e);

/* hub.c: CA is a file of PEM, or the line that 'zos hub run' prints; appends the one or the other. */
MUST_CHECK int hub_ca_read(const char *ca, struct buf *ret, struct err *e);
