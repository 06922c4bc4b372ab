#include "machine/runner.h"

#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "machine/session.h"
#include "machine/stats.h"
#include "svc/daemon.h"
#include "sys/cgroup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

static uint64_t now_ms(const struct runner *r)
{
	uint64_t usec = 0;

	sd_event_now(r->event, CLOCK_MONOTONIC, &usec);
	return usec / 1000;
}

const char *runner_state(const struct runner *r)
{
	if (r->hold == RUNNER_HOLD_PAUSED && (r->life.state == LIFE_RUNNING || r->life.state == LIFE_HELD))
		return "paused";
	if (r->life.state == LIFE_RUNNING && r->probe.why[0])
		return "degraded";
	return life_names[r->life.state];
}

static int state_build(const struct runner *r, sd_json_variant **ret)
{
	return sd_json_buildo(
		ret, SD_JSON_BUILD_PAIR_STRING("state", runner_state(r)), SD_JSON_BUILD_PAIR_UNSIGNED("restarts", r->life.restarts),
		SD_JSON_BUILD_PAIR_INTEGER("exit", r->life.exit_status), SD_JSON_BUILD_PAIR_STRING("message", r->message),
		SD_JSON_BUILD_PAIR_CONDITION(r->spec.health.failures != 0, "health", SD_JSON_BUILD_STRING(probe_told_names[r->probe.told])));
}

static void tell(struct runner *r)
{
	AUTO_JSON sd_json_variant *v = NULL;

	if (state_build(r, &v) < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(r->watchers); i++)
		if (r->watchers[i])
			(void)sd_varlink_notify(r->watchers[i], v);
}

/* For a runner that comes after this one because PID 1 found it dead. */
static void restarts_keep(const struct runner *r)
{
	char path[128], text[24];
	struct err e = { 0 };
	int n = snprintf(text, sizeof(text), "%" PRIu64, r->life.restarts);

	snprintf(path, sizeof(path), "%s/restarts", r->dir);
	if (file_keep(AT_FDCWD, path, (struct str){ text, (size_t)n }, 0600, &e))
		log_warn("keep the count of restarts: %s", e.msg);
}

/* The engine starts a runner without that file. Where it is, a runner died and its machine with it: that is a restart, too, unless its owner wishes
 * it to rest. */
static void restarts_load(struct runner *r)
{
	AUTO_BUF struct buf text = { 0 };
	char path[128];

	snprintf(path, sizeof(path), "%s/restarts", r->dir);
	if (!file_read(AT_FDCWD, path, 24, &text, NULL) && !parse_u64(buf_str(&text), UINT32_MAX, &r->life.restarts) && r->hold == RUNNER_HOLD_NONE)
		r->life.restarts++;
	restarts_keep(r);
}

static void step(struct runner *r, enum life_event event, int status);

static void begin(struct runner *r)
{
	struct err e = { 0 };

	session_renew(r);
	if (r->box->start(r, &e)) {
		runner_ended(r, 125, false, e.msg);
		return;
	}
	r->oom_kills = cgroup_oom_kills(r->box_group);
}

/* "..., next start in 4 s" */
static void message_add(struct runner *r, uint64_t timer_ms)
{
	char pause[16], more[48];
	size_t n = strlen(r->message), n_more;

	format_duration(pause, timer_ms / 1000);
	n_more = (size_t)snprintf(more, sizeof(more), "; next start in %s", pause);
	if (n > sizeof(r->message) - 1 - n_more)
		n = sizeof(r->message) - 1 - n_more;
	memcpy(r->message + n, more, n_more + 1);
}

static void step(struct runner *r, enum life_event event, int status)
{
	uint64_t timer_ms;
	enum life_act act = machine_life_step(&r->life, event, status, now_ms(r), &timer_ms);

	if (act == LIFE_DELAY) {
		message_add(r, timer_ms);
		restarts_keep(r);
	}
	if (timer_ms) {
		sd_event_source_set_time_relative(r->timer, timer_ms * 1000);
		sd_event_source_set_enabled(r->timer, SD_EVENT_ONESHOT);
	}
	switch (act) {
	case LIFE_START:
		begin(r);
		break;
	case LIFE_TERM:
		probe_down(&r->probe);
		r->box->pause(r, false); /* who is frozen hears no signal */
		r->box->term(r);
		break;
	case LIFE_KILL:
		r->box->kill(r);
		break;
	case LIFE_QUIT:
		sd_event_exit(r->event, 0);
		break;
	case LIFE_NOTHING:
	case LIFE_DELAY:
	case LIFE_SOON:
	case LIFE_REST:
		break;
	case LIFE_UNWRITTEN:
		bug(__FILE__, __LINE__, "a hole in the table");
	}
	tell(r);
}

