/* What QEMU says on its monitor, a JSON object a line (docs/interop/qmp-spec.rst), as far as a runner wants to know it. QEMU belongs to whoever
 * breaks out of the guest: a line has a limit, and whatever is not understood is either skipped or refused. */
#pragma once
#include "base/str.h"

#include <stdint.h>

#define QMP_HELLO "{\"execute\":\"qmp_capabilities\"}\n"
#define QMP_POWER_BUTTON "{\"execute\":\"system_powerdown\"}\n"

enum { QMP_LINE_MAX = 4096 };

enum qmp_word {
	QMP_MORE,      /* all was taken, no word is complete */
	QMP_GREETING,  /* it waits for QMP_HELLO */
	QMP_DONE,      /* the answer to what it was told: first to QMP_HELLO */
	QMP_UNREAD,    /* the guest read, and got an error */
	QMP_UNWRITTEN, /* the guest wrote, and got an error */
	QMP_OTHER,
};

struct qmp_ear {
	char line[QMP_LINE_MAX];
	size_t n;
};

/* Takes bytes off the front of *P, up to the end of one line. A positive enum qmp_word, or QMP_MORE; -EBADMSG for what no QEMU says. */
__attribute__((warn_unused_result)) int qmp_take(struct qmp_ear *ear, struct str *p);
