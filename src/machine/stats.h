/* What a machine uses at this moment, from its control group, its root and its network device. */
#pragma once
#include "machine/runner.h"

/* The method zos.Runner.Stats, without arguments; the reply is that of zos.Machine.Stats (doc/deployment.md). */
int stats_method(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *runner);
