/* Changing the farm document, for the commands that do. */
#pragma once
#include "cli/command.h"

/* BODY of F with VALUE as FIELD (NULL: without it), and the next sequence. Returns owned. */
MUST_CHECK int farm_body_change(const struct farm *f, const char *field, sd_json_variant *value, sd_json_variant **ret);
/* The rows of the list FIELD of F, without the one whose KEY is VALUE. Returns owned. */
MUST_CHECK int farm_rows_without(const struct farm *f, const char *field, const char *key, const char *value, sd_json_variant **ret);

/* What CHANGE makes of F for a command's ARGS and its WORD. Returns owned. */
typedef int farm_body_fn(const struct client *c, const struct farm *f, const void *args, const char *word, sd_json_variant **ret);
/* Signs the farm document anew with what CHANGE makes of it, and tells the nodes, through the hubs that they are on now. C is to be released whatever is returned. */
MUST_CHECK int farm_change(struct client *c, farm_body_fn *change, const void *args, const char *word, struct err *e);
