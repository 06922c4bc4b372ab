/* How things stand, for people and programs: derived from the engine's items whenever somebody asks. */
#include "node/ips.h"

#include <stdio.h>

enum { TALLY_MAX = 12 }; /* item_state() knows ten */

/* It runs, and a newer document asks what its image's tag stands for now. */
static const char *renewal_state(const struct item *it, const char **ret_message)
{
	*ret_message = it->error[0] ? it->error : it->work.progress.what ? it->work.progress.what : "";
	return it->error[0] ? "degraded" : "pending";
}

static const char *storage_state(const struct item *it, const char **ret_message)
{
	enum plan_step_state step = it->view.steps[STEP_STORAGE];

	*ret_message = it->is_behind ? "" : it->error;
	if (it->is_behind)
		return "pending";
	if (it->error[0] && it->work.storage.is_waiting)
		return "waiting";
	if (it->error[0])
		return "retrying";
	if (it->view.want == WANT_GONE)
		return "stopping";
	*ret_message = it->work.storage.trouble;
	if (step == STEP_DONE && it->work.storage.trouble[0])
		return "degraded";
	*ret_message = it->work.progress.what ? it->work.progress.what : "";
	return step == STEP_DONE ? "ok" : "starting";
}

static const char *machine_state(const struct item *it, const char **ret_message)
{
	const struct plan_view *v = &it->view;

	if (v->stale && v->want == WANT_UP && v->steps[STEP_MACHINE] == STEP_DONE)
		return renewal_state(it, ret_message);
	*ret_message = it->is_behind ? "" : it->error;
	if (it->is_behind)
		return "pending";
	for (int s = v->want == WANT_PAUSED ? STEP_MACHINE : 0; s < STEPS; s++)
		if ((v->steps[s] == STEP_FAILED && (it->error[0] || s != STEP_NETWORK)) || /* other links are no failure */
		    (v->steps[s] == STEP_APPLYING && it->error[0]))
			return "retrying";
	*ret_message = it->waits_for;
	if (v->want == WANT_UP && it->waits_for[0] && v->steps[STEP_IMAGE] != STEP_APPLYING)
		return "waiting";
	*ret_message = it->work.machine.message;
	if (v->want == WANT_GONE || v->steps[STEP_MACHINE] == STEP_REMOVING)
		return "stopping";
	if (v->want == WANT_PAUSED)
		return "paused";
	if (v->changed || (v->steps[STEP_MACHINE] != STEP_DONE && strcmp(it->work.machine.state, "backoff"))) {
		*ret_message = it->work.progress.what ? it->work.progress.what : "";
		return v->kind == PLAN_STORE || (v->steps[STEP_IMAGE] == STEP_DONE && !v->changed) ? "starting" : "pending";
	}
	if (!strcmp(it->work.machine.state, "running"))
		return "ok";
	if (!strcmp(it->work.machine.state, "degraded"))
		return "degraded";
	if (!strcmp(it->work.machine.state, "backoff"))
		return "retrying";
	if (!strcmp(it->work.machine.state, "paused") || !strcmp(it->work.machine.state, "stopped")) {
		*ret_message = it->work.is_drained ? "the farm is draining this node: it is started again when that is over" : "as its owner wished";
		return it->work.machine.state;
	}
	if (!strcmp(it->work.machine.state, "stopping"))
		return "stopping";
	return !strcmp(it->work.machine.state, "exited") ? "gone" : "starting";
}

static const char *network_state(const struct item *it, const char **ret_message)
{
	*ret_message = it->is_behind ? "" : it->error;
	if (it->is_behind)
		return "pending";
	if (it->error[0])
		return "retrying";
	if (it->view.want == WANT_GONE)
		return "stopping";
	return it->view.steps[STEP_NETWORK] == STEP_DONE ? "ok" : "starting";
}

static const char *gateway_state(const struct item *it, const char **ret_message)
{
	const struct gateway_result *p = &it->work.published;

	*ret_message = it->is_behind ? "" : it->error;
	if (it->is_behind)
		return "pending";
	if (it->error[0])
		return "retrying";
	*ret_message = it->waits_for;
	if (it->view.want == WANT_GONE)
		return "stopping";
	if (it->view.want == WANT_PAUSED)
		return "paused";
	if (it->waits_for[0])
		return "waiting";
	*ret_message = p->message[0] ? p->message
				     : p->cert_message; /* a certificate that is late is no state: names are reached by HTTP, and with the old one */
	if (it->view.steps[STEP_GATEWAY] != STEP_DONE || !p->is_seen)
		return "starting";
	return p->message[0] ? "degraded" : "ok";
}

