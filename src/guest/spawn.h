/* Starts one program in the machine's root: as its user, with its environment, in a session of its own. */
#pragma once
#include "sys/guest_wire.h"

#include <sys/types.h>

struct spawn {
	const struct guest_config *config;
	const char *user, *workdir, *term;   /* TERM "": none */
	const char *const *argv;
	const char *group;                   /* path of a control group that is there; "" = stays in ours */
	int stdio[3];   /* borrowed; a terminal's slave in all three is taken as the controlling terminal */
	bool tty;
};

/* Returns once the program runs, or with the reason why it does not. */
MUST_CHECK int spawn_program(const struct spawn *s, pid_t *ret, struct err *e);
