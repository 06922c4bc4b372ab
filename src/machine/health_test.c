#include "machine/health.h"

#include "test/t.h"

static const struct health_check check = { .every_s = 10, .timeout_s = 5, .failures = 3 };

static void every_cell_is_written(void)
{
	for (int s = 0; s < HEALTH_STATES; s++)
		for (int ev = 0; ev < HEALTH_EVENTS; ev++) {
			struct health h = { .check = &check, .state = s };
			uint64_t timer;

			T_CHECK(health_step(&h, ev, &timer) != HEALTH_UNWRITTEN, "state %d event %d", s, ev);
		}
}

/* Events of one machine in a row; every look that is asked for takes a second, every timer is waited for. */
static void a_machine_is_watched(void)
{
	static const struct {
		enum health_event event;
		enum health_act act;
		uint64_t timer_ms, failed;
	} rows[] = {
		{ HEALTH_UP, HEALTH_PAUSE, 10000, 0 },  { HEALTH_TIMER, HEALTH_LOOK, 5000, 0 },  { HEALTH_GOOD, HEALTH_PAUSE, 10000, 0 },
		{ HEALTH_TIMER, HEALTH_LOOK, 5000, 0 }, { HEALTH_BAD, HEALTH_PAUSE, 10000, 1 },  { HEALTH_TIMER, HEALTH_LOOK, 5000, 1 },
		{ HEALTH_TIMER, HEALTH_GIVE_UP, 0, 1 }, /* it hangs */
		{ HEALTH_BAD, HEALTH_PAUSE, 10000, 2 }, { HEALTH_TIMER, HEALTH_LOOK, 5000, 2 },  { HEALTH_CANNOT, HEALTH_PAUSE, 10000, 2 },
		{ HEALTH_TIMER, HEALTH_LOOK, 5000, 2 }, { HEALTH_GOOD, HEALTH_PAUSE, 10000, 0 }, /* in a row means in a row */
		{ HEALTH_TIMER, HEALTH_LOOK, 5000, 0 }, { HEALTH_BAD, HEALTH_PAUSE, 10000, 1 },  { HEALTH_TIMER, HEALTH_LOOK, 5000, 1 },
		{ HEALTH_BAD, HEALTH_PAUSE, 10000, 2 }, { HEALTH_TIMER, HEALTH_LOOK, 5000, 2 },  { HEALTH_BAD, HEALTH_RESTART, 0, 3 },
		{ HEALTH_TIMER, HEALTH_NOTHING, 0, 3 }, /* nobody looks while it is being started */
		{ HEALTH_UP, HEALTH_PAUSE, 10000, 0 },  { HEALTH_TIMER, HEALTH_LOOK, 5000, 0 },  { HEALTH_DOWN, HEALTH_GIVE_UP, 0, 0 },
		{ HEALTH_BAD, HEALTH_NOTHING, 0, 0 }, /* of the look that was given up */
	};
	struct health h = { .check = &check, .restarts = true };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t timer;
		enum health_act act = health_step(&h, rows[i].event, &timer);

		T_CHECK(act == rows[i].act && timer == rows[i].timer_ms && h.failed == rows[i].failed, "row %zu: act %d, timer %llu, failed %llu", i,
			act, (unsigned long long)timer, (unsigned long long)h.failed);
	}
}

static void who_is_never_restarted_is_watched_on(void)
{
	struct health h = { .check = &check, .state = HEALTH_WAITING };
	uint64_t timer;

	for (unsigned i = 1; i < 10; i++) {
		T_CHECK(health_step(&h, HEALTH_TIMER, &timer) == HEALTH_LOOK, "look %u", i);
		T_CHECK(health_step(&h, HEALTH_BAD, &timer) == HEALTH_PAUSE && timer == 10000 && h.failed == i, "look %u", i);
	}
}

static void an_answer_s_status_is_read(void)
{
	static const struct {
		struct str head;
		int want;
	} rows[] = {
		{ S("HTTP/1.1 200 OK\r\n"), 200 },
		{ S("HTTP/1.0 404 "), 404 },
		{ S("HTTP/1.1 503\r\n"), 503 },
		{ S("HTTP/1.1 20"), 0 },
		{ S("HTTP/1.1 200"), 0 },
		{ S(""), 0 },
		{ S("HTTP/2 200 OK\r\n"), -EBADMSG },
		{ S("HTTP/1.1 099 x"), -EBADMSG },
		{ S("HTTP/1.1 600 x"), -EBADMSG },
		{ S("HTTP/1.1 2000 x"), -EBADMSG },
		{ S("http/1.1 200 OK"), -EBADMSG },
		{ S("SSH-2.0-x"), -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		T_CHECK(health_http_status(rows[i].head) == rows[i].want, "row %zu: %d", i, health_http_status(rows[i].head));
}

int main(void)
{
	T_RUN(every_cell_is_written);
	T_RUN(a_machine_is_watched);
	T_RUN(who_is_never_restarted_is_watched_on);
	T_RUN(an_answer_s_status_is_read);
	return T_END();
}
