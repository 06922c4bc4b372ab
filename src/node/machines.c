#include "node/policy.h"
#include "node/request.h"
#include "svc/daemon.h"

static int item_of(struct request *q, const struct key_pub *named, const char *deployment, const char *machine, struct item **ret, struct err *e)
{
	struct key_pub owner;
	int r;

	/* What a machine says and hears is its owner's alone: the farm may list and stop, not look inside. */
	owner = named->role ? *named : q->order->caller;
	if ((r = policy_owner(NULL, &q->order->caller, &owner, e)))
		return r;
	*ret = engine_item(q->s->engine, &owner, deployment, machine);
	if (!*ret || !engine_runs(*ret))
		return err_set(e, -ENOENT, "there is no machine '%s' in a deployment '%s' here: 'zos ps' lists what is", machine, deployment);
	return 0;
}

void request_stream_ready(void *ctx, int fd, sd_json_variant *reply, int r, const struct err *e)
{
	sd_varlink *link = ctx;

	if (r >= 0 && fd < 0)
		(void)sd_varlink_reply(link, reply);
	else if (r >= 0 && (r = sd_varlink_set_allow_fd_passing_output(link, true)) >= 0 && (r = sd_varlink_push_fd(link, fd)) >= 0) {
		fd = -1; /* the link's now */
		(void)sd_varlink_reply(link, NULL);
	} else {
		(void)daemon_reply_error(link, r, e);
	}
	fd_close(&fd);
	sd_varlink_unref(link);
}

static int stream_open(struct request *q, struct item *it, enum plan_step step, struct provider_stream *s, struct err *e)
{
	struct provider *p = q->s->engine->providers[step];
	int r;

	if (it->view.steps[STEP_MACHINE] != STEP_DONE)
		return err_set(e, -EHOSTUNREACH, "'%s' does not run yet: 'zos get %s' tells how far it is", it->work.name, it->work.deployment);
	s->ready = request_stream_ready;
	s->ctx = sd_varlink_ref(q->link);
	r = p->ops->stream(p, &it->work, s, e);
	if (r)
		sd_varlink_unref(q->link);
	return r;
}

/* Passes a call on to the machine's runner, whose answer is the caller's. */
static int runner_ask(struct request *q, struct item *it, const char *method, sd_json_variant *parameters, struct err *e)
{
	struct provider_stream s = { .kind = PROVIDER_RUNNER, .method = method, .parameters = parameters };

	return stream_open(q, it, STEP_MACHINE, &s, e);
}

int machine_logs(struct request *q, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	const struct call_logs *a = &q->args.logs;
	struct item *it;
	int r = item_of(q, &a->owner, a->deployment, a->machine, &it, e);

	if (r)
		return r;
	r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_BOOLEAN("follow", a->follow));
	return r < 0 ? err_set(e, r, "ask for the log: %s", strerror(-r)) : runner_ask(q, it, "zos.Runner.Logs", v, e);
}

int machine_exec(struct request *q, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	const struct call_exec *a = &q->args.exec;
	struct item *it;
	int r = item_of(q, &a->owner, a->deployment, a->machine, &it, e);

	if (r)
		return r;
	r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_VARIANT("argv", a->argv), SD_JSON_BUILD_PAIR_BOOLEAN("tty", a->tty),
			   SD_JSON_BUILD_PAIR_UNSIGNED("rows", a->rows), SD_JSON_BUILD_PAIR_UNSIGNED("cols", a->cols),
			   SD_JSON_BUILD_PAIR_CONDITION(a->user != NULL, "user", SD_JSON_BUILD_STRING(a->user)),
			   SD_JSON_BUILD_PAIR_CONDITION(a->workdir != NULL, "workdir", SD_JSON_BUILD_STRING(a->workdir)),
			   SD_JSON_BUILD_PAIR_CONDITION(a->term != NULL, "term", SD_JSON_BUILD_STRING(a->term)));
	return r < 0 ? err_set(e, r, "ask the machine: %s", strerror(-r)) : runner_ask(q, it, "zos.Runner.Exec", v, e);
}

static int plain_ask(struct request *q, const char *method, struct err *e)
{
	const struct call_machine *a = &q->args.machine;
	struct item *it;
	int r = item_of(q, &a->owner, a->deployment, a->machine, &it, e);

	return r ? r : runner_ask(q, it, method, NULL, e);
}

int machine_console(struct request *q, struct err *e)
{
	return plain_ask(q, "zos.Runner.Console", e);
}

int machine_stats(struct request *q, struct err *e)
{
	return plain_ask(q, "zos.Runner.Stats", e);
}

/* The owner's wish, and then, with METHOD, a word to a machine that is up. */
static int wish(struct request *q, enum work_hold hold, const char *method, bool always, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	const struct call_machine *a = &q->args.machine;
	enum work_hold before;
	struct item *it;
	int r = item_of(q, &a->owner, a->deployment, a->machine, &it, e);

	if (r)
		return r;
	if (q->s->engine->is_drained && hold != WORK_STOPPED)
		return err_set(e, -EBUSY, "the farm is draining this node: '%s' is started again when that is over", a->machine);
	before = it->work.hold;
	if (hold == WORK_PAUSED && before == WORK_STOPPED)
		return err_set(e, -EBUSY, "'%s' is stopped: there is nothing to pause", a->machine);
	if ((r = engine_hold(q->s->engine, it, hold, e)))
		return r;
	if (!method || before == WORK_STOPPED || it->view.steps[STEP_MACHINE] != STEP_DONE)
		return sd_varlink_reply(q->link, NULL);
	r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_BOOLEAN("always", always));
	return r < 0 ? err_set(e, r, "ask the machine: %s", strerror(-r)) : runner_ask(q, it, method, v, e);
}

int machine_start(struct request *q, struct err *e)
{
	return wish(q, WORK_RUNS, "zos.Runner.Restart", false, e);
}

int machine_stop(struct request *q, struct err *e)
{
	return wish(q, WORK_STOPPED, NULL, false, e);
}

int machine_restart(struct request *q, struct err *e)
{
	return wish(q, WORK_RUNS, "zos.Runner.Restart", true, e);
}

int machine_pause(struct request *q, struct err *e)
{
	return wish(q, WORK_PAUSED, NULL, false, e);
}

int machine_resume(struct request *q, struct err *e)
{
	const struct call_machine *a = &q->args.machine;
	struct item *it;
	int r = item_of(q, &a->owner, a->deployment, a->machine, &it, e);

	if (r)
		return r;
	if (it->work.hold == WORK_STOPPED && !q->s->engine->is_drained)
		return err_set(e, -EBUSY, "'%s' is stopped, not paused: 'zos start' starts it", a->machine);
	return wish(q, WORK_RUNS, NULL, false, e);
}

int machine_forward(struct request *q, struct err *e)
{
	const struct call_forward *a = &q->args.forward;
	struct provider_stream s = { .kind = PROVIDER_TCP, .port = a->port };
	struct item *it;
	int r = item_of(q, &a->owner, a->deployment, a->machine, &it, e);

	if (r || it->work.kind != WORKLOAD_ZDB)
		return r ? r : stream_open(q, it, STEP_NETWORK, &s, e);
	if (a->port != ZDB_PORT)
		return err_set(e, -ECONNREFUSED, "'%s' is a zdb, which listens on port %d alone", a->machine, ZDB_PORT);
	return runner_ask(q, it, "zos.Runner.Connect", NULL, e);
}
