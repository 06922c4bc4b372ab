/* Mounts: one declared struct each, so that a list of mounts is a table. Allocates nothing.
 *
 * Named mnt because <sys/mount.h> would find a mount.h of this room first: src is on the include path. */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <sys/mount.h>

struct mnt_spec {
	const char *what, *at, *type, *options; /* OPTIONS may be NULL */
	unsigned long flags;                    /* MS_... */
	bool make_dir;     /* AT is made first; for a read-only parent it must exist */
	bool optional;     /* a kernel without this file system is fine */
};

/* Mounts M below the directory ROOT ("" = the root). Already mounted there is fine. */
MUST_CHECK int mnt_make(const char *root, const struct mnt_spec *m, struct err *e);

/* Binds FROM to AT with FLAGS (MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC). */
MUST_CHECK int mnt_bind(const char *from, const char *at, unsigned long flags, struct err *e);

/* Takes AT out of the tree at once; it is gone when its last user is. 0 when nothing is mounted there. */
MUST_CHECK int mnt_drop(const char *at, struct err *e);

/* AT, a mount, becomes the root of the calling process's mount namespace, which is its own; the old one is gone. */
MUST_CHECK int mnt_enter(const char *at, struct err *e);