void runner_started(struct runner *r)
{
	r->message[0] = '\0';
	if (r->hold == RUNNER_HOLD_PAUSED)
		r->box->pause(r, true);
	else
		probe_up(&r->probe);
	step(r, LIFE_STARTED, 0);
}

void runner_warn(struct runner *r, const char *sentence)
{
	if (r->life.state != LIFE_RUNNING || !strcmp(r->message, sentence))
		return;
	snprintf(r->message, sizeof(r->message), "%s", sentence);
	output_note(&r->output, sentence);
	tell(r);
}

#define FAILS "fails its health check: "

void runner_looked(struct runner *r)
{
	const struct health *h = &r->probe.health;

	if (r->probe.why[0])
		snprintf(r->message, sizeof(r->message), FAILS "%s (%u in a row of %u)", r->probe.why, (unsigned)h->failed,
			 (unsigned)h->check->failures);
	else if (str_starts(str_c(r->message), S(FAILS)))
		r->message[0] = '\0';
	tell(r);
}

void runner_unwell(struct runner *r)
{
	char text[200];

	snprintf(text, sizeof(text), "failed its health check %u times in a row: %s", (unsigned)r->probe.health.check->failures, r->probe.why);
	runner_warn(r, text);
	step(r, LIFE_UNWELL, 0);
}

/* What the owner is told of an end: first what the machine ran into, then what it said itself. */
static void end_describe(struct runner *r, int exit_status, bool oom, const char *why)
{
	char last[100], size[16];

	tail_last(&r->output.tail, last, sizeof(last));
	format_size(size, r->spec.memory_bytes);
	if (oom || cgroup_oom_kills(r->box_group) > r->oom_kills)
		snprintf(r->message, sizeof(r->message), "was killed: it used more than its %s of memory: give it more with 'memory'", size);
	else if (r->life.state == LIFE_FAILING)
		return; /* runner_unwell() has told */
	else if (why)
		snprintf(r->message, sizeof(r->message), "%s", why);
	else
		snprintf(r->message, sizeof(r->message), "ended with status %d%s%s", exit_status, last[0] ? ", last words: " : "", last);
}

void runner_ended(struct runner *r, int exit_status, bool oom, const char *why)
{
	tail_end(&r->output.tail, time(NULL)); /* before its last words are looked for */
	end_describe(r, exit_status, oom, why);
	output_end(&r->output);
	probe_down(&r->probe);
	log_info("%s", r->message);
	step(r, LIFE_ENDED, exit_status);
}

static const char *const hold_names[] = { "none", "paused", "stopped", NULL };

/* Nobody looks after the health of what is frozen. */
static void running_pause(struct runner *r, bool on)
{
	r->box->pause(r, on);
	if (on)
		probe_down(&r->probe);
	else
		probe_up(&r->probe);
}

/* A machine that is to be paused before it was ever started is not started for that. */
static void hold_set(struct runner *r, enum runner_hold hold)
{
	enum runner_hold before = r->hold;

	if (hold == before)
		return;
	r->hold = hold;
	if (hold == RUNNER_HOLD_STOPPED)
		step(r, LIFE_HOLD, 0);
	else if (r->life.state == LIFE_RUNNING)
		running_pause(r, hold == RUNNER_HOLD_PAUSED);
	if (hold == RUNNER_HOLD_NONE)
		step(r, LIFE_RELEASE, 0);
	tell(r);
}

struct hold_args {
	unsigned hold;
};
static const struct json_field hold_fields[] = {
	{ "hold", JSON_CHOICE, offsetof(struct hold_args, hold), .required = true, .names = hold_names },
};
const struct json_table runner_hold_table = { hold_fields, ARRAY_LEN(hold_fields), sizeof(struct hold_args), NULL };

static int on_hold(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct hold_args a = { 0 };
	struct err e = { 0 };
	int ret = json_decode(parameters, &runner_hold_table, &a, &e);

	(void)flags;
	if (ret)
		return daemon_reply_error(link, ret, &e);
	hold_set(userdata, (enum runner_hold)a.hold);
	return sd_varlink_reply(link, NULL);
}

/* {always}: without it a machine that runs is left alone. */
struct restart_args {
	bool always;
};
static const struct json_field restart_fields[] = { { "always", JSON_BOOL, offsetof(struct restart_args, always) } };
const struct json_table runner_restart_table = { restart_fields, ARRAY_LEN(restart_fields), sizeof(struct restart_args), NULL };

