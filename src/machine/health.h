/* Whether a machine is well, as its owner defines it: when to look, what to make of what was seen. No I/O, no clock. */
#pragma once
#include "api/deployment.h"

#include <stdbool.h>

enum health_state { HEALTH_OFF, HEALTH_WAITING, HEALTH_LOOKING, HEALTH_STATES };
/* CANNOT: there was no room to look; it says nothing of the machine. TIMER in LOOKING: the look takes too long. */
enum health_event { HEALTH_UP, HEALTH_DOWN, HEALTH_TIMER, HEALTH_GOOD, HEALTH_BAD, HEALTH_CANNOT, HEALTH_EVENTS };
/* GIVE_UP: end the look that is under way; in LOOKING its end is BAD, in OFF it says nothing any more. */
enum health_act { HEALTH_UNWRITTEN, HEALTH_NOTHING, HEALTH_PAUSE, HEALTH_LOOK, HEALTH_GIVE_UP, HEALTH_RESTART };

struct health {
	const struct health_check *check; /* borrowed */
	bool restarts;                    /* after CHECK->failures in a row; otherwise looking goes on */
	enum health_state state;
	uint64_t failed; /* looks in a row */
};

/* *ret_timer_ms: when to send HEALTH_TIMER, from now; 0 = not. */
enum health_act health_step(struct health *h, enum health_event event, uint64_t *ret_timer_ms);

/* The status in the first bytes of an HTTP answer: 100 to 599; 0 = more bytes are needed; -EBADMSG. */
enum { HEALTH_HTTP_HEAD = 13 }; /* "HTTP/1.1 200 " */
MUST_CHECK int health_http_status(struct str head);
