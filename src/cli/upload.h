/* A file, or what comes on standard input, on its way to the node through a stream of the session. */
#pragma once
#include "cli/command.h"

enum { UPLOAD_WORD_MAX = 72 };

struct upload {
	const char *method;
	sd_json_variant *arguments;
	const char *name; /* of what is sent, for a person */
	int fd;           /* borrowed: a file or a pipe */
	uint64_t total;   /* bytes; 0 = not known */
};

/* RET_WORD: what the node says at its end, in letters that a terminal can take. */
MUST_CHECK int upload_run(const struct upload *u, const struct cli *c, struct client *client, struct link *l, char ret_word[static UPLOAD_WORD_MAX],
			  struct err *e);
