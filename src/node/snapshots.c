/* Calls about what is in a volume, its snapshots and archives: its owner's alone. */
#include "node/policy.h"
#include "node/request.h"
#include "svc/daemon.h"

#include "base/parse.h"

static int volume_of(struct request *q, struct item **ret, struct err *e)
{
	const struct call_volume *a = &q->args.volume;
	struct key_pub owner = a->owner.role ? a->owner : q->order->caller;
	int r = policy_owner(NULL, &q->order->caller, &owner, e);

	if (r)
		return r;
	*ret = engine_item(q->s->engine, &owner, a->deployment, a->volume);
	if (!*ret || (*ret)->work.kind != WORKLOAD_VOLUME)
		return err_set(e, -ENOENT, "there is no volume '%s' in a deployment '%s' here: 'zos volume list' lists what is", a->volume,
			       a->deployment);
	return 0;
}

/* [{name, time}] */
static int list_build(struct str lines, sd_json_variant **ret)
{
	struct str line, name, rest;
	int r = sd_json_variant_new_array(ret, NULL, 0);

	while (r >= 0 && str_next(&lines, '\n', &line)) {
		char text[CALL_SNAPSHOT_MAX + 1];
		uint64_t at_s;

		rest = line;
		if (!str_next(&rest, ' ', &name) || name.n >= sizeof(text) || parse_u64(rest, UINT64_MAX, &at_s))
			continue;
		snprintf(text, sizeof(text), STR_FMT, STR_ARG(name));
		r = sd_json_variant_append_arraybo(ret, SD_JSON_BUILD_PAIR_STRING("name", text), SD_JSON_BUILD_PAIR_UNSIGNED("time", at_s));
	}
	return r;
}

static void on_answered(void *ctx, struct str lines, int r, const struct err *e)
{
	AUTO_JSON sd_json_variant *list = NULL;
	sd_varlink *link = ctx;
	struct err own = { 0 };

	if (!r && (r = list_build(lines, &list)) < 0) {
		err_set(&own, r, "list the snapshots: %s", strerror(-r));
		e = &own;
	}
	/* whoever asked may be gone */
	(void)(r < 0 ? daemon_reply_error(link, r, e) : sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_VARIANT("snapshots", list)));
	sd_varlink_unref(link);
}

static int ask(struct request *q, int what, const char *snapshot, struct err *e)
{
	struct provider *p = q->s->engine->providers[STEP_STORAGE];
	struct provider_ask a = { .what = what, .snapshot = snapshot, .answered = on_answered };
	struct item *it;
	int r = volume_of(q, &it, e);

	if (r)
		return r;
	a.ctx = sd_varlink_ref(q->link);
	r = p->ops->ask(p, &it->work, &a, e);
	if (r)
		sd_varlink_unref(q->link);
	return r;
}

int volume_snapshot(struct request *q, struct err *e)
{
	return ask(q, PROVIDER_SNAPSHOT, q->args.volume.snapshot, e);
}

int volume_snapshots(struct request *q, struct err *e)
{
	return ask(q, PROVIDER_SNAPSHOTS, "", e);
}

int volume_forget(struct request *q, struct err *e)
{
	return ask(q, PROVIDER_FORGET, q->args.volume.snapshot, e);
}

/* Noted for good: machines that have it are stopped first. Its state says how that went. */
int volume_restore(struct request *q, struct err *e)
{
	struct item *it;
	int r = volume_of(q, &it, e);

	if (r)
		return r;
	if (it->view.steps[STEP_STORAGE] != STEP_DONE)
		return err_set(e, -EBUSY, "'%s' is not at hand: 'zos get %s' says what it waits for", it->work.name, it->work.deployment);
	if ((r = engine_restore(q->s->engine, it, q->args.volume.snapshot, e)))
		return r;
	return sd_varlink_reply(q->link, NULL);
}

/* Through a stream of the session: the program `volume` is at its other end. */
static int archive(struct request *q, const char *method, struct err *e)
{
	struct provider *p = q->s->engine->providers[STEP_STORAGE];
	AUTO_JSON sd_json_variant *v = NULL;
	const char *snapshot = q->args.volume.snapshot;
	struct provider_stream s = { .kind = PROVIDER_CALL, .method = method, .ready = request_stream_ready };
	struct item *it;
	int r = volume_of(q, &it, e);

	if (r)
		return r;
	if ((r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_CONDITION(snapshot != NULL, "snapshot", SD_JSON_BUILD_STRING(snapshot)))) < 0)
		return err_set(e, r, "ask for the archive: %s", strerror(-r));
	s.parameters = v;
	s.ctx = sd_varlink_ref(q->link);
	r = p->ops->stream(p, &it->work, &s, e);
	if (r)
		sd_varlink_unref(q->link);
	return r;
}

int volume_export(struct request *q, struct err *e)
{
	return archive(q, "export", e);
}

/* Like a restore when all of it came. */
int volume_import(struct request *q, struct err *e)
{
	return archive(q, "import", e);
}
