/* The first stage: /init of the initial RAM file system. Mounts the EROFS root and becomes init there. */
#pragma once
#include "base/err.h"

/* Returns only on failure. */
MUST_CHECK int boot_root(struct err *e);
