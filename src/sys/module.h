/* Kernel modules that a workload or an uplink came to need. The kernel cannot ask for them by itself: nothing in the image would answer. */
#pragma once
#include "sys/supervisor.h"

/* Loads NAME, a module or several, as modload knows it (src/init/modload.c), and waits for it: once in the life of a node, for some tenths of a second. What
 * was loaded already is fine; whether it can be used is for the caller to see. */
MUST_CHECK int module_load(const struct supervisor *s, const char *name, struct err *e);
