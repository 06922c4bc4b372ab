#include "machine/health.h"

/* PAUSE here means "a look has ended": the number of failures then decides between another and a restart. */
static const struct {
	enum health_act act;
	enum health_state next;
} steps[HEALTH_STATES][HEALTH_EVENTS] = {
	[HEALTH_OFF] = {
		[HEALTH_UP] = { HEALTH_PAUSE, HEALTH_WAITING },
		[HEALTH_DOWN] = { HEALTH_NOTHING, HEALTH_OFF },
		[HEALTH_TIMER] = { HEALTH_NOTHING, HEALTH_OFF },
		[HEALTH_GOOD] = { HEALTH_NOTHING, HEALTH_OFF },
		[HEALTH_BAD] = { HEALTH_NOTHING, HEALTH_OFF },
		[HEALTH_CANNOT] = { HEALTH_NOTHING, HEALTH_OFF },
	},
	[HEALTH_WAITING] = {
		[HEALTH_UP] = { HEALTH_NOTHING, HEALTH_WAITING },
		[HEALTH_DOWN] = { HEALTH_NOTHING, HEALTH_OFF },
		[HEALTH_TIMER] = { HEALTH_LOOK, HEALTH_LOOKING },
		[HEALTH_GOOD] = { HEALTH_NOTHING, HEALTH_WAITING }, /* of a look before the last restart */
		[HEALTH_BAD] = { HEALTH_NOTHING, HEALTH_WAITING },
		[HEALTH_CANNOT] = { HEALTH_NOTHING, HEALTH_WAITING },
	},
	[HEALTH_LOOKING] = {
		[HEALTH_UP] = { HEALTH_NOTHING, HEALTH_LOOKING },
		[HEALTH_DOWN] = { HEALTH_GIVE_UP, HEALTH_OFF },
		[HEALTH_TIMER] = { HEALTH_GIVE_UP, HEALTH_LOOKING },
		[HEALTH_GOOD] = { HEALTH_PAUSE, HEALTH_WAITING },
		[HEALTH_BAD] = { HEALTH_PAUSE, HEALTH_WAITING },
		[HEALTH_CANNOT] = { HEALTH_PAUSE, HEALTH_WAITING },
	},
};

enum health_act health_step(struct health *h, enum health_event event, uint64_t *ret_timer_ms)
{
	enum health_act act = steps[h->state][event].act;

	h->state = steps[h->state][event].next;
	*ret_timer_ms = 0;
	if (event == HEALTH_UP || event == HEALTH_DOWN || (event == HEALTH_GOOD && act == HEALTH_PAUSE))
		h->failed = 0;
	if (act == HEALTH_LOOK)
		*ret_timer_ms = h->check->timeout_s * 1000;
	if (act != HEALTH_PAUSE)
		return act;
	if (event == HEALTH_BAD && ++h->failed >= h->check->failures && h->restarts) {
		h->state = HEALTH_OFF;
		return HEALTH_RESTART;
	}
	*ret_timer_ms = h->check->every_s * 1000;
	return HEALTH_PAUSE;
}

int health_http_status(struct str head)
{
	static const char form[HEALTH_HTTP_HEAD + 1] = "HTTP/1.# ### "; /* RFC 9112, section 4 */
	int status;

	for (size_t i = 0; i < head.n && i < HEALTH_HTTP_HEAD; i++) {
		bool is_digit = head.p[i] >= '0' && head.p[i] <= '9';
		bool is_end = i == HEALTH_HTTP_HEAD - 1 && head.p[i] == '\r'; /* some leave out the space where no reason follows */

		if (form[i] == '#' ? !is_digit : head.p[i] != form[i] && !is_end)
			return -EBADMSG;
	}
	if (head.n < HEALTH_HTTP_HEAD)
		return 0;
	status = (head.p[9] - '0') * 100 + (head.p[10] - '0') * 10 + head.p[11] - '0';
	return status < 100 || status > 599 ? -EBADMSG : status;
}
