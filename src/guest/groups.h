/* Where the owner's programs live: one control group, so that what they take leaves guest-init and the kernel their room. */
#pragma once
#include "sys/cgroup.h"

/* Makes the group and limits it to the memory that is free now, less a reserve. Call before anything runs that is not ours. */
MUST_CHECK int groups_open(struct err *e);

/* Makes the group NAME in it. Its path goes to RET, "" when this kernel has no groups. */
MUST_CHECK int groups_make(const char *name, char ret[static CGROUP_PATH_MAX], struct err *e);
