/* The order of checks is the order of trust: size and signature over the raw bytes, then decoding, node and expiry (order_open), then who
 * may do this (policy_check), then the nonce, which only an order that would be carried out uses up; where that cannot be
 * written down, only what changes nothing is taken. */
#include "node/serve.h"

#include "base/log.h"
#include "node/clock.h"
#include "node/disks.h"
#include "node/health.h"
#include "node/info.h"
#include "node/policy.h"
#include "node/relays.h"
#include "node/request.h"
#include "node/resolver.h"
#include "svc/daemon.h"

#include <time.h>

enum { REBOOT_DELAY_US = 500000 };

/* Whose deployment is meant: the caller's when none is named. */
static int owner_of(const struct request *q, const struct key_pub *named, struct key_pub *ret, struct err *e)
{
	*ret = named->role ? *named : q->order->caller;
	return policy_owner(q->s->engine->farm, &q->order->caller, ret, e);
}

static int node_info(struct request *q, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	int r = info_build(q->s->engine, &q->s->line, &v);

	if (r < 0)
		return err_set(e, r, "describe the node: %s", strerror(-r));
	return relaying_info(q, v) ? sd_varlink_reply(q->link, v) : 0;
}

static int node_approve(struct request *q, struct err *e)
{
	int r = engine_approve(q->s->engine, q->args.envelope.document, e);

	meet_hurry(&q->s->meet);
	return r ? r : sd_varlink_reply(q->link, NULL);
}

static int node_set_farm(struct request *q, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	int r = json_format(q->args.envelope.document, &text);

	if (r)
		return err_set(e, -ENOMEM, "take the farm document: out of memory");
	if ((r = engine_set_farm(q->s->engine, buf_str(&text), e)) < 0)
		return r;
	disks_configure(q->s->storage, q->s->engine->farm);
	clock_configure(q->s->engine->farm);
	resolver_configure(q->s->engine->farm);
	relaying_configure(&q->s->relaying, q->s->engine);
	return sd_varlink_reply(q->link, NULL);
}

static int node_health(struct request *q, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	int r = health_build(&q->s->line, q->s->storage, &v, e);

	return r ? r : sd_varlink_reply(q->link, v);
}

static int node_logs(struct request *q, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	int r = health_log(q->args.service.service, &text, e);

	return r ? r : sd_varlink_replybo(q->link, SD_JSON_BUILD_PAIR_STRING("lines", text.p ? text.p : ""));
}

static int on_reboot(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct err e = { 0 };

	(void)source;
	(void)usec;
	(void)userdata;
	if (health_reboot(&e))
		log_err("%s", e.msg);
	return 0;
}

/* The answer has to leave through gridd, which goes down too: so the way down begins a moment later. */
static int node_reboot(struct request *q, struct err *e)
{
	int r = sd_event_add_time_relative(q->s->engine->event, NULL, CLOCK_MONOTONIC, REBOOT_DELAY_US, 0, on_reboot, NULL);

	return r < 0 ? err_set(e, r, "reboot: %s", strerror(-r)) : sd_varlink_reply(q->link, NULL);
}

static int node_drain(struct request *q, struct err *e)
{
	int r = engine_drain(q->s->engine, q->args.drain.on, e);

	return r ? r : sd_varlink_reply(q->link, NULL);
}

static int deployment_deploy(struct request *q, struct err *e)
{
	struct engine *n = q->s->engine;
	uint64_t sequence;
	int r = engine_deploy(n, &q->order->caller, q->args.envelope.document, &sequence, e);

	return r ? r
		 : sd_varlink_replybo(q->link, SD_JSON_BUILD_PAIR_UNSIGNED("sequence", sequence),
				      SD_JSON_BUILD_PAIR_BOOLEAN("durable", store_is_durable(&n->store)));
}

static int deployment_check(struct request *q, struct err *e)
{
	AUTO_JSON sd_json_variant *changes = NULL;
	int r = engine_check(q->s->engine, &q->order->caller, q->args.envelope.document, &changes, e);

	return r ? r : sd_varlink_replybo(q->link, SD_JSON_BUILD_PAIR_VARIANT("changes", changes));
}

/* Whoever may look at a deployment of others, as the farm may, sees how it stands and not what its owner wrote into it. */
static int deployment_document(struct request *q, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	const struct call_deployment *a = &q->args.deployment;
	struct held *h;
	int r;

	if (a->owner.role && !key_pub_eq(&a->owner, &q->order->caller))
		return err_set(e, -EACCES, "/owner: a document is shown to its owner alone");
	h = engine_held(q->s->engine, &q->order->caller, a->name);
	if (!h)
		return err_set(e, -ENOENT, "there is no deployment '%s' of yours here: 'zos ps' lists what is", a->name);
	r = engine_document(q->s->engine, h, &v, e);
	return r ? r : sd_varlink_replybo(q->link, SD_JSON_BUILD_PAIR_VARIANT("document", v));
}

