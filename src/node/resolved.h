/* The digest that an image's tag stood for when it was last looked up, and the sequence that asked for it: kept, so that a restart, with or
 * without a registry, runs what ran before. */
#pragma once
#include "node/engine.h"

/* What is kept of IT's image, if that is the one that it has now. */
void resolved_load(struct engine *n, struct item *it);
void resolved_save(struct engine *n, const struct item *it);
/* A reference that names a digest always stands for the same. */
bool resolved_is_pinned(const struct work *w);
