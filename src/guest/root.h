/* The root file system inside a virtual machine: the layers' disks, read-only, under a bounded writable layer in memory. */
#pragma once
#include "sys/guest_wire.h"

/* What must be there before anything else: /proc, /sys, /dev, and the drivers that the archive carries. */
MUST_CHECK int root_early(struct err *e);

/* Mounts the machine's root from its disks and makes it the root of this process. */
MUST_CHECK int root_enter(const struct guest_config *c, struct err *e);

/* Mounts what its owner wants mounted, and lets what has grown have all of its disk. Called inside the root. */
MUST_CHECK int root_mount(const struct guest_config *c, struct err *e);

/* Names, addresses and limits, as a container of the same machine would see them. Called inside the root. */
MUST_CHECK int root_dress(const struct guest_config *c, struct err *e);
