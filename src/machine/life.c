#include "machine/life.h"

const char *const life_names[] = { "starting", "running", "backoff", "stopping", "exited", "stopping", "stopped", "restarting", "restarting", NULL };

/* LIFE_SOON ends in BACKOFF with a timer that is due at once: a start begins in the loop, never from within an end. LIFE_DELAY here means "ended by itself": the restart policy then decides between a pause and rest. */
static const struct {
	enum life_act act;
	enum life_state next;
} steps[LIFE_STATES][LIFE_EVENTS] = {
	[LIFE_STARTING] = {
		[LIFE_STARTED] = { LIFE_NOTHING, LIFE_RUNNING },
		[LIFE_ENDED] = { LIFE_DELAY, LIFE_BACKOFF },
		[LIFE_STOP] = { LIFE_TERM, LIFE_STOPPING },
		[LIFE_TIMER] = { LIFE_NOTHING, LIFE_STARTING },
		[LIFE_HOLD] = { LIFE_TERM, LIFE_HALTING },
		[LIFE_RELEASE] = { LIFE_NOTHING, LIFE_STARTING },
		[LIFE_RESTART] = { LIFE_TERM, LIFE_RESTARTING },
		[LIFE_UNWELL] = { LIFE_NOTHING, LIFE_STARTING },
	},
	[LIFE_RUNNING] = {
		[LIFE_STARTED] = { LIFE_NOTHING, LIFE_RUNNING },
		[LIFE_ENDED] = { LIFE_DELAY, LIFE_BACKOFF },
		[LIFE_STOP] = { LIFE_TERM, LIFE_STOPPING },
		[LIFE_TIMER] = { LIFE_NOTHING, LIFE_RUNNING },
		[LIFE_HOLD] = { LIFE_TERM, LIFE_HALTING },
		[LIFE_RELEASE] = { LIFE_NOTHING, LIFE_RUNNING },
		[LIFE_RESTART] = { LIFE_TERM, LIFE_RESTARTING },
		[LIFE_UNWELL] = { LIFE_TERM, LIFE_FAILING },
	},
	[LIFE_BACKOFF] = {
		[LIFE_STARTED] = { LIFE_NOTHING, LIFE_BACKOFF },
		[LIFE_ENDED] = { LIFE_NOTHING, LIFE_BACKOFF },
		[LIFE_STOP] = { LIFE_QUIT, LIFE_BACKOFF },
		[LIFE_TIMER] = { LIFE_START, LIFE_STARTING },
		[LIFE_HOLD] = { LIFE_REST, LIFE_HELD },
		[LIFE_RELEASE] = { LIFE_NOTHING, LIFE_BACKOFF },
		[LIFE_RESTART] = { LIFE_SOON, LIFE_BACKOFF },
		[LIFE_UNWELL] = { LIFE_NOTHING, LIFE_BACKOFF },
	},
	[LIFE_STOPPING] = {
		[LIFE_STARTED] = { LIFE_TERM, LIFE_STOPPING }, /* the stop came while it was being started */
		[LIFE_ENDED] = { LIFE_QUIT, LIFE_STOPPING },
		[LIFE_STOP] = { LIFE_NOTHING, LIFE_STOPPING },
		[LIFE_TIMER] = { LIFE_KILL, LIFE_STOPPING },
		[LIFE_HOLD] = { LIFE_NOTHING, LIFE_STOPPING },
		[LIFE_RELEASE] = { LIFE_NOTHING, LIFE_STOPPING },
		[LIFE_RESTART] = { LIFE_NOTHING, LIFE_STOPPING },
		[LIFE_UNWELL] = { LIFE_NOTHING, LIFE_STOPPING },
	},
	[LIFE_EXITED] = {
		[LIFE_STARTED] = { LIFE_NOTHING, LIFE_EXITED },
		[LIFE_ENDED] = { LIFE_NOTHING, LIFE_EXITED },
		[LIFE_STOP] = { LIFE_QUIT, LIFE_EXITED },
		[LIFE_TIMER] = { LIFE_NOTHING, LIFE_EXITED },
		[LIFE_HOLD] = { LIFE_NOTHING, LIFE_HELD },
		[LIFE_RELEASE] = { LIFE_NOTHING, LIFE_EXITED },
		[LIFE_RESTART] = { LIFE_SOON, LIFE_BACKOFF },
		[LIFE_UNWELL] = { LIFE_NOTHING, LIFE_EXITED },
	},
	[LIFE_HALTING] = {
		[LIFE_STARTED] = { LIFE_TERM, LIFE_HALTING },
		[LIFE_ENDED] = { LIFE_REST, LIFE_HELD },
		[LIFE_STOP] = { LIFE_NOTHING, LIFE_STOPPING },
		[LIFE_TIMER] = { LIFE_KILL, LIFE_HALTING },
		[LIFE_HOLD] = { LIFE_NOTHING, LIFE_HALTING },
		[LIFE_RELEASE] = { LIFE_NOTHING, LIFE_RESTARTING },
		[LIFE_RESTART] = { LIFE_NOTHING, LIFE_RESTARTING },
		[LIFE_UNWELL] = { LIFE_NOTHING, LIFE_HALTING },
	},
	[LIFE_HELD] = {
		[LIFE_STARTED] = { LIFE_NOTHING, LIFE_HELD },
		[LIFE_ENDED] = { LIFE_NOTHING, LIFE_HELD },
		[LIFE_STOP] = { LIFE_QUIT, LIFE_HELD },
		[LIFE_TIMER] = { LIFE_NOTHING, LIFE_HELD },
		[LIFE_HOLD] = { LIFE_NOTHING, LIFE_HELD },
		[LIFE_RELEASE] = { LIFE_SOON, LIFE_BACKOFF },
		[LIFE_RESTART] = { LIFE_SOON, LIFE_BACKOFF },
		[LIFE_UNWELL] = { LIFE_NOTHING, LIFE_HELD },
	},
	[LIFE_RESTARTING] = {
		[LIFE_STARTED] = { LIFE_TERM, LIFE_RESTARTING },
		[LIFE_ENDED] = { LIFE_SOON, LIFE_BACKOFF },
		[LIFE_STOP] = { LIFE_NOTHING, LIFE_STOPPING },
		[LIFE_TIMER] = { LIFE_KILL, LIFE_RESTARTING },
		[LIFE_HOLD] = { LIFE_NOTHING, LIFE_HALTING },
		[LIFE_RELEASE] = { LIFE_NOTHING, LIFE_RESTARTING },
		[LIFE_RESTART] = { LIFE_NOTHING, LIFE_RESTARTING },
		[LIFE_UNWELL] = { LIFE_NOTHING, LIFE_RESTARTING },
	},
	[LIFE_FAILING] = {
		[LIFE_STARTED] = { LIFE_NOTHING, LIFE_FAILING },
		[LIFE_ENDED] = { LIFE_DELAY, LIFE_BACKOFF },
		[LIFE_STOP] = { LIFE_NOTHING, LIFE_STOPPING },
		[LIFE_TIMER] = { LIFE_KILL, LIFE_FAILING },
		[LIFE_HOLD] = { LIFE_NOTHING, LIFE_HALTING },
		[LIFE_RELEASE] = { LIFE_NOTHING, LIFE_FAILING },
		[LIFE_RESTART] = { LIFE_NOTHING, LIFE_RESTARTING },
		[LIFE_UNWELL] = { LIFE_NOTHING, LIFE_FAILING },
	},
};

