#include "svc/task.h"

#include "svc/daemon.h"
#include "test/t.h"

#include <stdio.h>
#include <time.h>

struct seen {
	int n;
	bool went_well;
	char output[64], why[256];
	size_t output_len;
};

static void on_ended(void *ctx, const struct task_end *end)
{
	struct seen *s = ctx;

	s->n++;
	s->went_well = end->went_well;
	s->output_len = end->output.n;
	snprintf(s->output, sizeof(s->output), STR_FMT, STR_ARG(end->output));
	snprintf(s->why, sizeof(s->why), "%s", end->why.msg);
}

/* Runs SCRIPT until its end is told, or for at most 20 s. */
static void run(const char *script, uint64_t deadline_ms, struct seen *s)
{
	const char *argv[] = { "/bin/sh", "-c", script, NULL };
	time_t patience = time(NULL) + 20;
	struct task *t;
	struct err e;
	sd_event *event;

	*s = (struct seen){ 0 };
	T_NEED(!daemon_loop("task_test", &event, &e), "%s", e.msg);
	T_NEED(!task_start(&t, event, argv, -1, deadline_ms, on_ended, s, &e), "%s", e.msg);
	while (!s->n && time(NULL) < patience)
		T_NEED(sd_event_run(event, 1000000) >= 0, "loop");
	while (sd_event_run(event, 200000) > 0) /* what was killed at its deadline ends after it was told */
		;
	sd_event_unref(event);
}

static void its_output_is_told_at_its_end(void)
{
	struct seen s;

	run("echo one; echo two", 20000, &s);
	T_CHECK(s.n == 1 && s.went_well && !strcmp(s.output, "one\ntwo") && !s.why[0], "%d '%s' '%s'", s.n, s.output, s.why);
	run("exit 0", 20000, &s);
	T_CHECK(s.n == 1 && s.went_well && !s.output_len, "nothing to say: '%s'", s.output);
	run("head -c 60000 /dev/zero", 20000, &s);
	T_CHECK(s.n == 1 && s.went_well && s.output_len == TASK_OUTPUT_MAX, "%zu bytes", s.output_len);
}

static void why_it_failed_is_its_last_line(void)
{
	struct seen s;

	run("echo working; echo no room left; exit 3", 20000, &s);
	T_CHECK(s.n == 1 && !s.went_well && !strcmp(s.why, "no room left"), "'%s'", s.why);
	run("exit 3", 20000, &s);
	T_CHECK(strstr(s.why, "'sh' ended with status 3"), "'%s'", s.why);
	run("kill -9 $$", 20000, &s);
	T_CHECK(strstr(s.why, "'sh' ended with signal 9"), "'%s'", s.why);
}

static void it_is_killed_at_its_deadline(void)
{
	struct seen s;

	run("exec sleep 600", 50, &s);
	T_CHECK(s.n == 1 && !s.went_well && strstr(s.why, "did not end in time"), "%d '%s'", s.n, s.why);
}

static void what_is_dropped_tells_nothing(void)
{
	const char *const argv[] = { "/bin/sh", "-c", "exec sleep 600", NULL }, *const none[] = { "/nowhere/program", NULL };
	struct seen s = { 0 };
	struct task *t;
	struct err e;
	sd_event *event;

	T_NEED(!daemon_loop("task_test", &event, &e), "%s", e.msg);
	T_NEED(!task_start(&t, event, argv, -1, 20000, on_ended, &s, &e), "%s", e.msg);
	task_drop(t);
	task_drop(NULL);
	T_CHECK(sd_event_run(event, 20000000) > 0 && !s.n, "its end is noticed, and told to nobody");
	T_CHECK(task_start(&t, event, none, -1, 20000, on_ended, &s, &e) == -ENOENT && strstr(e.msg, "/nowhere/program"), "%s", e.msg);
	sd_event_unref(event);
}

int main(void)
{
	T_RUN(its_output_is_told_at_its_end);
	T_RUN(why_it_failed_is_its_last_line);
	T_RUN(it_is_killed_at_its_deadline);
	T_RUN(what_is_dropped_tells_nothing);
	return T_END();
}
