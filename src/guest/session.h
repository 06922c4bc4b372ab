/* Exec sessions inside a virtual machine: one port each, served by a child of guest-init from the first byte that comes on it. */
#pragma once
#include "sys/guest_wire.h"

#include <poll.h>
#include <sys/types.h>

struct sessions {
	int ports[EXEC_SESSIONS_MAX]; /* -1 = not there */
	pid_t pids[EXEC_SESSIONS_MAX]; /* 0 = idle */
};
#define SESSIONS_NONE { .ports = { [0 ... EXEC_SESSIONS_MAX - 1] = -1 } }

MUST_CHECK int sessions_open(struct sessions *s, struct err *e);
/* What to poll for: EXEC_SESSIONS_MAX entries. */
void sessions_want(const struct sessions *s, struct pollfd *ret);
/* Starts children for ports on which something came. */
void sessions_begin(struct sessions *s, const struct guest_config *c, const struct pollfd *seen);
/* A child has ended. */
void sessions_reaped(struct sessions *s, pid_t pid);