/* Who was ended for not being well has failed, however politely it went. */
static bool goes_on(const struct life *l, bool unwell)
{
	return l->policy == RESTART_ALWAYS || (l->policy == RESTART_ON_FAILURE && (l->exit_status || unwell));
}

static enum life_act ended(struct life *l, bool unwell, uint64_t now_ms, uint64_t *ret_timer_ms)
{
	if (!goes_on(l, unwell)) {
		l->state = LIFE_EXITED;
		return LIFE_REST;
	}
	if (l->started_ms && now_ms - l->started_ms >= LIFE_STEADY_MS)
		l->failures = 0;
	*ret_timer_ms = LIFE_BACKOFF_MAX_MS;
	if (l->failures < 9)
		*ret_timer_ms = (uint64_t)LIFE_BACKOFF_FIRST_MS << l->failures;
	l->failures++;
	l->restarts++;
	return LIFE_DELAY;
}

enum life_act machine_life_step(struct life *l, enum life_event event, int status, uint64_t now_ms, uint64_t *ret_timer_ms)
{
	enum life_act act = steps[l->state][event].act;
	bool unwell = l->state == LIFE_FAILING;

	*ret_timer_ms = 0;
	if (event == LIFE_ENDED)
		l->exit_status = status;
	l->state = steps[l->state][event].next;
	if (event == LIFE_STARTED)
		l->started_ms = now_ms;
	if (act == LIFE_DELAY)
		return ended(l, unwell, now_ms, ret_timer_ms);
	if (act == LIFE_START)
		l->started_ms = 0;
	if (act == LIFE_SOON)
		*ret_timer_ms = LIFE_SOON_MS;
	if (act == LIFE_TERM)
		*ret_timer_ms = l->grace_ms;
	return act;
}
