/* From root to a user who may nothing, for good. */
#pragma once
#include "base/err.h"

#include <sys/types.h>

/* The calling process is UID and GID alone from here on, without other groups, and neither it nor what it runs has a capability, or gets one. Needs root. */
MUST_CHECK int become(uid_t uid, gid_t gid, struct err *e);
