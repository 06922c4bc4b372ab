/* One supervised thing: a row of the service table, or an instance of a template. Carries out what unit_fsm decides.
 *
 * Units live in a fixed array in struct init and are named by their place in it. */
#pragma once
#include "init/backoff.h"
#include "init/ring.h"
#include "init/service.h"
#include "init/unit_fsm.h"
#include "sys/cgroup.h"

struct init;

struct unit {
	const struct service *service; /* NULL: this place is free */
	char name[SUPERVISOR_NAME_MAX];
	const char *instance; /* into NAME, or NULL */
	enum supervisor_state state;
	bool is_wanted;
	pid_t pid; /* 0 = not running */
	uint32_t restarts;
	int exit_status;     /* -1 = none yet */
	uint64_t since_ms, started_ms;
	uint64_t due_ms;     /* UNIT_EV_TIMEOUT comes then; 0 = never */
	struct backoff backoff;
	char text[SUPERVISOR_TEXT_MAX];
	uint64_t oom_kills;          /* in its group, when it was started */
	bool is_oom_killed;          /* so it ended last, and TEXT says so */
	char group[CGROUP_PATH_MAX]; /* all it ever starts is in there or below */
	bool is_group_good;          /* there, with its limits, and never killed as a whole */
	int log_fds[2];              /* read here, written by its processes */
	struct ring_line line;
	struct ring ring;
};

/* Takes a free place for SERVICE (with its INSTANCE); NULL when all are taken. */
struct unit *unit_add(struct init *in, const struct service *service, const char *instance);

struct unit *unit_find(struct init *in, const char *name);
void unit_event(struct init *in, struct unit *u, enum unit_event ev, uint64_t now_ms);

/* Its main process ended with STATUS (as wait(2) has it). */
void unit_exited(struct init *in, struct unit *u, int status, uint64_t now_ms);

/* Whatever can happen to it without an event from outside. */
void unit_settle(struct init *in, struct unit *u, uint64_t now_ms);

/* Neither running nor about to. */
bool unit_is_at_rest(const struct unit *u);

/* Reads what stands in its log pipe. */
void unit_log_read(struct init *in, struct unit *u);
