/* Control groups, version 2, by path (/sys/fs/cgroup/...): make, limit, kill, look, remove. Allocates nothing. */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>
#include <sys/types.h>

enum { CGROUP_PATH_MAX = 256 };

MUST_CHECK int cgroup_make(const char *path, struct err *e); /* with parents; existing is fine */

enum { CGROUP_NO_FILE = 1 }; /* outcome: the controller is not enabled here */
MUST_CHECK int cgroup_set(const char *path, const char *file, struct str value, struct err *e);

/* SIGKILL to everything in it and below, also to what forks meanwhile. Returns before they are gone. */
MUST_CHECK int cgroup_kill(const char *path, struct err *e);

/* 1: a process lives in it or below, 0: none (or no such group), negative: cannot tell. */
MUST_CHECK int cgroup_is_populated(const char *path, struct err *e);

/* How many processes in it and below the kernel has killed for want of memory; 0 where it does not count. */
uint64_t cgroup_oom_kills(const char *path);

/* Removes it and the groups below. 0 when absent; -EBUSY while processes live there. */
MUST_CHECK int cgroup_remove(const char *path, struct err *e);

/* Whether process PID is in the group GROUP or below; GROUP as /proc/PID/cgroup spells it (without mount point). */
bool cgroup_has(const char *group, pid_t pid);
