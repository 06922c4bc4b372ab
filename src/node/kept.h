/* What providers of the gateways' kind remember over restarts: values in the store, by name (svc/provider.h). */
#pragma once
#include "node/engine.h"

MUST_CHECK int kept_remember(void *engine, const char *name, struct str value, struct err *e);
MUST_CHECK int kept_recall(void *engine, const char *name, struct buf *ret, struct err *e);
