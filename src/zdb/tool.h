/* What is done with a store while nobody serves it: zdb check, dump, compact, export, import. */
#pragma once
#include "zdb/store.h"

struct tool {
	const char *name, *words, *help;
	int (*run)(struct store *s, const char *space, struct err *e); /* SPACE NULL: not named. 0, TOOL_BAD, -errno */
	bool wants_space;
};

enum { TOOL_BAD = 1 }; /* it was done, and what was found is not well */

const struct tool *tool_find(const char *name); /* NULL: there is none */
void tool_help(void);
