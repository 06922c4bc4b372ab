/* Calls about the image cache: imaged does them, this says for whom and shows each caller their own. */
#include "node/request.h"
#include "svc/daemon.h"

static bool is_farm(const struct engine *n, const struct key_pub *caller)
{
	return n->farm && key_pub_eq(caller, &n->farm->farm);
}

/* Takes a reference to CTX only when it is called. */
static int call(struct request *q, struct provider_stream *s, struct err *e)
{
	struct provider *p = q->s->engine->providers[STEP_IMAGE];

	s->kind = PROVIDER_CALL;
	return p->ops->stream(p, NULL, s, e);
}

static int call_for_link(struct request *q, const char *method, sd_json_variant *parameters, bool has_stream, struct err *e)
{
	struct provider_stream s = {
		.method = method, .parameters = parameters, .has_stream = has_stream, .ready = request_stream_ready, .ctx = sd_varlink_ref(q->link)
	};
	int r = call(q, &s, e);

	if (r)
		sd_varlink_unref(q->link);
	return r;
}

int image_push(struct request *q, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	char owner[KEY_TEXT_SIZE];
	int r;

	key_pub_format(owner, &q->order->caller);
	r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("owner", owner), SD_JSON_BUILD_PAIR_STRING("name", q->args.push.name));
	return r < 0 ? err_set(e, r, "ask for the push: %s", strerror(-r)) : call_for_link(q, "zos.Image.Push", v, true, e);
}

int image_prune(struct request *q, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	char owner[KEY_TEXT_SIZE];
	bool farm = is_farm(q->s->engine, &q->order->caller);
	int r;

	key_pub_format(owner, &q->order->caller);
	r = sd_json_buildo(&v, SD_JSON_BUILD_PAIR_CONDITION(!farm, "owner", SD_JSON_BUILD_STRING(owner)));
	return r < 0 ? err_set(e, r, "ask to prune: %s", strerror(-r)) : call_for_link(q, "zos.Image.Prune", v, false, e);
}

/* A list on its way to the one who asked. */
struct listing {
	struct engine *engine;
	sd_varlink *link;
	struct key_pub caller;
};

static const struct item *item_of(const struct engine *n, const char *id)
{
	for (const struct item *it = n->items; it; it = it->next)
		if (!strcmp(it->work.id, id))
			return it;
	return NULL;
}

/* The workloads that need the image, as DEPLOYMENT/NAME: the caller's own, for the farm all. */
static int users_of(const struct listing *l, sd_json_variant *holders, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; sd_json_variant_is_array(holders) && i < sd_json_variant_elements(holders) && r >= 0; i++) {
		const struct item *it = item_of(l->engine, sd_json_variant_string(sd_json_variant_by_index(holders, i)) ?: "");
		char name[80];

		if (!it || (!is_farm(l->engine, &l->caller) && !key_pub_eq(&it->work.owner, &l->caller)))
			continue;
		snprintf(name, sizeof(name), "%s/%s", it->work.deployment, it->work.name);
		r = sd_json_variant_append_arrayb(ret, SD_JSON_BUILD_STRING(name));
	}
	return r;
}

/* Others' images are none of the caller's business, nor are public ones that only others use. */
static int row_append(const struct listing *l, sd_json_variant *one, sd_json_variant **list)
{
	AUTO_JSON sd_json_variant *users = NULL;
	const char *owner = sd_json_variant_string(sd_json_variant_by_key(one, "owner"));
	struct key_pub key;
	int r = users_of(l, sd_json_variant_by_key(one, "holders"), &users);
	bool own = owner && !key_pub_parse(str_c(owner), &key) && key_pub_eq(&key, &l->caller);

	if (r < 0 || (!own && !sd_json_variant_elements(users) && !is_farm(l->engine, &l->caller)))
		return r;
	return sd_json_variant_append_arraybo(list, SD_JSON_BUILD_PAIR_VARIANT("reference", sd_json_variant_by_key(one, "reference")),
					      SD_JSON_BUILD_PAIR_VARIANT("digest", sd_json_variant_by_key(one, "digest")),
					      SD_JSON_BUILD_PAIR_VARIANT("owner", sd_json_variant_by_key(one, "owner")),
					      SD_JSON_BUILD_PAIR_VARIANT("size", sd_json_variant_by_key(one, "size")),
					      SD_JSON_BUILD_PAIR_VARIANT("used", sd_json_variant_by_key(one, "used")),
					      SD_JSON_BUILD_PAIR_VARIANT("used_by", users));
}

static void on_listed(void *ctx, int fd, sd_json_variant *reply, int r, const struct err *e)
{
	AUTO_JSON sd_json_variant *list = NULL;
	struct listing *l = ctx;
	sd_json_variant *all = sd_json_variant_by_key(reply, "images");
	struct err own = { 0 };

	(void)fd; /* there is none in such an answer */
	if (r >= 0 && (r = sd_json_variant_new_array(&list, NULL, 0)) >= 0)
		e = NULL;
	for (size_t i = 0; r >= 0 && sd_json_variant_is_array(all) && i < sd_json_variant_elements(all); i++)
		r = row_append(l, sd_json_variant_by_index(all, i), &list);
	if (r < 0 && !e) {
		err_set(&own, r, "list the images: %s", strerror(-r));
		e = &own;
	}
	(void)(r < 0 ? daemon_reply_error(l->link, r, e) : sd_varlink_replybo(l->link, SD_JSON_BUILD_PAIR_VARIANT("images", list)));
	sd_varlink_unref(l->link);
	free(l);
}

int image_list(struct request *q, struct err *e)
{
	struct listing *l = calloc(1, sizeof(*l));
	struct provider_stream s = { .method = "zos.Image.List", .ready = on_listed, .ctx = l };
	int r;

	BUG_ON(!l);
	*l = (struct listing){ .engine = q->s->engine, .link = sd_varlink_ref(q->link), .caller = q->order->caller };
	r = call(q, &s, e);
	if (r) {
		sd_varlink_unref(l->link);
		free(l);
	}
	return r;
}