static const char *ip_state(const struct item *it, const char **ret_message)
{
	*ret_message = "";
	if (it->is_behind)
		return "pending";
	if (it->view.want == WANT_GONE)
		return "stopping";
	*ret_message = it->error;
	return it->error[0] ? "degraded" : "ok";
}

/* First what it runs on. */
static const char *store_state(const struct item *it, const char **ret_message)
{
	const char *state = storage_state(it, ret_message);

	return strcmp(state, "ok") ? state : machine_state(it, ret_message);
}

static const char *item_state(const struct item *it, const char **ret_message)
{
	static const char *(*const states[PLAN_KINDS])(const struct item *it, const char **ret_message) = {
		[PLAN_MACHINE] = machine_state, [PLAN_STORAGE] = storage_state, [PLAN_STORE] = store_state,
		[PLAN_NETWORK] = network_state, [PLAN_GATEWAY] = gateway_state, [PLAN_IP] = ip_state,
	};

	return states[it->view.kind](it, ret_message);
}

int engine_tally(const struct engine *n, sd_json_variant **ret)
{
	struct {
		const char *state;
		uint64_t count;
	} tally[TALLY_MAX] = { 0 };
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (const struct item *it = n->items; it; it = it->next) {
		const char *message, *state = item_state(it, &message);
		size_t i = 0;

		while (i < TALLY_MAX - 1 && tally[i].state && strcmp(tally[i].state, state))
			i++;
		tally[i].state = state;
		tally[i].count++;
	}
	for (size_t i = 0; r >= 0 && i < TALLY_MAX && tally[i].state; i++) {
		AUTO_JSON sd_json_variant *one = NULL;

		r = sd_json_buildo(&one, SD_JSON_BUILD_PAIR_STRING("state", tally[i].state), SD_JSON_BUILD_PAIR_UNSIGNED("count", tally[i].count));
		if (r >= 0)
			r = sd_json_variant_append_array(ret, one);
	}
	return r;
}

static int ip_append(const struct card *end, sd_json_variant **ret)
{
	char v4[IP4_TEXT_SIZE], v6[IP6_TEXT_SIZE];
	int r;

	format_ip4(v4, end->address.address);
	format_ip6(v6, end->address6.address);
	r = sd_json_variant_append_arrayb(ret, SD_JSON_BUILD_STRING(v4));
	return r < 0 ? r : sd_json_variant_append_arrayb(ret, SD_JSON_BUILD_STRING(v6));
}

/* All addresses that it has: on its own link first. */
static int ips_build(const struct work *w, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	if (!w->network.address[0])
		return r;
	if (r >= 0)
		r = sd_json_variant_append_arrayb(ret, SD_JSON_BUILD_STRING(w->network.address));
	for (size_t i = 0; r >= 0 && i < w->n_links; i++)
		r = ip_append(&w->links[i].end, ret);
	return r;
}

static int machine_json(const struct engine *n, const struct work *w, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *ips = NULL;
	int r = ips_build(w, &ips);

	(void)n;
	return r < 0 ? r
		     : sd_json_variant_merge_objectbo(
			       ret, SD_JSON_BUILD_PAIR_STRING("isolation", isolation_names[w->spec.isolation]),
			       SD_JSON_BUILD_PAIR_STRING("image", w->spec.image),
			       SD_JSON_BUILD_PAIR_CONDITION(w->image.digest[0] != '\0', "image_digest", SD_JSON_BUILD_STRING(w->image.digest)),
			       SD_JSON_BUILD_PAIR_VARIANT("ip", ips),
			       SD_JSON_BUILD_PAIR_CONDITION(w->network.bandwidth != 0, "bandwidth", SD_JSON_BUILD_UNSIGNED(w->network.bandwidth)),
			       SD_JSON_BUILD_PAIR_UNSIGNED("restarts", w->machine.restarts),
			       SD_JSON_BUILD_PAIR_CONDITION(w->machine.exit >= 0, "exit", SD_JSON_BUILD_INTEGER(w->machine.exit)),
			       SD_JSON_BUILD_PAIR_CONDITION(
				       w->spec.health != NULL, "health",
				       SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("state", w->machine.health[0] ? w->machine.health : "waiting"),
							    SD_JSON_BUILD_PAIR_VARIANT("check", w->spec.health))));
}

