/* How the node itself is: its services, as PID 1 sees them, and their last lines. */
#pragma once
#include "node/line.h"
#include "storage/storage.h"

enum { HEALTH_UNITS_MAX = 4096, HEALTH_LOG_MAX = 256 * 1024 /* bytes of one answer */ };

/* {disks: as disks_json() has them, secure_boot, keys_sealed (where there is a disk), services: [{name, state, restarts, since_s, text}],
 * hubs: [{url, up, why, since}], clock: as clock_json() has it, ok}: machines' runners are not services and are left out. One hub of several that is down is not ok
 * either, nor is a disk that has failed or is missing. keys_sealed: the TPM keeps the keys of all disks in use, and Secure Boot another system from asking it for them
 * (decision 112). Returns owned. */
MUST_CHECK int health_build(const struct line *l, const struct storage *s, sd_json_variant **ret, struct err *e);
/* Appends the kept lines of SERVICE, the newest HEALTH_LOG_MAX bytes of them, as UTF-8. -ENOENT. */
MUST_CHECK int health_log(const char *service, struct buf *ret, struct err *e);
MUST_CHECK int health_reboot(struct err *e);
