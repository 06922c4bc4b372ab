/* The life of one machine as data: what happened, what to do about it, when to look again. No I/O, no clock. */
#pragma once
#include "api/deployment.h"

/* STOPPING ends the runner too; HALTING rests in HELD, which its owner asked for; RESTARTING starts again at once, FAILING after a pause: it is
 * ended because it is not well. */
enum life_state {
	LIFE_STARTING,
	LIFE_RUNNING,
	LIFE_BACKOFF,
	LIFE_STOPPING,
	LIFE_EXITED,
	LIFE_HALTING,
	LIFE_HELD,
	LIFE_RESTARTING,
	LIFE_FAILING,
	LIFE_STATES
};
enum life_event { LIFE_STARTED, LIFE_ENDED, LIFE_STOP, LIFE_TIMER, LIFE_HOLD, LIFE_RELEASE, LIFE_RESTART, LIFE_UNWELL, LIFE_EVENTS };
enum life_act { LIFE_UNWRITTEN, LIFE_NOTHING, LIFE_START, LIFE_TERM, LIFE_KILL, LIFE_DELAY, LIFE_SOON, LIFE_REST, LIFE_QUIT };

enum {
	LIFE_BACKOFF_FIRST_MS = 1000,
	LIFE_BACKOFF_MAX_MS = 300000,
	LIFE_STEADY_MS = 60000,
	LIFE_GRACE_MS = 10000,
	LIFE_GRACE_DISK_MS = 25000 /* a whole system shuts down; PID 1 waits for the runner 5 s longer */,
	LIFE_SOON_MS = 1
};

struct life {
	enum life_state state;
	enum restart_policy policy;
	unsigned failures;    /* ends in a row that came before LIFE_STEADY_MS of running */
	uint64_t restarts;
	uint64_t started_ms;
	uint64_t grace_ms;    /* from being asked to end to being killed */
	int exit_status;      /* of the last end; -1 = none; 128 + n for signal n */
};
#define LIFE_NEW(p) { .state = LIFE_STARTING, .policy = (p), .grace_ms = LIFE_GRACE_MS, .exit_status = -1 }
extern const char *const life_names[];

/* STATUS is the exit status for LIFE_ENDED. *ret_timer_ms: when to send LIFE_TIMER, from now; 0 = not. Order of duties: first what is
 * returned, then the timer. */
enum life_act machine_life_step(struct life *l, enum life_event event, int status, uint64_t now_ms, uint64_t *ret_timer_ms);
