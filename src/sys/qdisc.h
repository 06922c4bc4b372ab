/* How fast links carry, over rtnetlink (tc(8), tc-tbf(8), tc-mirred(8)): what is above a link's rate waits in a queue of it. */
#pragma once
#include "base/err.h"

#include <stdint.h>

/* What leaves by the link NAME, at most RATE bytes a second (at least QDISC_RATE_MIN), and some hundredths of a second of it at once: a token bucket. Flows
 * take turns in its queue (fq_codel, RFC 8290) where the kernel has that. One that is there gets the rate, and loses nothing of its queue. -ENODEV, and
 * -ENOENT when the kernel has no such queue. */
#define QDISC_RATE_MIN 16384ull
MUST_CHECK int qdisc_set_rate(int fd, const char *name, uint64_t rate, struct err *e);
MUST_CHECK int qdisc_clear_rate(int fd, const char *name, struct err *e); /* none is fine, and so is no link */

/* What comes in by the link NAME leaves by TO first, an "ifb", which hands it back; there already is fine. Errors as above. */
MUST_CHECK int qdisc_lead(int fd, const char *name, const char *to, struct err *e);
MUST_CHECK int qdisc_unlead(int fd, const char *name, struct err *e); /* none is fine, and so is no link */
