/* One netlink message and the kernel's answer to it (netlink(7)): what netlink.c and genl.c are made of.
 *
 * A message is built on the stack and sent whole; the kernel answers each at once, so that a socket has one question on its way at most.
 * Not for sockets that also listen to groups. */
#pragma once
#include "base/cleanup.h"
#include "base/err.h"
#include "base/rd.h"

#include <linux/netlink.h>

enum {
	NLMSG_BODY_MAX = 4000,
	NLMSG_DATAGRAM_MAX = 32768,  /* the most that the kernel puts into one */
	NLMSG_DATAGRAMS_MAX = 65536, /* of one answer */
};
enum { NLMSG_MORE = 1 }; /* outcome: the answer goes on */

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

/* One message of an answer; BODY is what stands behind its header, borrowed. A negative errno spoils the answer, which is heard to its end. */
typedef int nlmsg_fn(void *ctx, struct rd body);

/* Sends Q, a request with an answer (NLM_F_DUMP or not), and gives each message of it to FN. 0, FN's or the kernel's negative errno, -EBADMSG when the
 * answer is not well formed, -EAGAIN when what was asked for changed meanwhile: ask again. What was received is wiped: there may be keys in it. */
MUST_CHECK int nlmsg_ask(int fd, const struct nlmsg *q, nlmsg_fn *fn, void *ctx);

/* An answer on its way, as nlmsg_ask() keeps it; apart, so that it can be tried without a kernel. */
struct nlmsg_ear {
	nlmsg_fn *fn;
	void *ctx;
	int r; /* the first failure */
};
/* Takes one datagram of the answer. NLMSG_MORE, or what nlmsg_ask() returns. */
MUST_CHECK int nlmsg_hear(struct nlmsg_ear *ear, const void *p, size_t n);

/* An attribute of an answer: its type without the flags of NLA_TYPE_MASK, its content borrowed. */
struct nlmsg_field {
	uint16_t type;
	struct rd body;
};
/* The next attribute of R; false at its end, or when it is not well formed (then rd_done(R) says so). */
bool nlmsg_next(struct rd *r, struct nlmsg_field *ret);
