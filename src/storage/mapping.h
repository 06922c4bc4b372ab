/* What lies over a disk of ours that was unlocked: its mapping of the kernel's device mapper, and the mount of that on the disk's folder. For the programs `disk`
 * and `disk-keys`; needs neither a key nor a library that knows one. */
#pragma once
#include "storage/device.h"
#include "storage/storage.h"

#include <sys/mount.h>

enum { MAPPING_NAME_MAX = 48 };
void mapping_name(char ret[static MAPPING_NAME_MAX], const char *uuid); /* the name below /dev/mapper */

void mapping_path(char ret[static STORAGE_PATH_MAX], const char *uuid); /* the folder */

/* On what the mapping of UUID lies. A copy of a disk has its UUID: what is open may be the other one. */
enum mapping_below {
	MAPPING_CLOSED, /* there is none */
	MAPPING_OURS, /* on this disk */
	MAPPING_OTHER, /* on another one that is there */
	MAPPING_DEAD, /* on one that is not there any more */
};
enum mapping_below mapping_below(const char *uuid, const struct disk_args *a);
/* Takes the mapping away: at once, or with LATER when its last user lets go. Fine when there is none. */
MUST_CHECK int mapping_shut(const char *uuid, bool later, struct err *e);

/* Mounts it on the disk's folder, which is made. Fine when it is mounted already. */
MUST_CHECK int mapping_open(const char *uuid, struct err *e); /* a descriptor of the folder, which is mounted */
MUST_CHECK int mapping_mount(const char *uuid, bool is_rotational, struct err *e);
/* Takes mount and mapping away: with HOW 0 at once, -EBUSY while something there is in use; with MNT_DETACH when its last user lets go. Fine when there is
 * none. Leaves alone what is open of another disk with the same UUID. */
MUST_CHECK int mapping_let_go(const struct disk_args *a, const char *uuid, int how, struct err *e);
