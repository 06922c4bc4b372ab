/* A mounted disk, asked how it is doing, and read from one end to the other, in slices. For the programs `disk` and `disk-keys`. */
#pragma once
#include "storage/care.h"

/* UUID: of the disk, which is mounted on its folder. */
MUST_CHECK int scrub_look(const char *uuid, struct care *ret, struct err *e);
/* One slice of the scrub that is due or under way, at idle priority. */
MUST_CHECK int scrub_slice(const char *uuid, struct care *ret, struct err *e);
/* Nothing is read any more that a killed one began. Fine when nothing is. */
void scrub_cancel(const char *uuid);
/* A disk that was just made has nothing to be read yet. */
MUST_CHECK int scrub_make(const char *uuid, struct err *e);
