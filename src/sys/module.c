#include "sys/module.h"

#include <stdio.h>

enum { WAIT_MS = 10000 };

int module_load(const struct supervisor *s, const char *name, struct err *e)
{
	enum { ENDED = 1u << SUPERVISOR_DONE | 1u << SUPERVISOR_DOWN | 1u << SUPERVISOR_BACKOFF | 1u << SUPERVISOR_SKIPPED };
	char unit[SUPERVISOR_NAME_MAX];
	struct supervisor_unit u;
	int r;

	snprintf(unit, sizeof(unit), "module@%s", name);
	return (r = supervisor_start(s, unit, e)) ? r : supervisor_wait(s, unit, ENDED, WAIT_MS, &u, e);
}
