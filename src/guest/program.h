/* The machine's program: started once, its output carried to the ports, its end waited for, everything else reaped. */
#pragma once
#include "guest/session.h"

struct program_ports {
	int control, out, err;
	struct sessions *sessions; /* borrowed */
};

/* Starts the program and says READY. Returns its exit status as a shell shows it once all is over, or negative when it never ran. */
MUST_CHECK int program_run(const struct guest_config *c, const struct program_ports *ports, struct err *e);
