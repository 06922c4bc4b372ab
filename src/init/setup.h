/* The second stage: what a system needs before its first service: mounts, kernel settings, control groups, a name. */
#pragma once
#include "base/err.h"
#include "init/cmdline.h"

/* Each step that fails is told to WARN and the rest goes on: a node without one setting is better than none. */
typedef void setup_warn_fn(const char *sentence);
void setup_system(struct cmdline *ret, setup_warn_fn *warn);

unsigned long setup_min_free_kb(unsigned long memory_kb); /* vm.min_free_kbytes for a machine of that size */
