/* Which record was a key's before, of records of the original's data files, which do not say it (doc/disk-zdb.md, Parents).
 *
 * Written once, while all of those are read; looked into for HISTORY. Nothing but that is lost without. */
#pragma once
#include "base/err.h"
#include "zdb/record.h"

#define PARENTS_NAME "parents"

struct parents; /* being written */

MUST_CHECK int parents_begin(int dir, struct parents **ret, struct err *e);
void parents_add(struct parents *p, struct place at, struct place parent); /* by rising place; a failure is told at the end */

/* Frees P. Puts what was added in the place of what was there, for good once it returns. */
MUST_CHECK int parents_end(struct parents *p, struct err *e);
void parents_free(struct parents *p); /* in the place of that: nothing has changed. NULL is fine */

/* What was there before the record at AT. 0, PARENTS_NONE: it is not known; -errno: what may know it cannot be read. */
enum { PARENTS_NONE = 1 };
MUST_CHECK int parents_find(int dir, struct place at, struct place *ret, struct err *e);
