/* Links, addresses and routes over rtnetlink (rtnetlink(7)), one acknowledged request at a time. */
#pragma once
#include "base/err.h"

#include <net/if.h>
#include <stdint.h>

/* A socket of the calling thread's network namespace: it keeps talking to that one also after the thread has left. Returns owned. */
MUST_CHECK int netlink_open(int *ret_fd, struct err *e);

/* A descriptor that becomes readable when something of GROUPS (RTMGRP_... of rtnetlink(7)) changes. Returns owned. */
MUST_CHECK int netlink_watch(uint32_t groups, int *ret_fd, struct err *e);
void netlink_drain(int fd); /* forgets what was told: whoever wants to know looks anew */

/* A pair of virtual Ethernet links: NAME here, PEER in the namespace NETNS_FD. -EEXIST when there is a NAME. */
MUST_CHECK int netlink_add_veth(int fd, const char *name, const char *peer, int netns_fd, struct err *e);
MUST_CHECK int netlink_remove(int fd, const char *name, struct err *e); /* absent is fine */
MUST_CHECK int netlink_up(int fd, const char *name, struct err *e);
/* ADDRESS in host byte order. Already there is fine. */
MUST_CHECK int netlink_add_address(int fd, const char *name, uint32_t address, unsigned prefix, struct err *e);
MUST_CHECK int netlink_add_default(int fd, const char *name, uint32_t gateway, struct err *e);
