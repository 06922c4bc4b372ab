#include "init/unit.h"

#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "init/control.h"
#include "init/init.h"
#include "init/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

struct unit *unit_find(struct init *in, const char *name)
{
	for (size_t i = 0; i < in->units_n; i++)
		if (in->units[i].service && !strcmp(in->units[i].name, name))
			return &in->units[i];
	return NULL;
}

static struct unit *unit_place(struct init *in)
{
	for (size_t i = 0; i < in->units_n; i++)
		if (!in->units[i].service)
			return &in->units[i];
	return in->units_n < INIT_UNITS_MAX ? &in->units[in->units_n++] : NULL;
}

static int unit_pipe(struct init *in, struct unit *u)
{
	int n = (int)(u - in->units);

	if (pipe2(u->log_fds, O_CLOEXEC) || fcntl(u->log_fds[0], F_SETFL, O_NONBLOCK))
		return -errno;
	return init_poll(in, u->log_fds[0], INIT_KEY_LOG, (size_t)n);
}

static void unit_remove(struct init *in, struct unit *u)
{
	struct err e;

	if (cgroup_remove(u->group, &e))
		init_warn(in, "%s: %s", u->name, e.msg);
	fd_close(&u->log_fds[0]);
	fd_close(&u->log_fds[1]);
	u->service = NULL;
}

struct unit *unit_add(struct init *in, const struct service *service, const char *instance)
{
	const struct init_setup *s = &in->setup;
	struct unit *u = unit_place(in);
	int r;

	if (!u)
		return NULL;
	*u = (struct unit){ .service = service, .exit_status = -1, .log_fds = { -1, -1 } };
	snprintf(u->name, sizeof(u->name), "%s%s%s", service->name, instance ? "@" : "", instance ? instance : "");
	u->instance = instance ? u->name + strlen(service->name) + 1 : NULL;
	snprintf(u->group, sizeof(u->group), "%s%s/%s%s/%s", s->cgroup_mount, s->cgroup_base, instance ? service->name : "service", "s",
		 instance ? instance : service->name);
	r = unit_pipe(in, u);
	if (r)
		init_warn(in, "%s: no pipe for its log: %s", u->name, strerror(-r));
	return u;
}

bool unit_is_at_rest(const struct unit *u)
{
	return !u->service || u->state == SUPERVISOR_DOWN || u->state == SUPERVISOR_DONE || u->state == SUPERVISOR_SKIPPED;
}

static const struct service *service_find(const struct init *in, const char *name)
{
	for (size_t i = 0; i < in->setup.services_n; i++)
		if (!strcmp(in->setup.services[i].name, name))
			return &in->setup.services[i];
	return NULL;
}

/* Whether everything that U comes after is there. A template counts as there: its instances come later. */
static bool unit_may_start(struct init *in, const struct unit *u)
{
	for (size_t i = 0; i < SERVICE_AFTER_MAX && u->service->after[i]; i++) {
		const struct service *s = service_find(in, u->service->after[i]);
		const struct unit *before = s && !s->is_template ? unit_find(in, s->name) : NULL;

		if (before && before->state != SUPERVISOR_UP && before->state != SUPERVISOR_DONE && before->state != SUPERVISOR_SKIPPED)
			return false;
	}
	return true;
}

static bool comes_after(const struct service *s, const char *name)
{
	for (size_t i = 0; i < SERVICE_AFTER_MAX && s->after[i]; i++)
		if (!strcmp(s->after[i], name))
			return true;
	return false;
}

/* At shutdown: whether everything that comes after U has gone. */
static bool unit_may_stop(const struct init *in, const struct unit *u)
{
	for (size_t i = 0; i < in->units_n; i++)
		if (!unit_is_at_rest(&in->units[i]) && comes_after(in->units[i].service, u->service->name))
			return false;
	return true;
}

static bool unit_is_possible(const struct unit *u)
{
	const char *condition = u->service->condition;

	return !access(u->service->argv[0], X_OK) && (!condition || !access(condition, F_OK));
}

static int number_set(const struct unit *u, const char *file, uint64_t value, struct err *e)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);

	return value ? cgroup_set(u->group, file, (struct str){ text, (size_t)n }, e) : 0;
}

/* Where its own process lives. */
static void unit_group_name(const struct unit *u, char ret[static CGROUP_PATH_MAX + 8])
{
	snprintf(ret, CGROUP_PATH_MAX + 8, "%s%s", u->group, u->instance ? "/runner" : "");
}

/* The group with its limits. An instance's own process sits one below, so that it may make groups beside itself.
 * A group that saw cgroup.kill is made anew: since Linux 6.14 (and 6.12.14) it also kills what is born into it later by
 * CLONE_INTO_CGROUP, because the kernel compares with the parent's count of kills. So is an instance's, for what it put in. */
