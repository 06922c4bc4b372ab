/* What QEMU is shut into: its own root with its program, its ROMs and /dev/kvm; a network namespace with nothing in it; a user of its own
 * without capabilities. Entered by the child that becomes QEMU, between fork and exec; by what serves it a volume (share.h), in parts. */
#pragma once
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CAGE_UID = 904, CAGE_GID = 904, CAGE_KVM_GID = 910 }; /* modload gives /dev/kvm to CAGE_KVM_GID */

#define CAGE_ROOM "/room" /* as QEMU sees it */

/* AT: an empty directory. Afterwards the caller is CAGE_UID, in the control group GROUP, and sees nothing of the node. ROOM_BYTES above 0:
 * it may write so much below CAGE_ROOM, which lies in memory and counts to GROUP. */
MUST_CHECK int cage_enter(const char *at, const char *group, uint64_t room_bytes, struct err *e);

/* Something of the node's, at the same path inside. */
struct cage_thing {
	const char *path;
	bool is_dir;
	unsigned long flags; /* of its mount */
};
/* Namespaces of the caller's own (mounts, network and what is left over), and at AT, an empty directory, a root that shows THINGS and no more:
 * no links, no folder for what is not in /usr. */
MUST_CHECK int cage_view_make(const char *at, const struct cage_thing *things, size_t n, struct err *e);
/* Without capabilities or new privileges from here on, in GROUPS alone; ends with its parent. */
MUST_CHECK int cage_become(uid_t uid, const gid_t *groups, size_t n_groups, struct err *e);

/* The caller sees only that from here on, and can write to its root no more. */
MUST_CHECK int cage_view_enter(const char *at, struct err *e);
