/* Which lines of a machine's log are shown: a filter over a stream that may break anywhere in a line. Pure.
 *
 * A line begins with its time (RFC 3339 in UTC, whole seconds) and a space, as the runner writes it; one that does not is shown. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

enum { LOGLINES_TIME_LEN = 20 };

struct loglines {
	int64_t since_s; /* lines from before are left out; INT64_MIN = none are */
	char head[LOGLINES_TIME_LEN];
	size_t n_head;   /* of the present line, while it is not decided */
	bool is_decided, is_shown;
};
#define LOGLINES_ALL { .since_s = INT64_MIN }

/* "10m" before NOW_S, or a time. -EINVAL with a sentence. */
MUST_CHECK int loglines_since(struct loglines *l, const char *text, int64_t now_s, struct err *e);

/* Appends what is shown of TEXT. What it holds back is less than a line's time. */
void loglines_add(struct loglines *l, struct str text, struct buf *ret);
