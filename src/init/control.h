/* The server side of the control socket: doc/wire-init.md. Root only; one packet in, answers out, nothing waits. */
#pragma once
#include "init/unit.h"

void control_accept(struct init *in);
void control_serve(struct init *in, size_t conn);

/* Tells every watcher the state of U; who does not keep up is let go. */
void control_tell(struct init *in, const struct unit *u);
