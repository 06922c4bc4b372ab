/* What serves one volume to a virtual machine: a virtiofsd, in the machine's control group.
 *
 * The guest is a stranger's and speaks to it directly, so it has nothing but the volume: its root is that, shifted into the machine's range of
 * uids as a container's would be, it is root of that range alone, and it is in namespaces in which nothing else is. Owned by the emulator. */
#pragma once
#include "machine/runner.h"

enum { SHARE_FILES_MAX = 32768 /* that a guest knows of at once: each takes some 2 KiB of the kernel's memory, which is the machine's */ };

struct share {
	const char *name;       /* of the volume; borrowed */
	sd_event_source *child; /* NULL = none runs; killed with it */
	int fd;   /* QEMU's end of the socket */
};
#define SHARE_NONE { .fd = -1 }

/* M is a volume of R's machine. COMPLAINTS: where it says what went wrong. ON_END comes with USERDATA when it has ended. */
MUST_CHECK int share_start(struct share *ret, const struct runner *r, const struct machine_mount *m, int complaints, sd_event_child_handler_t on_end,
			   void *userdata, struct err *e);
void share_close(struct share *s);