static int storage_json(const struct engine *n, const struct work *w, sd_json_variant **ret)
{
	uint64_t size = w->kind == WORKLOAD_VOLUME ? w->volume.size_bytes : w->kind == WORKLOAD_ZMOUNT ? w->zmount.size_bytes : w->zdb.size_bytes;

	(void)n;
	return sd_json_variant_merge_objectbo(
		ret, SD_JSON_BUILD_PAIR_STRING("id", w->id), SD_JSON_BUILD_PAIR_UNSIGNED("size", size),
		SD_JSON_BUILD_PAIR_UNSIGNED("used", w->storage.used_bytes),
		SD_JSON_BUILD_PAIR_CONDITION(w->storage.disk[0] != '\0', "device", SD_JSON_BUILD_STRING(w->storage.disk)));
}

/* Its addresses are those in its networks: without any it is reached by 'zos forward' alone. */
static int zdb_json(const struct engine *n, const struct work *w, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *addresses = NULL;
	int r = sd_json_variant_new_array(&addresses, NULL, 0);

	for (size_t i = 0; r >= 0 && i < w->n_links; i++)
		r = ip_append(&w->links[i].end, &addresses);
	return r < 0 || (r = storage_json(n, w, ret)) < 0
		       ? r
		       : sd_json_variant_merge_objectbo(
				 ret, SD_JSON_BUILD_PAIR_STRING("namespace", w->name), SD_JSON_BUILD_PAIR_VARIANT("address", addresses),
				 SD_JSON_BUILD_PAIR_UNSIGNED("port", ZDB_PORT), SD_JSON_BUILD_PAIR_STRING("mode", zdb_mode_names[w->zdb.mode]),
				 SD_JSON_BUILD_PAIR_UNSIGNED("restarts", w->machine.restarts),
				 SD_JSON_BUILD_PAIR_CONDITION(w->machine.exit >= 0, "exit", SD_JSON_BUILD_INTEGER(w->machine.exit)));
}

static int machine_append(const struct work *w, const struct network_link *l, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *ips = NULL;
	int r = ip_append(&l->end, &ips);

	return r < 0 ? r : sd_json_variant_append_arraybo(ret, SD_JSON_BUILD_PAIR_STRING("name", w->name), SD_JSON_BUILD_PAIR_VARIANT("ip", ips));
}

static int machines_build(const struct engine *n, const struct work *network, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (const struct item *it = n->items; r >= 0 && it; it = it->next)
		for (size_t i = 0; r >= 0 && i < it->work.n_links; i++)
			if (!strcmp(it->work.links[i].network, network->id))
				r = machine_append(&it->work, &it->work.links[i], ret);
	return r;
}

static int network_json(const struct engine *n, const struct work *w, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *machines = NULL;
	char subnet[RANGE4_TEXT_SIZE], range[RANGE4_TEXT_SIZE], subnet6[RANGE6_TEXT_SIZE], range6[RANGE6_TEXT_SIZE];
	char gateway[IP4_TEXT_SIZE], gateway6[IP6_TEXT_SIZE];
	uint8_t address6[16];
	int r = machines_build(n, w, &machines);

	format_range4(subnet, &w->net.subnet);
	format_range4(range, &w->net.range);
	format_range6(subnet6, &w->net.subnet6);
	format_range6(range6, &w->net.range6);
	format_ip4(gateway, network_gateway(&w->net));
	network_address6(&w->net, network_gateway(&w->net), address6);
	format_ip6(gateway6, address6);
	if (r >= 0 && w->network.span)
		r = sd_json_variant_merge_object(ret, w->network.span);
	return r < 0 ? r
		     : sd_json_variant_merge_objectbo(
			       ret, SD_JSON_BUILD_PAIR_STRING("subnet", subnet), SD_JSON_BUILD_PAIR_STRING("range", range),
			       SD_JSON_BUILD_PAIR_STRING("subnet6", subnet6), SD_JSON_BUILD_PAIR_STRING("range6", range6),
			       SD_JSON_BUILD_PAIR("gateway", SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_STRING(gateway), SD_JSON_BUILD_STRING(gateway6))),
			       SD_JSON_BUILD_PAIR_BOOLEAN("outgoing", w->net.outgoing), SD_JSON_BUILD_PAIR_VARIANT("machines", machines));
}

