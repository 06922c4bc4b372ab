/* A container's root: the image's EROFS files, shifted into the container's range of uids, under a bounded writable layer.
 *
 * Everything is mounted in the calling process's own mount namespace, so it goes when the last of its processes goes. */
#pragma once
#include "machine/spec.h"

#define ROOT_VOLUMES "volumes" /* in the machine's own directory: what it mounts, by number */

struct root {
	char path[128];  /* the mounted root */
};
#define ROOT_NONE { .path = "" }

/* DIR is the machine's own directory. Beside the root, DIR/sys becomes a read-only sysfs that shows the links of the machine's own
 * network namespace: what crun would take in a user namespace is the node's. */
MUST_CHECK int root_make(const struct machine_spec *s, const char *dir, struct root *ret, struct err *e);
uint32_t root_uid_base(const struct machine_spec *s);
