/* The life of a unit, as data: (state, event) -> (action, state). No system call, no clock; init/unit.c carries it out.
 *
 * The states are those of sys/supervisor.h, so that what the control socket tells is what the table means. */
#pragma once
#include "sys/supervisor.h"

enum unit_event {
	UNIT_EV_WANT_UP,
	UNIT_EV_WANT_DOWN,
	UNIT_EV_GO,        /* all that it comes after is there */
	UNIT_EV_SKIP,      /* its condition does not hold */
	UNIT_EV_READY,
	UNIT_EV_EXIT_DONE, /* its main process ended, as it should */
	UNIT_EV_EXIT_AGAIN, /* its main process ended, to be started again */
	UNIT_EV_EMPTY,     /* no process is left in its group */
	UNIT_EV_TIMEOUT,
	UNIT_EVENTS,
};
enum unit_act {
	UNIT_ACT_UNWRITTEN, /* a hole in the table: unit_fsm_test finds it */
	UNIT_ACT_IGNORE,
	UNIT_ACT_CHECK, /* look whether it may go */
	UNIT_ACT_SPAWN,
	UNIT_ACT_TERM,
	UNIT_ACT_KILL,  /* the whole group */
	UNIT_ACT_DRAIN, /* kill what the main process left behind */
	UNIT_ACT_DELAY, /* back off */
	UNIT_ACT_NOTE,  /* only tell */
};

struct unit_step {
	enum unit_act act;
	enum supervisor_state next;
};
struct unit_step unit_step(enum supervisor_state now, enum unit_event ev);