static int deployment_get(struct request *q, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	const struct call_deployment *a = &q->args.deployment;
	struct key_pub owner;
	struct held *h;
	int r = owner_of(q, &a->owner, &owner, e);

	if (r)
		return r;
	h = engine_held(q->s->engine, &owner, a->name);
	if (!h)
		return err_set(e, -ENOENT, "there is no deployment '%s' here: 'zos ps' lists what is", a->name);
	r = engine_status(q->s->engine, h, &v);
	return r < 0 ? err_set(e, r, "describe '%s': %s", a->name, strerror(-r)) : sd_varlink_reply(q->link, v);
}

static int deployment_list(struct request *q, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	struct engine *n = q->s->engine;
	struct key_pub owner = q->args.deployment.owner;
	int r;

	/* The farm sees everybody's when it names nobody; others see their own. */
	if (!(n->farm && key_pub_eq(&q->order->caller, &n->farm->farm) && !owner.role) && (r = owner_of(q, &q->args.deployment.owner, &owner, e)))
		return r;
	r = engine_list(n, &owner, &v);
	return r < 0 ? err_set(e, r, "list deployments: %s", strerror(-r)) : sd_varlink_reply(q->link, v);
}

static int deployment_watch(struct request *q, struct err *e)
{
	struct key_pub owner;
	int r = owner_of(q, &q->args.deployment.owner, &owner, e);

	return r ? r : engine_watch(q->s->engine, q->link, &owner, q->args.deployment.name, e);
}

/* A row for every row of the calls' table: serve_init() checks that none is missing. */
static const struct {
	const char *method;
	int (*handle)(struct request *q, struct err *e);
} handlers[] = {
	{ "zos.Node.Info", node_info },
	{ "zos.Node.Approve", node_approve },
	{ "zos.Node.SetFarm", node_set_farm },
	{ "zos.Node.Health", node_health },
	{ "zos.Node.Logs", node_logs },
	{ "zos.Node.Reboot", node_reboot },
	{ "zos.Node.Drain", node_drain },
	{ "zos.Node.Disks", node_disks },
	{ "zos.Node.WipeDisk", node_wipe_disk },
	{ "zos.Node.RecoveryToken", node_recovery_token },
	{ "zos.Node.RecoverDisk", node_recover_disk },
	{ "zos.Deployment.Deploy", deployment_deploy },
	{ "zos.Deployment.Check", deployment_check },
	{ "zos.Deployment.Document", deployment_document },
	{ "zos.Deployment.Get", deployment_get },
	{ "zos.Deployment.List", deployment_list },
	{ "zos.Deployment.Watch", deployment_watch },
	{ "zos.Image.Push", image_push },
	{ "zos.Image.List", image_list },
	{ "zos.Image.Prune", image_prune },
	{ "zos.Machine.Logs", machine_logs },
	{ "zos.Machine.Exec", machine_exec },
	{ "zos.Machine.Console", machine_console },
	{ "zos.Machine.Stats", machine_stats },
	{ "zos.Machine.Start", machine_start },
	{ "zos.Machine.Stop", machine_stop },
	{ "zos.Machine.Restart", machine_restart },
	{ "zos.Machine.Pause", machine_pause },
	{ "zos.Volume.Snapshot", volume_snapshot },
	{ "zos.Volume.Snapshots", volume_snapshots },
	{ "zos.Volume.Forget", volume_forget },
	{ "zos.Volume.Restore", volume_restore },
	{ "zos.Volume.Export", volume_export },
	{ "zos.Volume.Import", volume_import },
	{ "zos.Machine.Resume", machine_resume },
	{ "zos.Machine.Forward", machine_forward },
	{ CALL_MEET, network_meet },
	{ CALL_RELAY, network_relay },
};

static int handle(struct request *q, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(handlers); i++)
		if (!strcmp(handlers[i].method, q->order->method))
			return handlers[i].handle(q, e);
	bug(__FILE__, __LINE__, "a call without a handler");
}

static int caller_check(const struct request *q, const struct call *call, struct err *e)
{
	const struct farm *farm = q->s->engine->farm;

	if (call->who == CALL_NODE)
		return policy_node(farm, &q->order->caller, sd_json_variant_by_key(q->order->arguments, "approval"), e);
	return policy_check(farm, &q->order->caller, call->who, e);
}

static int order_take(struct request *q, sd_varlink_method_flags_t flags, struct err *e)
{
	const struct order *o = q->order;
	const struct call *call = call_find(o->method);
	int r;

	if (!call)
		return err_set(e, -EBADMSG, "this node knows no call '%s'", o->method);
	if (call->more != !!(flags & SD_VARLINK_METHOD_MORE))
		return err_set(e, -EBADMSG, "'%s' is called %s 'more'", o->method, call->more ? "with" : "without");
	BUG_ON(call->arguments_size > sizeof(q->args));
	if ((r = json_decode(o->arguments, call->arguments, &q->args, e)) || (r = caller_check(q, call, e)) ||
	    (r = nonces_use(&q->s->nonces, o->nonce, o->expires_s, call->effect == CALL_READS, time(NULL), e)))
		return r;
	return handle(q, e);
}

