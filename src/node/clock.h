/* The node's clock: who sets it, and whether it is right. */
#pragma once
#include "api/doc.h"

#define CLOCK_DIR "/run/zos/clock" /* init/clock.c reads it */
enum { CLOCK_PATIENCE_S = 600 }; /* after so long up, time servers that never answered are something to tell */

/* Names the time servers of FARM (NULL: none) to the service `clock`. */
void clock_configure(const struct farm *farm);

/* Whether a farm's time servers have answered, or have time left to. */
bool clock_is_well(const struct farm *farm);
/* {servers, set, error_us}: how many the farm names, whether any server set it, and by how much it may be wrong then. Returns owned. */
MUST_CHECK int clock_json(const struct farm *farm, sd_json_variant **ret);