static int unit_group(struct unit *u, char ret[static CGROUP_PATH_MAX + 8], struct err *e)
{
	int r;

	unit_group_name(u, ret);
	if (u->is_group_good)
		return 0;
	r = cgroup_remove(u->group, e);
	if (!r)
		r = cgroup_make(ret, e);
	if (!r)
		r = number_set(u, "memory.max", u->service->memory_max_bytes, e);
	if (r >= 0)
		r = number_set(u, "pids.max", u->service->pids_max, e);
	if (r >= 0)
		r = number_set(u, "cpu.weight", u->service->cpu_weight, e);
	if (r >= 0 && u->instance) {
		static const struct str controllers[] = { S("+cpu"), S("+memory"), S("+pids"), S("+io") };

		for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
			(void)!cgroup_set(u->group, "cgroup.subtree_control", controllers[i], NULL);
	}
	u->is_group_good = r >= 0 && !u->instance;
	return r < 0 ? r : 0;
}

static int unit_spawn(struct init *in, struct unit *u, uint64_t now_ms, struct err *e)
{
	char group[CGROUP_PATH_MAX + 8];
	struct spawn s = { .service = u->service,
			   .instance = u->instance,
			   .group = group,
			   .log_fd = u->log_fds[1],
			   .notify_socket = in->notify_path,
			   .is_debug = in->setup.is_debug };
	int r = unit_group(u, group, e);
	pid_t pid = r ? r : spawn(&s, e);

	if (pid < 0)
		return pid;
	u->pid = pid;
	u->started_ms = now_ms;
	u->oom_kills = cgroup_oom_kills(group);
	if (!u->is_oom_killed)
		u->text[0] = '\0';
	u->due_ms = u->service->start_ms && u->service->ready != SERVICE_READY_EXEC ? now_ms + u->service->start_ms : 0;
	return 0;
}

static void act_spawn(struct init *in, struct unit *u, uint64_t now_ms)
{
	struct err e;

	if (unit_spawn(in, u, now_ms, &e)) {
		init_warn(in, "%s: cannot start: %s", u->name, e.msg);
		u->started_ms = now_ms;
		unit_event(in, u, UNIT_EV_EXIT_AGAIN, now_ms);
		return;
	}
	init_info(in, "%s: started as process %d", u->name, (int)u->pid);
	if (u->service->ready == SERVICE_READY_EXEC)
		unit_event(in, u, UNIT_EV_READY, now_ms);
}

static void act_term(struct init *in, struct unit *u, uint64_t now_ms)
{
	(void)in;
	if (u->pid)
		kill(u->pid, SIGTERM);
	u->due_ms = now_ms + u->service->stop_ms;
}

static void act_kill(struct init *in, struct unit *u, uint64_t now_ms)
{
	struct err e;

	if (cgroup_is_populated(u->group, &e)) { /* or who can tell */
		u->is_group_good = false;
		if (cgroup_kill(u->group, &e))
			init_warn(in, "%s: %s", u->name, e.msg);
	}
	if (u->pid)
		kill(u->pid, SIGKILL);
	if (u->state == SUPERVISOR_STARTING)
		init_warn(in, "%s: not ready after %u ms, killed", u->name, u->service->start_ms);
	u->due_ms = now_ms + INIT_RECHECK_MS;
}

static void act_delay(struct init *in, struct unit *u, uint64_t now_ms)
{
	uint64_t delay_ms = backoff_next(&u->backoff, now_ms - u->started_ms, (uint32_t)random_u64());

	u->restarts++;
	u->due_ms = now_ms + delay_ms;
	init_warn(in, "%s: again in %llu ms (failure %u in a row)", u->name, (unsigned long long)delay_ms, u->backoff.failures);
}

static void act_nothing(struct init *in, struct unit *u, uint64_t now_ms)
{
	(void)in;
	(void)u;
	(void)now_ms;
}

static void act_note(struct init *in, struct unit *u, uint64_t now_ms)
{
	(void)now_ms;
	u->due_ms = 0;
	init_say(in, 6, u->state != SUPERVISOR_SKIPPED, "%s: %s", u->name, supervisor_state_name(u->state));
	if (u->state == SUPERVISOR_UP && u->service->warning)
		init_warn(in, "%s", u->service->warning);
}

static void (*const acts[])(struct init *in, struct unit *u, uint64_t now_ms) = {
	[UNIT_ACT_UNWRITTEN] = act_nothing, [UNIT_ACT_IGNORE] = act_nothing, [UNIT_ACT_CHECK] = act_nothing,
	[UNIT_ACT_SPAWN] = act_spawn,       [UNIT_ACT_TERM] = act_term,      [UNIT_ACT_KILL] = act_kill,
	[UNIT_ACT_DRAIN] = act_kill,        [UNIT_ACT_DELAY] = act_delay,    [UNIT_ACT_NOTE] = act_note,
};