struct order_args {
	sd_json_variant *order;
	const char *psk; /* of a meeting: what gridd derived from its session */
};
static const struct json_field order_arg_fields[] = {
	{ "order", JSON_ANY, offsetof(struct order_args, order), .required = true },
	{ "psk", JSON_TEXT, offsetof(struct order_args, psk), .min = MEET_KEY_TEXT_LEN, .max = MEET_KEY_TEXT_LEN },
};
const struct json_table serve_order_table = { order_arg_fields, ARRAY_LEN(order_arg_fields), sizeof(struct order_args), NULL };

static int on_order(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct serve *s = userdata;
	struct order_args a = { 0 };
	AUTO_ORDER struct order o = { 0 };
	struct err e = { 0 };
	int r = json_decode(parameters, &serve_order_table, &a, &e);

	if (!r)
		r = order_open(a.order, &s->engine->identity.pub, time(NULL), &o, &e);
	if (!r)
		r = order_take(&(struct request){ .s = s, .link = link, .order = &o, .psk = a.psk }, flags, &e);
	if (r >= 0)
		return r;
	log_limited("refused %s: %s", o.method ? o.method : "an order", e.msg);
	return daemon_reply_error(link, r, &e);
}

static int on_line_watch(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct serve *s = userdata;

	if (!(flags & SD_VARLINK_METHOD_MORE))
		return sd_varlink_error(link, SD_VARLINK_ERROR_EXPECTED_MORE, NULL);
	return line_watch(&s->line, link, parameters);
}

static int on_line_state(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct serve *s = userdata;

	(void)flags;
	return line_state(&s->line, link, parameters);
}

static int on_line_meetings(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct serve *s = userdata;

	(void)parameters;
	if (!(flags & SD_VARLINK_METHOD_MORE))
		return sd_varlink_error(link, SD_VARLINK_ERROR_EXPECTED_MORE, NULL);
	return meet_watch(&s->meet, link);
}

static int on_line_met(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct serve *s = userdata;

	(void)flags;
	return meet_met(&s->meet, link, parameters);
}

/* Keys of meetings come in: libsystemd wipes what it read. */
static int on_connect(sd_varlink_server *server, sd_varlink *link, void *userdata)
{
	(void)server;
	(void)userdata;
	return sd_varlink_set_input_sensitive(link);
}

static void on_disconnect(sd_varlink_server *server, sd_varlink *link, void *userdata)
{
	struct serve *s = userdata;

	(void)server;
	line_gone(&s->line, link);
	meet_gone(&s->meet, link);
	engine_unwatch(s->engine, link);
	disks_forget(s->storage, link);
}

static bool every_call_has_a_handler(void)
{
	for (size_t i = 0; i < n_calls; i++) {
		bool found = false;

		for (size_t k = 0; k < ARRAY_LEN(handlers); k++)
			found |= !strcmp(calls[i].method, handlers[k].method);
		if (!found)
			return false;
	}
	return n_calls == ARRAY_LEN(handlers);
}

int serve_init(struct serve *ret, struct engine *engine, struct storage *storage, const char *socket, struct err *e)
{
	struct serve *s = ret;
	struct timespec up;
	int r;

	*s = (struct serve)SERVE_NONE;
	s->engine = engine;
	s->storage = storage;
	BUG_ON(!every_call_has_a_handler());
	clock_gettime(CLOCK_BOOTTIME, &up);
	nonces_init(&s->nonces);
	relaying_configure(&s->relaying, engine);
	if ((r = line_init(&s->line, engine, (uint64_t)(time(NULL) - up.tv_sec), e)) || (r = meet_init(&s->meet, engine, &s->line, NULL, e)) ||
	    (r = daemon_listen(engine->event, socket, 0666, s, &s->server, e)))
		return r;
	if ((r = sd_varlink_server_bind_method(s->server, "zos.Order.Call", on_order)) < 0 ||
	    (r = sd_varlink_server_bind_method(s->server, "zos.Line.Watch", on_line_watch)) < 0 ||
	    (r = sd_varlink_server_bind_method(s->server, "zos.Line.State", on_line_state)) < 0 ||
	    (r = sd_varlink_server_bind_method(s->server, "zos.Line.Meetings", on_line_meetings)) < 0 ||
	    (r = sd_varlink_server_bind_method(s->server, "zos.Line.Met", on_line_met)) < 0 ||
	    (r = sd_varlink_server_bind_connect(s->server, on_connect)) < 0 || (r = sd_varlink_server_bind_disconnect(s->server, on_disconnect)) < 0)
		return err_set(e, r, "serve calls: %s", strerror(-r));
	return 0;
}

void serve_deinit(struct serve *s)
{
	s->server = sd_varlink_server_unref(s->server);
	meet_deinit(&s->meet);
	line_deinit(&s->line);
	nonces_deinit(&s->nonces);
}
