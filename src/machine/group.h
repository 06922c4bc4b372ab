/* The control group of what runs in a machine, "box" below the machine's own: its limits. */
#pragma once
#include "base/err.h"

#include <stdint.h>

enum { GROUP_CONTAINER_TASKS_MAX = 4096 };

struct group_limits {
	uint64_t memory_bytes, cpu_milli;
	unsigned tasks;
};

/* Makes the group anew and empty; one that was there must have no process left. */
MUST_CHECK int group_make(const char *path, const struct group_limits *l, struct err *e);

/* What fails is told. */
void group_freeze(const char *path, bool on);
void group_end(const char *path); /* of all in it, by SIGKILL */
