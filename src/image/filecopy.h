/* A file of an image cache, copied into another one. */
#pragma once
#include "base/err.h"

/* NAME from one folder into another, flushed, under a passing name until it is whole; with its owner, mode and times, which say what was used last. One that is there already
 * stays, one that is gone meanwhile (evicted) is nothing. What is no plain file is left out. */
MUST_CHECK int filecopy(int from_dir, int to_dir, const char *name, struct err *e);
