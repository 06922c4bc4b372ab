/* PID 1 as seen by everybody else: start and stop instances of a template, ask for states, read logs, power.
 *
 * Talks to the control socket that doc/wire-init.md describes; root only. Every call opens its own connection, waits at
 * most the supervisor's timeout, and leaves nothing behind, so any number of threads may call. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

#define SUPERVISOR_SOCKET "/run/init.sock"
enum {
	SUPERVISOR_NAME_MAX = 64,    /* "machine@<id>" with its NUL */
	SUPERVISOR_TEXT_MAX = 96,    /* what a service said of itself with STATUS= */
	SUPERVISOR_TIMEOUT_MS = 5000,
};

enum supervisor_state {
	SUPERVISOR_DOWN,      /* not wanted */
	SUPERVISOR_WAITING,   /* wanted, something before it is not up yet */
	SUPERVISOR_STARTING,  /* runs, not ready yet */
	SUPERVISOR_UP,        /* runs and is ready */
	SUPERVISOR_STOPPING,  /* was asked to end */
	SUPERVISOR_LEAVING,   /* ended; its last children are being killed; then down */
	SUPERVISOR_FINISHING, /* the same; then done */
	SUPERVISOR_DRAINING,  /* the same; then again */
	SUPERVISOR_BACKOFF,   /* failed, will be started again */
	SUPERVISOR_DONE,      /* ended as it should; keeps its last exit status */
	SUPERVISOR_SKIPPED,   /* its program or condition is not in this image */
	SUPERVISOR_STATES,
};
const char *supervisor_state_name(enum supervisor_state s);

struct supervisor_unit {
	char name[SUPERVISOR_NAME_MAX];
	char text[SUPERVISOR_TEXT_MAX];
	enum supervisor_state state;
	pid_t pid;          /* 0 = none */
	uint32_t restarts;
	int exit_status;    /* as wait(2) has it, of the last run; -1 = none yet */
	uint64_t since_ms;  /* monotonic time of the last change of state */
};

struct supervisor {
	const char *socket; /* borrowed */
	unsigned timeout_ms;
};
#define SUPERVISOR_DEFAULT { .socket = SUPERVISOR_SOCKET, .timeout_ms = SUPERVISOR_TIMEOUT_MS }

enum { SUPERVISOR_UNKNOWN = 1 }; /* outcome: there is no such unit */

/* Both return when the wish is noted, not when it has come true: see supervisor_wait. Starting what runs and stopping
 * what is down are fine. Only instances of a template can be started and stopped (-EPERM else). */
MUST_CHECK int supervisor_start(const struct supervisor *s, const char *name, struct err *e);
MUST_CHECK int supervisor_stop(const struct supervisor *s, const char *name, struct err *e); /* or SUPERVISOR_UNKNOWN */

MUST_CHECK int supervisor_find(const struct supervisor *s, const char *name, struct supervisor_unit *ret, struct err *e);

/* Number of units written to RET, at most MAX; -ENOBUFS when there are more. */
MUST_CHECK int supervisor_list(const struct supervisor *s, struct supervisor_unit *ret, size_t max, struct err *e);

/* Waits until NAME is in one of the states of the bit set STATES (1u << SUPERVISOR_UP | ...). A unit that is not known
 * counts as down. -ETIMEDOUT after TIMEOUT_MS. */
MUST_CHECK int supervisor_wait(const struct supervisor *s, const char *name, unsigned states, unsigned timeout_ms, struct supervisor_unit *ret,
			       struct err *e);

/* Appends the kept log lines of NAME from the offset *FROM on and moves *FROM behind them; start with 0 and call again
 * until nothing comes. Lines that were overwritten meanwhile are missing. Each reads "<level>seconds.millis text". */
MUST_CHECK int supervisor_log(const struct supervisor *s, const char *name, uint64_t *from, struct buf *ret, struct err *e);

/* Every change of state from now on. Returns a descriptor to poll for reading; supervisor_watch_read takes one change
 * from it: 0, -EAGAIN when there is none, -EPIPE when init let go of a slow reader (list and watch again). */
MUST_CHECK int supervisor_watch(const struct supervisor *s, struct err *e);
MUST_CHECK int supervisor_watch_read(int fd, struct supervisor_unit *ret, struct err *e);

/* Ordered shutdown; returns as soon as it has begun. */
MUST_CHECK int supervisor_power(const struct supervisor *s, bool reboot, struct err *e);
