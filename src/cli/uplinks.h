/* The boot configuration of uplinks (doc/boot.md) as options of the commands that write what a node starts from. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/opt.h"

#define UPLINKS_CREDENTIAL "uplink.cred" /* beside farm.cred */

struct uplinks_args {
	struct opt_texts uplinks, dns;
};
#define UPLINKS_OPTS(T, field)                                                                                                                    \
	OPT(T, field.uplinks, "uplink", "CARD,...", "use this card or bond, as doc/boot.md has it: eth0,address=192.0.2.10/24,router=192.0.2.1"), \
		OPT(T, field.dns, "dns", "ADDRESS", "a name server to ask when those of the uplinks do not answer")

/* The credential's text: nothing where nothing was said. -EINVAL with the node's own sentence when a node would refuse it. */
MUST_CHECK int uplinks_format(const struct uplinks_args *a, struct buf *ret, struct err *e);
