/* The kernel command line: the words that begin with "zos.", by a table. Pure. */
#pragma once
#include "base/str.h"

enum { CMDLINE_HOSTNAME_MAX = 37, CMDLINE_MAX = 4096 };

struct cmdline {
	bool is_debug;         /* zos.debug: daemons log more */
	char hostname[CMDLINE_HOSTNAME_MAX]; /* zos.hostname=NAME */
};

/* Fills RET with the defaults and what TEXT says. Returns the number of "zos." words that mean nothing; the first of
 * them is borrowed into *RET_BAD. */
unsigned cmdline_parse(struct cmdline *ret, struct str text, struct str *ret_bad);
