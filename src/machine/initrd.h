/* The archive that a virtual machine boots from, when its owner asked for kernel modules: the image's own with another behind it, as the
 * kernel unpacks them (Documentation/driver-api/early-userspace/buffer-format.rst). guest-init loads what stands in modules/asked. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <systemd/sd-json.h>

enum { INITRD_MAX = 32 << 20 }; /* bytes in all: they count to the memory that the machine has besides its guest's */

/* Appends to ARCHIVE another with the MODULES, names from TABLE (svc/offers.h), each file once. -ENOENT for one that is not in the table. */
MUST_CHECK int initrd_add(struct str table, sd_json_variant *modules, struct buf *archive, struct err *e);
