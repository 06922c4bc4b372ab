#include "cli/pace.h"

#include "base/log.h"
#include "base/parse.h"

#include <stdio.h>

enum { DRAW_MS = 200, TELLS_MS = 1500 /* before that a rate is chance */, SECOND_US = 1000000 };

uint64_t pace_left_s(uint64_t done, uint64_t total, uint64_t elapsed_ms)
{
	if (!done || done > total || elapsed_ms < TELLS_MS)
		return PACE_UNKNOWN;
	return (uint64_t)((double)(total - done) / (double)done * (double)elapsed_ms / 1000 + 0.5);
}

void pace_show(struct pace *p, uint64_t done, uint64_t total)
{
	uint64_t now_ms = log_now_ms();

	p->began_ms = p->began_ms ? p->began_ms : now_ms;
	if (p->shown_ms && now_ms < p->shown_ms + DRAW_MS && done != total)
		return;
	p->shown_ms = now_ms;
	out_progress_left(p->cli, p->what, done, total, pace_left_s(done, total, now_ms - p->began_ms));
}

static int on_second(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct pace *p = userdata;
	char text[128], took[16];

	(void)usec;
	format_duration(took, (log_now_ms() - p->began_ms) / 1000);
	snprintf(text, sizeof(text), "%s, %s", p->what, took);
	out_progress(p->cli, text, 0, 0);
	(void)sd_event_source_set_time_relative(source, SECOND_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int pace_begin(struct pace *p, sd_event *event, struct err *e)
{
	int r = sd_event_add_time_relative(event, &p->timer, CLOCK_MONOTONIC, SECOND_US, 0, on_second, p);

	if (r < 0)
		return err_set(e, r, "make a timer: %s", strerror(-r));
	p->began_ms = log_now_ms();
	out_progress(p->cli, p->what, 0, 0);
	return 0;
}

void pace_end(struct pace *p)
{
	p->timer = sd_event_source_disable_unref(p->timer);
	if (p->began_ms)
		out_progress_end(p->cli);
}
