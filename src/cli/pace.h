/* How long something takes, told to who waits for it: how far it is and how long it may still take; where nobody knows that, how long it has taken. */
#pragma once
#include "cli/command.h"

struct pace {
	const struct cli *cli; /* borrowed, as WHAT is */
	const char *what;
	uint64_t began_ms, shown_ms; /* 0 = not yet */
	sd_event_source *timer;
};
#define PACE_INIT(c, text) { .cli = (c), .what = (text) }

/* DONE of TOTAL bytes, 0 = not known; drawn some times a second at most. */
void pace_show(struct pace *p, uint64_t done, uint64_t total);
/* From now on how long it has taken is drawn each second that EVENT's loop runs. */
MUST_CHECK int pace_begin(struct pace *p, sd_event *event, struct err *e);
/* Nothing of it is left on the terminal. Also for one that was never shown. */
void pace_end(struct pace *p);

/* Seconds that the rest of TOTAL takes when DONE of it took ELAPSED_MS; PACE_UNKNOWN before that says anything. */
#define PACE_UNKNOWN UINT64_MAX
uint64_t pace_left_s(uint64_t done, uint64_t total, uint64_t elapsed_ms);
