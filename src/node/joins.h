/* The private networks that a machine joins, or that a published name leads to, as the providers see them: all of it follows from the document. */
#pragma once
#include "node/engine.h"

/* W's links as MACHINE, or a zdb, of D has them. Returns whether they are others than before. */
bool joins_fill(struct work *w, const struct deployment *d, const struct workload *machine);
/* What GATEWAY of D publishes. */
void joins_gateway_fill(struct work *w, const struct deployment *d, const struct workload *gateway);
/* Appends what makes W of D another one, in its own data or by that of its neighbours. */
void joins_mark(const struct deployment *d, const struct workload *w, struct buf *ret);
