/* Where volumes and zmounts are, remembered in the store (doc/state.md): without it a disk that is missing could not be told from one that
 * never had them. */
#pragma once
#include "node/engine.h"

/* Fills in what is known about IT, which is new. */
void placed_load(struct engine *n, struct item *it);
/* Gives IT, which is nowhere, the name for what will be made of the document of SEQUENCE. */
void placed_name(struct item *it, uint64_t sequence);

/* W of D is to be made on DISK: remembered before D is. */
MUST_CHECK int placed_choose(struct engine *n, const struct deployment *d, const struct workload *w, const char *disk, struct err *e);

/* For struct provider. */
MUST_CHECK int placed_keep(void *engine, struct work *w, struct err *e);
MUST_CHECK int placed_bury(void *engine, struct work *w, struct err *e);
bool placed_is_buried(void *engine, const char *disk, const char *name);

/* After a start: what was being removed when the node went down, that is what a document that is held does not name any more, is buried. What
 * belongs to a document that cannot be read stays. */
MUST_CHECK int placed_sweep(struct engine *n, struct err *e);