static int on_restart(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct runner *r = userdata;
	struct restart_args a = { 0 };
	struct err e = { 0 };
	int ret = json_decode(parameters, &runner_restart_table, &a, &e);

	(void)flags;
	if (ret)
		return daemon_reply_error(link, ret, &e);
	if (a.always || r->life.state == LIFE_EXITED || r->life.state == LIFE_BACKOFF)
		step(r, LIFE_RESTART, 0);
	return sd_varlink_reply(link, NULL);
}

/* What the owner wished last, for a runner that starts: beside the spec, written by the engine. */
static void hold_load(struct runner *r)
{
	AUTO_BUF struct buf text = { 0 };
	char path[128];

	snprintf(path, sizeof(path), "%s/hold", r->dir);
	if (file_read(AT_FDCWD, path, 16, &text, NULL))
		return;
	for (unsigned i = 0; hold_names[i]; i++)
		if (str_eq(buf_str(&text), str_c(hold_names[i])))
			r->hold = (enum runner_hold)i;
}

int runner_exit_status(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	step(userdata, LIFE_TIMER, 0);
	return 0;
}

static int on_term(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	(void)source;
	(void)si;
	step(userdata, LIFE_STOP, 0);
	return 0;
}

static int on_watch(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct runner *r = userdata;
	AUTO_JSON sd_json_variant *v = NULL;
	int ret;

	(void)parameters;
	if (!(flags & SD_VARLINK_METHOD_MORE))
		return sd_varlink_error(link, SD_VARLINK_ERROR_EXPECTED_MORE, NULL);
	for (size_t i = 0; i < ARRAY_LEN(r->watchers); i++) {
		if (r->watchers[i])
			continue;
		if ((ret = state_build(r, &v)) < 0)
			return ret;
		r->watchers[i] = sd_varlink_ref(link);
		return sd_varlink_notify(link, v);
	}
	return daemon_reply_error(link, -EBUSY, NULL);
}

int runner_reply_fd(sd_varlink *link, int fd)
{
	int ret;

	if ((ret = sd_varlink_set_allow_fd_passing_output(link, true)) < 0 || (ret = sd_varlink_push_fd(link, fd)) < 0) {
		close(fd);
		return daemon_reply_error(link, ret, NULL);
	}
	return sd_varlink_reply(link, NULL);
}

struct logs_args {
	bool follow;
};
static const struct json_field logs_fields[] = { { "follow", JSON_BOOL, offsetof(struct logs_args, follow) } };
const struct json_table runner_logs_table = { logs_fields, ARRAY_LEN(logs_fields), sizeof(struct logs_args), NULL };

static int on_logs(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct runner *r = userdata;
	struct logs_args a = { 0 };
	struct err e = { 0 };
	int fd[2], ret;

	(void)flags;
	if ((ret = json_decode(parameters, &runner_logs_table, &a, &e)))
		return daemon_reply_error(link, ret, &e);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
		return daemon_reply_error(link, -errno, NULL);
	if ((ret = tail_follow(&r->output.tail, fd[0], a.follow, &e))) {
		close(fd[1]);
		return daemon_reply_error(link, ret, &e);
	}
	return runner_reply_fd(link, fd[1]);
}

static int on_console_call(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct runner *r = userdata;
	struct err e = { 0 };
	int fd[2], ret;

	(void)parameters;
	(void)flags;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
		return daemon_reply_error(link, -errno, NULL);
	if ((ret = tail_follow(&r->output.console, fd[0], true, &e))) {
		close(fd[1]);
		return daemon_reply_error(link, ret, &e);
	}
	return runner_reply_fd(link, fd[1]);
}

static int on_connect(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct runner *r = userdata;
	struct err e = { 0 };
	int fd;

	(void)parameters;
	(void)flags;
	if (!r->box->connect)
		fd = err_set(&e, -EOPNOTSUPP, "it is reached by its network");
	else
		fd = r->box->connect(r, &e);
	return fd < 0 ? daemon_reply_error(link, fd, &e) : runner_reply_fd(link, fd);
}

static void on_disconnect(sd_varlink_server *server, sd_varlink *link, void *userdata)
{
	struct runner *r = userdata;

	(void)server;
	for (size_t i = 0; i < ARRAY_LEN(r->watchers); i++)
		if (r->watchers[i] == link)
			r->watchers[i] = sd_varlink_unref(link);
}

