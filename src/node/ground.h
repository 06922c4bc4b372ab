/* What machines stand on: the storage that they mount, the networks that they join, and the public addresses that lead to them. */
#pragma once
#include "node/engine.h"

/* Whether IT is to wait (struct plan_view, blocked): a machine or a store for what it needs, which is found on the way; storage and networks
 * for the machines that have them. Sets IT's unlinked and waits_for. */
bool ground_check(struct engine *n, struct item *it);
