/* The node's network cards with their addresses, as the kernel has them (rtnetlink(7)): read anew whenever it tells of
 * a change. */
#pragma once
#include "console/snapshot.h"

/* A descriptor that becomes readable when links or addresses change. Returns owned. */
MUST_CHECK int uplink_watch(int *ret_fd, struct err *e);
void uplink_drain(int fd);

/* Fills the uplinks of RET. */
MUST_CHECK int uplink_read(struct snapshot *ret, struct err *e);
