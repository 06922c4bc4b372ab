/* What the kernel tells of devices that come and go, over NETLINK_KOBJECT_UEVENT (lib/kobject_uevent.c). */
#pragma once
#include "base/err.h"

#include <stdint.h>

enum { UEVENT_MAX = 8192 };

/* A socket that hears the kernel itself, not a device manager, from now on. FLAGS: SOCK_NONBLOCK. Returns owned. */
MUST_CHECK int uevent_open(int flags, int *ret_fd, struct err *e);

struct uevent {
	char text[UEVENT_MAX + 1]; /* "ACTION@DEVPATH", then assignments, each with its NUL */
	size_t len;
};
enum { UEVENT_NONE = 1, UEVENT_LOST = 2 };
/* 0, UEVENT_NONE (nothing more now, or not the kernel's), UEVENT_LOST (some did not fit into the socket), or a negative errno. */
MUST_CHECK int uevent_read(int fd, struct uevent *ret);
/* The value of NAME, such as "SUBSYSTEM"; NULL where it has none. Borrowed. */
const char *uevent_get(const struct uevent *u, const char *name);
