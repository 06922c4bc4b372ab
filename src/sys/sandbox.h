/* What a process may still do once it is ready. Declared as constant data, entered once, by the process itself.
 *
 * init has set uid, groups, capabilities, limits of files and the control group before exec; this takes away what
 * remains: paths, TCP ports, system calls, core dumps, new privileges. A sandbox that cannot be entered ends in an
 * error, and the process must not go on; after entering, a forbidden call is tried to see that the doors are shut.
 * Landlock and seccomp bind the calling thread and those it makes later: enter before making any. */
#pragma once
#include "base/err.h"

#include <stdint.h>

/* A set. WRITE includes making and removing; with FLAT, of plain files alone: no directories, links by name, or sockets. */
enum sandbox_access { SANDBOX_READ = 1, SANDBOX_WRITE = 2, SANDBOX_EXEC = 4, SANDBOX_FLAT = 8 };
enum { SANDBOX_PATHS_MAX = 16, SANDBOX_PORTS_MAX = 8, SANDBOX_IOCTLS_MAX = 4 };

struct sandbox_path {
	const char *path; /* and all below it; a path that does not exist is passed over. "/": for one whose root holds nothing else */
	unsigned access;
};

/* Named groups of system calls; a set. Memory, threads' synchronisation, time and signals to itself are always there. */
enum sandbox_calls {
	SANDBOX_CALLS_FILES = 1 << 0,   /* open, read, write, stat, rename ... */
	SANDBOX_CALLS_NET = 1 << 1,     /* sockets */
	SANDBOX_CALLS_THREADS = 1 << 2, /* clone for threads */
	SANDBOX_CALLS_SPAWN = 1 << 3,   /* fork, exec, wait, kill */
	SANDBOX_CALLS_URING = 1 << 4,
	SANDBOX_CALLS_NEST = 1 << 5,    /* shut oneself, or a child, in further */
	SANDBOX_CALLS_GROUPS = 1 << 6,  /* leave the process group, and with it whoever would end it as a whole */
	SANDBOX_CALLS_MARKS = 1 << 7,   /* modes, owners and times by path: Landlock does not watch these */
};

struct sandbox {
	struct sandbox_path paths[SANDBOX_PATHS_MAX]; /* up to the first NULL; everything else is out of reach */
	uint16_t connect[SANDBOX_PORTS_MAX], bind[SANDBOX_PORTS_MAX]; /* TCP ports, up to the first 0 */
	bool any_connect;    /* TCP to any port */
	unsigned calls;      /* enum sandbox_calls */
	uint32_t ioctls[SANDBOX_IOCTLS_MAX]; /* requests of ioctl(2), up to the first 0; without any, all of them */
	uint32_t files_max;  /* open files; 0 = as init set it */
	uint64_t memory_max; /* address space in bytes; 0 = as init set it */
	uint64_t file_size_max; /* bytes of one file, EFBIG beyond; 0 = no limit */
};

MUST_CHECK int sandbox_enter(const struct sandbox *s, struct err *e);
