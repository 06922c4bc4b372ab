/* What the node says about itself: to whoever asks, and to the directory. */
#pragma once
#include "node/engine.h"

const char *info_flavour(void); /* "cloud", "metal", "debug" */

struct line;
/* Returns owned. */
MUST_CHECK int info_build(const struct engine *n, const struct line *l, sd_json_variant **ret);

/* The directory record, signed. INBOX and TLS_KEY are gridd's of this run. Appends the envelope. */
MUST_CHECK int info_record(const struct engine *n, uint64_t boot_s, const char *inbox, const char *tls_key, uint64_t sequence, struct buf *ret,
			   struct err *e);
