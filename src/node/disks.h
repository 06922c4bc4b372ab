/* The node's disks as people see them. */
#pragma once
#include "api/doc.h"
#include "storage/storage.h"

#include <systemd/sd-varlink.h>

/* [{name, serial, model, size, class, bus, state, uuid, key, recovery, text, io_errors, bad_blocks, scrub, smart}]. Returns owned. */
MUST_CHECK int disks_json(const struct storage *s, sd_json_variant **ret);
/* What the farm document in force says of disks; FARM may be NULL. */
void disks_configure(struct storage *s, const struct farm *farm);
/* LINK is gone: whatever it waits for is not told any more. */
void disks_forget(struct storage *s, sd_varlink *link);
/* None has failed, none is degraded, and none is missing. */
bool disks_are_well(const struct storage *s);
/* The keys of all that are ready are kept by the TPM. */
bool disks_are_in_tpm(const struct storage *s);
