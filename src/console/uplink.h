/* The node's network cards with their addresses, as the kernel has them (rtnetlink(7)).
 * Read anew whenever it tells of a change. */
#pragma once
#include "console/snapshot.h"

/* Fills the uplinks of RET. */
MUST_CHECK int uplink_read(struct snapshot *ret, struct err *e);
