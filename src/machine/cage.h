/* What QEMU is shut into: its own root with its program, its ROMs and /dev/kvm; a network namespace with nothing in it; a user of its own
 * without capabilities. Entered by the child that becomes QEMU, between fork and exec. */
#pragma once
#include "base/err.h"

#include <stdint.h>

enum { CAGE_UID = 904, CAGE_GID = 904, CAGE_KVM_GID = 910 }; /* modload gives /dev/kvm to CAGE_KVM_GID */

#define CAGE_ROOM "/room" /* as QEMU sees it */

/* AT: an empty directory. Afterwards the caller is CAGE_UID, in the control group GROUP, and sees nothing of the node. ROOM_BYTES above 0:
 * it may write so much below CAGE_ROOM, which lies in memory and counts to GROUP. */
MUST_CHECK int cage_enter(const char *at, const char *group, uint64_t room_bytes, struct err *e);
