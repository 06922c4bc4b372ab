/* Ranges of ids: what a mount shows with its owners shifted, and a process in a user namespace of the same range. */
#pragma once
#include "base/err.h"

#include <stdint.h>

/* A user namespace that shows BASE..BASE+COUNT-1 as 0..COUNT-1. Returns its descriptor, owned. The caller has one thread. */
MUST_CHECK int idmap_open(uint32_t base, uint32_t count, int *ret, struct err *e);

/* The caller becomes root of that namespace, whose rights over a mount shifted by it are those of an owner, and over the node none. It keeps
 * the capabilities in KEEP (bits by number) and can gain no others. */
MUST_CHECK int idmap_enter(int userns, uint64_t keep, struct err *e);