static int serve(struct runner *r, struct err *e)
{
	char path[128];
	int ret;

	snprintf(path, sizeof(path), "%s/sock", r->dir);
	if ((ret = daemon_listen(r->event, path, 0600, r, &r->server, e)))
		return ret;
	if ((ret = sd_varlink_server_bind_method(r->server, "zos.Runner.Watch", on_watch)) < 0 ||
	    (ret = sd_varlink_server_bind_method(r->server, "zos.Runner.Logs", on_logs)) < 0 ||
	    (ret = sd_varlink_server_bind_method(r->server, "zos.Runner.Console", on_console_call)) < 0 ||
	    (ret = sd_varlink_server_bind_method(r->server, "zos.Runner.Connect", on_connect)) < 0 ||
	    (ret = sd_varlink_server_bind_method(r->server, "zos.Runner.Hold", on_hold)) < 0 ||
	    (ret = sd_varlink_server_bind_method(r->server, "zos.Runner.Restart", on_restart)) < 0 ||
	    (ret = sd_varlink_server_bind_method(r->server, "zos.Runner.Exec", session_method)) < 0 ||
	    (ret = sd_varlink_server_bind_method(r->server, "zos.Runner.Stats", stats_method)) < 0 ||
	    (ret = sd_varlink_server_bind_disconnect(r->server, on_disconnect)) < 0)
		return err_set(e, ret, "serve calls: %s", strerror(-ret));
	return 0;
}

/* A group with children of its own may hold no process: the runner sits one down, the machine goes beside it. PID 1 has done this
 * for a runner of its own. */
static int cgroup_split(struct runner *r, struct err *e)
{
	char path[160];
	int ret;

	snprintf(path, sizeof(path), "%s/runner", r->cgroup);
	if (cgroup_has(path + strlen("/sys/fs/cgroup"), getpid()))
		return 0;
	if ((ret = cgroup_make(path, e)))
		return ret;
	snprintf(path, sizeof(path), "%s/runner/cgroup.procs", r->cgroup);
	if ((ret = file_poke(AT_FDCWD, path, S("0"), e)))
		return ret;
	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", r->cgroup);
	return file_poke(AT_FDCWD, path, S("+cpu +memory +pids"), e);
}

static int spec_load(struct runner *r, const char *id, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	char path[128];
	int ret;

	snprintf(path, sizeof(path), "%s/spec.json", r->dir);
	if ((ret = file_read(AT_FDCWD, path, SPEC_SIZE_MAX, &text, e)) || (ret = machine_spec_read(&r->spec, buf_str(&text), e)))
		return ret;
	return strcmp(r->spec.id, id) ? err_set(e, -EBADMSG, "%s describes another machine", path) : 0;
}

static const struct box_ops *box_of(const struct machine_spec *s)
{
	if (s->zdb.path)
		return &zdb_box;
	return s->isolation == ISOLATION_CONTAINER ? &container_box : s->boot == BOOT_DISK ? &disk_box : &vm_box;
}

int runner_init(struct runner *ret, sd_event *event, const char *id, struct err *e)
{
	struct runner *r = ret;
	int code;

	*r = (struct runner){ .event = sd_event_ref(event) };
	snprintf(r->dir, sizeof(r->dir), MACHINES_DIR "/%s", id);
	snprintf(r->cgroup, sizeof(r->cgroup), MACHINE_CGROUP "/%s", id);
	snprintf(r->box_group, sizeof(r->box_group), "%s/box", r->cgroup);
	if ((code = output_init(&r->output, event, e)) || (code = spec_load(r, id, e)))
		return code;
	if ((code = probe_init(&r->probe, r, e)))
		return code;
	r->life = (struct life)LIFE_NEW(r->spec.restart);
	r->box = box_of(&r->spec);
	if ((code = sd_event_add_time(event, &r->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timer, r)) < 0 ||
	    (code = sd_event_add_signal(event, NULL, SIGTERM, on_term, r)) < 0)
		return err_set(e, code, "make the runner: %s", strerror(-code));
	if ((code = cgroup_split(r, e)) || (code = serve(r, e)) || (code = r->box->prepare(r, e)))
		return code;
	hold_load(r);
	restarts_load(r);
	if (r->hold == RUNNER_HOLD_NONE)
		begin(r);
	else
		r->life.state = LIFE_HELD;
	return 0;
}

void runner_deinit(struct runner *r)
{
	if (r->box)
		r->box->deinit(r);
	for (size_t i = 0; i < ARRAY_LEN(r->watchers); i++)
		sd_varlink_unref(r->watchers[i]);
	sd_varlink_server_unref(r->server);
	sd_event_source_disable_unref(r->timer);
	session_deinit(r);
	probe_deinit(&r->probe);
	output_deinit(&r->output);
	machine_spec_deinit(&r->spec);
	sd_event_unref(r->event);
}
