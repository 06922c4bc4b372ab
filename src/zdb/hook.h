/* A program that is run when something happens in a store: --hook of 0-db (doc/zdb.md, Hooks). In the program that runs alone, never a node's.
 *
 * It gets the event, this store's id and the event's words as its arguments, and this process's environment. One thread. */
#pragma once
#include "zdb/store.h"

enum {
	HOOKS_MAX = 256,   /* that run or are remembered at once; with more that run, an event is not told */
	HOOKS_KEEP_S = 60, /* one that has ended is remembered so long */
	HOOK_WORDS_MAX = 8,
};

struct hooks;

/* Borrows PROGRAM and ID. From here on SIGCHLD is blocked in this process, and a crash of it is an event, too. */
MUST_CHECK int hooks_new(const char *program, const char *id, struct hooks **ret, struct err *e);
void hooks_free(struct hooks *h); /* those that run go on; NULL is fine */

int hooks_fd(const struct hooks *h); /* can be read when some have ended: then hooks_reap() */
void hooks_reap(void *h);

/* For store_options; valid as long as H. */
const struct store_watch *hooks_watch(const struct hooks *h);
