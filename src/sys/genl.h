/* Generic netlink: families of the kernel that are found by their name (Documentation/userspace-api/netlink/intro.rst). Framing is nlmsg.h's. */
#pragma once
#include "sys/nlmsg.h"

struct genl {
	int fd; /* owned; of the namespace that the calling thread was in when it opened it */
	uint16_t family;
	uint8_t version;
};
#define GENL_NONE { .fd = -1 }
#define AUTO_GENL CLEANUP(genl_close)

/* -EOPNOTSUPP when the kernel has no such family, also not as a module that it could load. */
MUST_CHECK int genl_open(const char *family, uint8_t version, struct genl *ret, struct err *e);
void genl_close(struct genl *g);

/* Begins a message of the family. An answer's body starts with the head that genl_skip() takes off. */
void genl_init(struct nlmsg *q, const struct genl *g, uint8_t command, uint16_t flags);
void genl_skip(struct rd *body);
