/* Room for the books of a file system (its metadata), in which a file of the node's state needs some to take the place of the one before. */
#pragma once
#include "base/err.h"

#include <stdbool.h>

/* Of the btrfs at FD: where there is little room, and none to take, pieces of it that hold data are gathered and those that got empty given back. Four are moved
 * at most, of 1 GiB each. */
MUST_CHECK int books_widen(int fd, struct err *e);
/* Whether there is so little of both that the state of a full node may soon find none: owners keep too many names there. */
MUST_CHECK int books_look(int fd, bool *ret_scarce, struct err *e);
