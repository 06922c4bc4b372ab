/* What a store counts, as text for Prometheus (METRICS). */
#pragma once
#include "zdb/command.h"

/* N commands were carried out in a turn that took so long. */
void metrics_turn(struct counters *c, uint64_t n, uint64_t took_us);

void metrics_put(struct buf *b, const struct shared *s, int64_t time_s);