/* Nothing where it has none and none is asked for. */
static int certificate_json(const struct gateway_result *p, sd_json_variant **ret)
{
	char until[24];

	if (!p->cert_until_s && !p->cert_message[0])
		return 0;
	format_time(until, (int64_t)p->cert_until_s);
	return sd_json_variant_merge_objectbo(
		ret, SD_JSON_BUILD_PAIR("certificate",
					SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_CONDITION(p->cert_until_s != 0, "until", SD_JSON_BUILD_STRING(until)),
							     SD_JSON_BUILD_PAIR_CONDITION(p->cert_message[0] != '\0', "message",
											  SD_JSON_BUILD_STRING(p->cert_message)))));
}

static int gateway_json(const struct engine *n, const struct work *w, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *backends = NULL;
	int r = sd_json_variant_new_array(&backends, NULL, 0);

	(void)n;
	for (size_t i = 0; r >= 0 && i < w->n_backends; i++) {
		char text[ENDPOINT_TEXT_SIZE];

		endpoint_format(text, &w->backends[i]);
		r = sd_json_variant_append_arrayb(&backends, SD_JSON_BUILD_STRING(text));
	}
	if (r >= 0)
		r = certificate_json(&w->published, ret);
	return r < 0 ? r
		     : sd_json_variant_merge_objectbo(
			       ret, SD_JSON_BUILD_PAIR_CONDITION(w->published.fqdn[0] != '\0', "fqdn", SD_JSON_BUILD_STRING(w->published.fqdn)),
			       SD_JSON_BUILD_PAIR_VARIANT("backends", backends),
			       SD_JSON_BUILD_PAIR_UNSIGNED("answering", w->published.is_seen ? w->published.n_up : 0),
			       SD_JSON_BUILD_PAIR_BOOLEAN("tls_passthrough", w->gateway.tls_passthrough));
}

static int ip_json(const struct engine *n, const struct work *w, sd_json_variant **ret)
{
	const struct item *machine = ips_machine(n, w->id);
	char text[IP4_TEXT_SIZE];

	format_ip4(text, w->public.address);
	return sd_json_variant_merge_objectbo(
		ret, SD_JSON_BUILD_PAIR_CONDITION(w->public.address != 0, "addresses", SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_STRING(text))),
		SD_JSON_BUILD_PAIR_CONDITION(machine != NULL, "machine", SD_JSON_BUILD_STRING(machine ? machine->work.name : "")));
}

static int item_json(const struct engine *n, const struct item *it, sd_json_variant **ret)
{
	static const struct {
		const char *type;
		int (*json)(const struct engine *n, const struct work *w, sd_json_variant **ret);
	} kinds[] = {
		[WORKLOAD_ZMACHINE] = { "zmachine", machine_json },
		[WORKLOAD_VOLUME] = { "volume", storage_json },
		[WORKLOAD_ZMOUNT] = { "zmount", storage_json },
		[WORKLOAD_ZDB] = { "zdb", zdb_json },
		[WORKLOAD_NETWORK] = { "network", network_json },
		[WORKLOAD_GATEWAY_NAME] = { "gateway-name-proxy", gateway_json },
		[WORKLOAD_GATEWAY_FQDN] = { "gateway-fqdn-proxy", gateway_json },
		[WORKLOAD_IP] = { "ip", ip_json },
	};
	const struct work *w = &it->work;
	const char *message, *state = item_state(it, &message);
	int r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("name", w->name), SD_JSON_BUILD_PAIR_STRING("type", kinds[w->kind].type),
			       SD_JSON_BUILD_PAIR_STRING("state", state),
			       SD_JSON_BUILD_PAIR_CONDITION(message[0] != '\0', "message", SD_JSON_BUILD_STRING(message)),
			       SD_JSON_BUILD_PAIR_UNSIGNED("attempts", it->view.attempts),
			       SD_JSON_BUILD_PAIR_CONDITION(w->progress.what != NULL, "progress",
							    SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("what", w->progress.what),
										 SD_JSON_BUILD_PAIR_UNSIGNED("done", w->progress.done),
										 SD_JSON_BUILD_PAIR_UNSIGNED("total", w->progress.total))));

	return r < 0 ? r : kinds[w->kind].json(n, w, ret);
}

static bool is_of(const struct item *it, const struct deployment *d)
{
	return key_pub_eq(&it->work.owner, &d->owner) && !strcmp(it->work.deployment, d->name);
}

