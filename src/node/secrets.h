/* The secrets of a deployment, opened: an object of strings that is wiped when it goes. Nothing prints or returns it. */
#pragma once
#include "api/deployment.h"
#include "ident/seal.h"

/* RET is NULL when D has none. Returns owned. -EBADMSG: sealed for another node, owner or name. */
MUST_CHECK int secrets_open(const struct seal_key *k, const struct deployment *d, sd_json_variant **ret, struct err *e);

/* ENV with values where it names secrets; NULL for NULL. Returns owned. -ENOMEM. */
MUST_CHECK int secrets_fill(sd_json_variant *env, sd_json_variant *values, sd_json_variant **ret);

/* Whether the VALUES that D's workloads use can be what they are used for. -EBADMSG. */
MUST_CHECK int secrets_fit(const struct deployment *d, sd_json_variant *values, struct err *e);

/* Appends what tells the values that W uses from others; nothing when it names none. */
void secrets_mark(const struct seal_key *k, const struct workload *w, sd_json_variant *values, struct buf *ret);

/* Whether all that W uses has one value in both. */
bool secrets_equal(const struct workload *w, sd_json_variant *a, sd_json_variant *b);
