/* One exchange with HAProxy over its socket: commands there, its words until it closes back; with a deadline. */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <systemd/sd-event.h>

enum { ASK_DEADLINE_MS = 5000, ASK_ANSWER_MAX = 4 << 20 };

struct ask;
/* TEXT is copied. ANSWERED is called exactly once, from the loop, unless the exchange is dropped: R is 0 or a negative errno with E; ANSWER is borrowed for
 * the call. RET is valid until then. */
MUST_CHECK int ask_start(struct ask **ret, sd_event *event, const char *socket, struct str text,
			 void (*answered)(void *ctx, struct str answer, int r, const struct err *e), void *ctx, struct err *e);
void ask_drop(struct ask *a); /* NULL is fine */