static void item_look(struct engine *n, struct item *it)
{
	struct provider *p = n->providers[it->work.kind == WORKLOAD_NETWORK ? STEP_NETWORK : STEP_STORAGE];

	if ((workload_has_storage(it->work.kind) || it->work.kind == WORKLOAD_NETWORK) && p->ops->look)
		p->ops->look(p, &it->work);
}

int engine_status(struct engine *n, const struct held *h, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *list = NULL;
	char owner[KEY_TEXT_SIZE];
	int r = sd_json_variant_new_array(&list, NULL, 0);

	for (struct item *it = n->items; r >= 0 && it; it = it->next) {
		AUTO_JSON sd_json_variant *one = NULL;

		if (!is_of(it, h->deployment))
			continue;
		item_look(n, it);
		r = item_json(n, it, &one);
		if (r >= 0)
			r = sd_json_variant_append_array(&list, one);
	}
	if (r < 0)
		return r;
	key_pub_format(owner, &h->deployment->owner);
	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("name", h->deployment->name), SD_JSON_BUILD_PAIR_STRING("owner", owner),
			      SD_JSON_BUILD_PAIR_UNSIGNED("sequence", h->deployment->sequence),
			      SD_JSON_BUILD_PAIR_BOOLEAN("deleted", h->deployment->n_workloads == 0),
			      SD_JSON_BUILD_PAIR_BOOLEAN("durable", store_is_durable(&n->store)), SD_JSON_BUILD_PAIR_VARIANT("workloads", list));
}

static bool has_items(const struct engine *n, const struct deployment *d)
{
	for (const struct item *it = n->items; it; it = it->next)
		if (is_of(it, d))
			return true;
	return false;
}

int engine_list(struct engine *n, const struct key_pub *owner, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *list = NULL;
	int r = sd_json_variant_new_array(&list, NULL, 0);

	for (struct held *h = n->held; r >= 0 && h; h = h->next) {
		AUTO_JSON sd_json_variant *one = NULL;

		if ((owner->role && !key_pub_eq(owner, &h->deployment->owner)) || (!h->deployment->n_workloads && !has_items(n, h->deployment)))
			continue;
		r = engine_status(n, h, &one);
		if (r >= 0)
			r = sd_json_variant_append_array(&list, one);
	}
	return r < 0 ? r : sd_json_buildo(ret, SD_JSON_BUILD_PAIR_VARIANT("deployments", list));
}

int engine_watch(struct engine *n, sd_varlink *link, const struct key_pub *owner, const char *name, struct err *e)
{
	AUTO_JSON sd_json_variant *status = NULL;
	struct held *h = engine_held(n, owner, name);
	struct watcher *w;
	int r;

	if (!h)
		return err_set(e, -ENOENT, "there is no deployment '%s' here", name);
	if (n->n_watchers == ENGINE_WATCHERS_MAX)
		return err_set(e, -EBUSY, "%d watchers are connected already: try again later", ENGINE_WATCHERS_MAX);
	if ((r = engine_status(n, h, &status)) < 0 || (r = sd_varlink_notify(link, status)) < 0)
		return err_set(e, r, "watch '%s': %s", name, strerror(-r));
	w = &n->watchers[n->n_watchers++];
	*w = (struct watcher){ .link = sd_varlink_ref(link), .owner = *owner };
	snprintf(w->name, sizeof(w->name), "%s", name);
	return 0;
}

void engine_unwatch(struct engine *n, sd_varlink *link)
{
	for (size_t i = 0; i < n->n_watchers; i++) {
		if (n->watchers[i].link != link)
			continue;
		sd_varlink_unref(n->watchers[i].link);
		n->watchers[i] = n->watchers[--n->n_watchers];
		return;
	}
}

void engine_notify(struct engine *n, const struct item *it)
{
	struct held *h = engine_held(n, &it->work.owner, it->work.deployment);
	AUTO_JSON sd_json_variant *status = NULL;

	if (n->status_changed)
		n->status_changed(n->status_ctx);
	for (size_t i = 0; h && i < n->n_watchers; i++) {
		struct watcher *w = &n->watchers[i];

		if (!key_pub_eq(&w->owner, &it->work.owner) || strcmp(w->name, it->work.deployment))
			continue;
		if (!status && engine_status(n, h, &status) < 0)
			return;
		(void)sd_varlink_notify(w->link, status); /* a link that is gone is reported by its own disconnect */
	}
}
