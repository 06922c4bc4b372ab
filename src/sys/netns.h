/* Network namespaces that outlive the process that made them: bound to a file. The calling process has one thread. */
#pragma once
#include "base/err.h"

/* Makes a namespace at PATH, whose directory exists; already there is fine. */
MUST_CHECK int netns_make(const char *path, struct err *e);
MUST_CHECK int netns_remove(const char *path, struct err *e); /* absent is fine */

/* Runs FN in the namespace at PATH and comes back. Returns what FN returned. */
MUST_CHECK int netns_run(const char *path, int (*fn)(void *ctx, struct err *e), void *ctx, struct err *e);
