/* Whom the node asks for names, as far as its farm says it. */
#pragma once
#include "api/doc.h"

/* Names the fall-backs of FARM (NULL: none) beside the servers that leases and the boot configuration name (sys/resolv.h). */
void resolver_configure(const struct farm *farm);
