/* The kernel modules that a virtual machine may have besides its drivers: a table that os/make-image wrote, a line for each, of its name
 * and the files to load for it, in their order, those that it needs first. A module that is built in, or loaded anyway, has no file. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#define OFFERS_TABLE "/usr/lib/zos/guest/offers"
enum { OFFERS_MAX = 1 << 18 }; /* bytes of the table */

/* What stands behind NAME in TABLE, where - and _ are the same; false when nothing does. */
bool offers_find(struct str table, const char *name, struct str *ret_files);
