/* How fast a machine's port carries, both ways: what is above that waits on the node, in a queue where its flows take turns (sys/qdisc.h). What the machine
 * sends passes an ifb called RULES_SHAPER and the machine's index, which is there only where there is a limit. */
#pragma once
#include "base/err.h"

#include <stdint.h>

/* The port DEVICE of the machine with INDEX, which is there, carries at most RATE bytes a second each way; 0 = as fast as it can. Done already is fine, and
 * what flows goes on. NETLINK: a socket of the port's namespace. */
MUST_CHECK int shape_apply(int netlink, const char *device, unsigned index, uint64_t rate, struct err *e);
/* What there is beside the port, which may have gone, goes. */
MUST_CHECK int shape_remove(int netlink, unsigned index, struct err *e);
