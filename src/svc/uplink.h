/* The node's network cards with their addresses, as the kernel has them (rtnetlink(7)), and what they say about a hub that is not reached.
 * Read anew whenever the kernel tells of a change. */
#pragma once
#include "api/diagnosis.h"

enum { UPLINKS_MAX = 16 };

struct uplink {
	char name[16];
	bool is_used;     /* up: not so where the boot configuration leaves it out */
	bool has_carrier;
	bool is_part; /* of a bond, or carries a VLAN: the addresses are that one's */
	char addresses[160]; /* separated by spaces; "" = none */
};

/* Fills RET and tells how many there are. */
MUST_CHECK int uplink_read(struct uplink ret[static UPLINKS_MAX], size_t *ret_n, struct err *e);

/* The nearest cause, of N cards, a clock that says TIME_S, and so many hubs that the farm names. Pure. */
enum diagnosis_cause uplink_why(const struct uplink *uplinks, size_t n, int64_t time_s, size_t n_hubs);
