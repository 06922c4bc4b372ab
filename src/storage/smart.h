/* What a disk says of itself (SMART), as smartctl's JSON has it (smartctl(8), --json): of NVMe and SAS; of SATA, see ata.h. Whatever else stands there is passed over. */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-json.h>

enum { SMART_MAX = 256 << 10 }; /* bytes of JSON; an NVMe disk with all its logs needs 20 KiB */

struct smart {
	bool is_known; /* it says anything */
	bool is_failing; /* it says that it fails, or soon will */
	uint64_t worn; /* per cent of the writes that it was made for; 0 where it does not say */
	uint64_t bad_sectors; /* that it could not read, or has replaced */
};

/* -EBADMSG: no JSON. RET is not known when it says nothing of health. */
MUST_CHECK int smart_decode(struct str text, struct smart *ret, struct err *e);

/* Whether it says that it fails; then RET says so. */
bool smart_judge(const struct smart *s, char *ret, size_t size);

/* As a run of `disk` says it. */
MUST_CHECK int smart_answer_decode(sd_json_variant *v, struct smart *ret, struct err *e);
MUST_CHECK int smart_answer_json(const struct smart *s, sd_json_variant **ret); /* returns owned, or a negative errno */
