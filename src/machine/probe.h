/* The health check of one machine at work: each look is a child that connects to the machine, or runs a program in it,
 * and says what it saw. Owned by the runner, in its loop; health.h decides. */
#pragma once
#include "machine/health.h"

#include <systemd/sd-event.h>

enum { PROBE_WHY_MAX = 100 };

struct runner;
struct probe {
	struct runner *runner;
	struct health health;
	sd_event_source *timer, *child; /* child NULL = none is out */
	int from;         /* where the child says why; -1 = none */
	char why[PROBE_WHY_MAX];        /* the last failure; "" = it is well */
	enum probe_told { PROBE_WAITING, PROBE_PASSING, PROBE_FAILING } told; /* what its owner reads of it */
};
static const char *const probe_told_names[] __attribute__((unused)) = { "waiting", "passing", "failing" };

/* Does nothing ever for a machine without a check. */
MUST_CHECK int probe_init(struct probe *p, struct runner *r, struct err *e);
void probe_deinit(struct probe *p);

void probe_up(struct probe *p);   /* the machine runs */
void probe_down(struct probe *p); /* it does not any more, or is frozen */
