/* What deployment.c asks of each type of workload: to decode and check the one at AT, whose data is at hand; names and kinds of all are known. */
#pragma once
#include "api/deployment.h"

MUST_CHECK int zmachine_open(struct deployment *d, size_t at, struct err *e);
MUST_CHECK int volume_open(struct deployment *d, size_t at, struct err *e);
MUST_CHECK int zmount_open(struct deployment *d, size_t at, struct err *e);
MUST_CHECK int zdb_open(struct deployment *d, size_t at, struct err *e);

/* {"secret": NAME} in the place of a text. */
extern const struct json_table secret_value_table;
/* Whether all the secrets that the one at AT uses are there. */
MUST_CHECK int secrets_used_check(const struct deployment *d, size_t at, struct err *e);

/* Whether what the machine at AT mounts is in the deployment and goes together; may decide its isolation. */
MUST_CHECK int mounts_check(struct deployment *d, size_t at, struct err *e);
