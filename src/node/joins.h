/* The private networks that a machine joins, as the providers see them: all of it follows from the document. */
#pragma once
#include "node/engine.h"

/* W's links as MACHINE of D has them. Returns whether they are others than before. */
bool joins_fill(struct work *w, const struct deployment *d, const struct workload *machine);
/* Appends what makes a machine another one, in its own document or by those of its neighbours. */
void joins_mark(const struct workload *machine, struct buf *ret);
