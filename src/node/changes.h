/* What an update would do to each workload, for those who ask before they send it. Pure. */
#pragma once
#include "node/engine.h"

/* OLD NULL = there is none. Returns owned: a list of {workload, change, fields}, where change is "add", "restart", "update", "keep" or "remove" and
 * fields names what differs in `data`, and `secrets` when the value of one in its env does. -ENOMEM. */
MUST_CHECK int changes_build(const struct held *old, const struct held *wanted, sd_json_variant **ret);

/* What W is, but for what changes under a machine while it runs: appended as text. -ENOMEM. */
MUST_CHECK int changes_essence(const struct workload *w, struct buf *ret);
