/* One netlink message and the kernel's answer to it (netlink(7)): what netlink.c and genl.c are made of.
 *
 * A message is built on the stack and sent whole; the kernel answers each at once, so that a socket has one question on its way at most.
 * Not for sockets that also listen to groups. */
#pragma once
#include "base/cleanup.h"
#include "base/err.h"

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

enum { NLMSG_BODY_MAX = 4000 };

struct nlmsg {
	struct nlmsghdr head;
	char body[NLMSG_BODY_MAX];
};

/* FAMILY is the fixed header that the family puts before its attributes, N bytes of it. Asks for an acknowledgement. */
void nlmsg_init(struct nlmsg *q, uint16_t type, uint16_t flags, const void *family, size_t n);

/* Appends an attribute. One that does not fit is a bug of the caller, who bounds what it puts in. Returns it, for nlmsg_end() where others lie in it. */
struct nlattr *nlmsg_attr(struct nlmsg *q, uint16_t type, const void *p, size_t n);
void nlmsg_end(struct nlmsg *q, struct nlattr *a); /* A holds all that was appended since */

/* Sends Q and waits for the kernel's word: 0 or the negative errno that it gives. */
MUST_CHECK int nlmsg_talk(int fd, const struct nlmsg *q);
