/* Starts the main process of a unit: born inside its control group, stripped down to what its table row grants. */
#pragma once
#include "base/err.h"
#include "init/service.h"

struct spawn {
	const struct service *service;
	const char *instance;      /* NULL for a plain service */
	const char *group;         /* path of the control group it is born in */
	const char *notify_socket; /* path */
	int log_fd;                /* becomes 1 and 2 unless the service has a tty */
	bool is_debug;
};

/* Returns the process id. What fails in the child after the fork is told in its log, and it exits with 127. */
MUST_CHECK pid_t spawn(const struct spawn *s, struct err *e);