void unit_event(struct init *in, struct unit *u, enum unit_event ev, uint64_t now_ms)
{
	struct unit_step step = unit_step(u->state, ev);

	if (step.next != u->state) {
		u->state = step.next;
		u->since_ms = now_ms;
		u->due_ms = 0;
		in->is_dirty = true;
		if (u->service->opens[0])
			in->is_screen_taken = u->state == SUPERVISOR_UP;
		control_tell(in, u);
	}
	acts[step.act](in, u, now_ms);
}

static bool exit_is_final(const struct service *s, int status)
{
	bool went_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	return went_well && (s->restart == SERVICE_RESTART_FAILURE || s->ready == SERVICE_READY_ONESHOT);
}

static bool unit_is_oom_killed(const struct unit *u, int status)
{
	char group[CGROUP_PATH_MAX + 8];

	unit_group_name(u, group);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && cgroup_oom_kills(group) > u->oom_kills;
}

static void exit_tell(struct init *in, struct unit *u, int status)
{
	char size[16];

	if (u->is_oom_killed) {
		format_size(size, u->service->memory_max_bytes);
		snprintf(u->text, sizeof(u->text), "killed for want of memory%s%s", u->service->memory_max_bytes ? ": it may use " : "",
			 u->service->memory_max_bytes ? size : "");
		init_warn(in, "%s: %s", u->name, u->text);
	} else if (WIFSIGNALED(status)) {
		init_warn(in, "%s: killed by signal %d (%s)", u->name, WTERMSIG(status), strsignal(WTERMSIG(status)));
	} else {
		init_warn(in, "%s: ended with status %d", u->name, WEXITSTATUS(status));
	}
}

void unit_exited(struct init *in, struct unit *u, int status, uint64_t now_ms)
{
	bool is_final = exit_is_final(u->service, status);

	unit_log_read(in, u);
	u->pid = 0;
	u->exit_status = status;
	u->is_oom_killed = unit_is_oom_killed(u, status);
	if (!is_final && u->state != SUPERVISOR_STOPPING)
		exit_tell(in, u, status);
	unit_event(in, u, is_final ? UNIT_EV_EXIT_DONE : UNIT_EV_EXIT_AGAIN, now_ms);
}

static void unit_settle_waiting(struct init *in, struct unit *u, uint64_t now_ms)
{
	if (!unit_is_possible(u))
		unit_event(in, u, UNIT_EV_SKIP, now_ms);
	else if (unit_may_start(in, u))
		unit_event(in, u, UNIT_EV_GO, now_ms);
}

void unit_settle(struct init *in, struct unit *u, uint64_t now_ms)
{
	struct err e;

	if (in->power && u->is_wanted && unit_may_stop(in, u)) {
		u->is_wanted = false;
		unit_event(in, u, UNIT_EV_WANT_DOWN, now_ms);
	}
	if (u->due_ms && now_ms >= u->due_ms) {
		u->due_ms = 0;
		unit_event(in, u, UNIT_EV_TIMEOUT, now_ms);
	}
	switch (u->state) {
	case SUPERVISOR_WAITING:
		unit_settle_waiting(in, u, now_ms);
		break;
	case SUPERVISOR_LEAVING:
	case SUPERVISOR_FINISHING:
	case SUPERVISOR_DRAINING:
		if (!cgroup_is_populated(u->group, &e))
			unit_event(in, u, UNIT_EV_EMPTY, now_ms);
		break;
	case SUPERVISOR_DOWN:
		if (u->is_wanted)
			unit_event(in, u, UNIT_EV_WANT_UP, now_ms);
		else if (u->instance)
			unit_remove(in, u);
		break;
	default:
		break;
	}
}

struct log_ctx {
	struct init *in;
	struct unit *u;
};

static void on_line(void *ctx, int level, const char *text, size_t n)
{
	const struct log_ctx *c = ctx;

	ring_add(&c->u->ring, level, log_now_ms(), text, n);
	if (level <= 4 || c->in->setup.is_debug)
		init_show(c->in, c->u->name, text, n);
}

void unit_log_read(struct init *in, struct unit *u)
{
	struct log_ctx ctx = { in, u };
	char bytes[4096];

	for (int i = 0; i < 16; i++) { /* a service that never stops writing must not keep the others waiting */
		ssize_t n = read(u->log_fds[0], bytes, sizeof(bytes));

		if (n <= 0)
			return;
		ring_line_feed(&u->line, bytes, (size_t)n, on_line, &ctx);
	}
}
