/* What an owner wishes of a machine that is there, to run, to rest or to be stopped, remembered in the store: it holds over restarts. */
#pragma once
#include "node/engine.h"

/* Fills in what is known about W. */
void hold_load(struct engine *n, struct work *w);
/* Remembered before it is so. -EIO. */
MUST_CHECK int hold_save(struct engine *n, struct work *w, enum work_hold hold, struct err *e);
