/* The disks that the kernel has, from sysfs (Documentation/ABI/stable/sysfs-block): whole ones of real hardware. */
#pragma once
#include "storage/storage.h"

/* SYS is where sysfs is mounted. Disks at most MAX: their number; what is beyond is not seen. */
MUST_CHECK int scan_disks(const char *sys, struct storage_found *ret, size_t max, struct err *e);
/* Whether all in NEEDS is loaded and works. */
bool scan_has_drivers(const char *sys, enum storage_drivers needs);
