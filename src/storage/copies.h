/* The second copy of what volumes keep in the books of their file system (names, small links): a quota group counts one of the two. */
#pragma once
#include "base/err.h"

/* Of every volume below the btrfs at FD: its limit is its size less what its books take now, so that it comes to its size with both copies of them. What was written
 * since the last time is not in it yet, nor is what its snapshots alone have in books. */
MUST_CHECK int copies_count(int fd, struct err *e);
