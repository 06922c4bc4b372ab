#include "network/shape.h"

#include "api/doc.h"
#include "network/rules.h"
#include "sys/module.h"
#include "sys/netlink.h"
#include "sys/qdisc.h"

#include <stdio.h>

static_assert(BANDWIDTH_MIN >= QDISC_RATE_MIN);

static void name_of(unsigned index, char ret[static 16])
{
	snprintf(ret, 16, RULES_SHAPER "%u", index);
}

/* The way through the ifb is opened last: it never leads to one without a limit. */
static int limit(int netlink, const char *device, const char *shaper, uint64_t rate, struct err *e)
{
	int r = netlink_add_link(netlink, shaper, "ifb", e);

	if ((r && r != -EEXIST) || (r = qdisc_set_rate(netlink, shaper, rate, e)) || (r = netlink_up(netlink, shaper, e)) ||
	    (r = qdisc_set_rate(netlink, device, rate, e)))
		return r;
	return qdisc_lead(netlink, device, shaper, e);
}

/* What the kernel says of a kind of link, and of a queue, that it does not know. */
static bool lacks_module(int r)
{
	return r == -EOPNOTSUPP || r == -ENOENT;
}

int shape_apply(int netlink, const char *device, unsigned index, uint64_t rate, struct err *e)
{
	const struct supervisor s = SUPERVISOR_DEFAULT;
	char shaper[16];
	int r;

	name_of(index, shaper);
	if (!rate)
		return (r = qdisc_unlead(netlink, device, e)) || (r = qdisc_clear_rate(netlink, device, e)) ? r : shape_remove(netlink, index, e);
	r = limit(netlink, device, shaper, rate, e);
	if (lacks_module(r)) /* the first limit on this node */
		r = (r = module_load(&s, "shaping", e)) ? r : limit(netlink, device, shaper, rate, e);
	return err_wrap(e, r, "limit the machine's bandwidth");
}

int shape_remove(int netlink, unsigned index, struct err *e)
{
	char shaper[16];

	name_of(index, shaper);
	return netlink_remove(netlink, shaper, e);
}
