/* Who may do what on this node: a pure function of the farm document, the caller and the call. */
#pragma once
#include "api/call.h"
#include "api/doc.h"

/* FARM may be NULL: a node without a farm answers what anyone may ask and nothing else. -EACCES with what would change it. */
MUST_CHECK int policy_check(const struct farm *farm, const struct key_pub *caller, enum call_who who, struct err *e);

/* Whose things CALLER may look at and touch: their own; the farm may list and stop anybody's. */
MUST_CHECK int policy_owner(const struct farm *farm, const struct key_pub *caller, const struct key_pub *owner, struct err *e);

/* A call of another node: one of the same farm, which APPROVAL shows. -EACCES. */
MUST_CHECK int policy_node(const struct farm *farm, const struct key_pub *caller, sd_json_variant *approval, struct err *e);
