#include "image/image.h"

#include "base/log.h"
#include "svc/daemon.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

struct images {
	struct provider provider;
	sd_event *event;
	struct image_options o;
	sd_json_variant *registries; /* [{host, ca}] of the farm */
	bool (*is_wanted)(void *engine, const char *id);
};

struct pull { /* one under way */
	struct images *all;
	struct work *work;
	sd_varlink *link;
};

static struct images *images_of(struct provider *p)
{
	return container_of(p, struct images, provider);
}

struct pull_reply {
	const char *digest, *what;
	sd_json_variant *config, *layers;
	uint64_t done, total;
};
static const struct json_field progress_fields[] = {
	{ "what", JSON_TEXT, offsetof(struct pull_reply, what), .required = true, .max = 40 },
	{ "done", JSON_U64, offsetof(struct pull_reply, done), .required = true },
	{ "total", JSON_U64, offsetof(struct pull_reply, total), .required = true },
};
const struct json_table image_progress_table = { progress_fields, ARRAY_LEN(progress_fields), sizeof(struct pull_reply), NULL };
static const struct json_field image_fields[] = {
	{ "digest", JSON_TEXT, offsetof(struct pull_reply, digest), .required = true, .min = 71, .max = 71 },
	{ "config", JSON_ANY, offsetof(struct pull_reply, config), .required = true },
	{ "layers", JSON_TEXTS, offsetof(struct pull_reply, layers), .required = true, .max = WORK_LAYERS_MAX },
};
const struct json_table image_answer_table = { image_fields, ARRAY_LEN(image_fields), sizeof(struct pull_reply), NULL };

static void progress_set(struct work *w, const struct pull_reply *p)
{
	static const char *const known[] = { "resolving", "pulling", "converting" };

	w->progress.what = "preparing";
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!strcmp(known[i], p->what))
			w->progress.what = known[i];
	w->progress.done = p->done;
	w->progress.total = p->total;
}

static int result_take(struct work *w, sd_json_variant *v, struct err *e)
{
	struct pull_reply p = { 0 };
	int r = json_decode(v, &image_answer_table, &p, e);

	if (r)
		return err_wrap(e, r, "imaged's answer");
	work_image_clear(w);
	snprintf(w->image.digest, sizeof(w->image.digest), "%s", p.digest);
	w->image.config = sd_json_variant_ref(p.config);
	w->image.layers = sd_json_variant_ref(p.layers);
	return 0;
}

static int on_reply(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct pull *q = userdata;
	struct provider *p = &q->all->provider;
	struct work *w = q->work;
	struct pull_reply step = { 0 };
	struct err e = { 0 };
	int r;

	(void)link;
	if (!error_id && (flags & SD_VARLINK_REPLY_CONTINUES)) {
		if (!json_decode(v, &image_progress_table, &step, &e)) {
			progress_set(w, &step);
			p->changed(p->engine, w);
		}
		return 0;
	}
	r = error_id ? daemon_error_of(error_id, v, &e) : result_take(w, v, &e);
	link_closep(&q->link);
	free(q);
	p->done(p->engine, w, r, &e);
	return 0;
}

/* A file in memory with VALUE, for the one that it is handed to. */
static int value_file(const char *value, struct err *e)
{
	AUTO_FD int fd = memfd_create("secret", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t n = strlen(value);

	if (fd < 0 || write(fd, value, n) != (ssize_t)n || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL))
		return err_set(e, -errno, "hand a secret on: %m");
	return take_fd(fd);
}

/* Puts the secret of W's `pull` onto LINK: its number there, or an error. */
static int login_push(sd_varlink *link, const struct work *w, struct err *e)
{
	const char *value = sd_json_variant_string(sd_json_variant_by_key(w->secrets, w->spec.pull.secret));
	int fd = value_file(value, e), r;

	if (fd < 0)
		return fd;
	if ((r = sd_varlink_set_allow_fd_passing_output(link, true)) < 0 || (r = sd_varlink_push_fd(link, fd)) < 0) {
		close(fd);
		return err_set(e, r, "hand a secret on: %s", strerror(-r));
	}
	return r;
}

static int ask(struct images *i, sd_varlink *link, const struct work *w, struct err *e)
{
	const char *user = w->spec.pull.user;
	char owner[KEY_TEXT_SIZE];
	int password = 0, r;

	key_pub_format(owner, &w->owner);
	if (user && (password = login_push(link, w, e)) < 0)
		return password;
	r = sd_varlink_observebo(
		link, "zos.Image.Pull", SD_JSON_BUILD_PAIR_STRING("reference", w->spec.image),
		SD_JSON_BUILD_PAIR_STRING("digest", w->image.look_up ? "" : w->image.digest), SD_JSON_BUILD_PAIR_STRING("holder", w->id),
		SD_JSON_BUILD_PAIR_CONDITION(user != NULL, "user", SD_JSON_BUILD_STRING(user)), SD_JSON_BUILD_PAIR_STRING("owner", owner),
		SD_JSON_BUILD_PAIR_CONDITION(user != NULL, "password", SD_JSON_BUILD_INTEGER(password)),
		SD_JSON_BUILD_PAIR_VARIANT("registries", i->registries));
	return r < 0 ? err_set(e, r, "ask imaged: %s", strerror(-r)) : 0;
}

static int image_apply(struct provider *p, struct work *w, struct err *e)
{
	struct images *i = images_of(p);
	struct pull *q = calloc(1, sizeof(*q));
	int r;

	BUG_ON(!q);
	*q = (struct pull){ .all = i, .work = w };
	r = daemon_connect(i->event, i->o.socket, q, on_reply, &q->link, e);
	if (!r && !(r = ask(i, q->link, w, e)))
		return PROVIDER_BUSY;
	link_closep(&q->link);
	free(q);
	return r;
}

static int on_released(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct err e = { 0 };

	(void)flags;
	(void)userdata;
	if (error_id && daemon_error_of(error_id, v, &e))
		log_limited("give an image back: %s", e.msg);
	link_closep(&link);
	return 0;
}

/* Lets imaged drop what ID needed when it wants the room. Nothing depends on the answer; the next sweep repairs what got lost. */
static void release(struct images *i, const char *id)
{
	sd_varlink *link = NULL;
	struct err e = { 0 };
	int r = daemon_connect(i->event, i->o.socket, NULL, on_released, &link, &e);

	if (!r && (r = sd_varlink_invokebo(link, "zos.Image.Release", SD_JSON_BUILD_PAIR_STRING("holder", id))) < 0)
		err_set(&e, r, "ask imaged: %s", strerror(-r));
	if (r >= 0)
		return;
	log_limited("give an image back: %s", e.msg);
	link_closep(&link);
}

static int image_remove(struct provider *p, struct work *w, struct err *e)
{
	(void)e;
	release(images_of(p), w->id);
	work_image_clear(w); /* the files stay in the cache until their room is needed */
	return 0;
}

static int on_holders(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct images *i = userdata;
	sd_json_variant *all = error_id ? NULL : sd_json_variant_by_key(v, "holders");

	(void)flags;
	for (size_t k = 0; sd_json_variant_is_array(all) && k < sd_json_variant_elements(all); k++) {
		sd_json_variant *one = sd_json_variant_by_index(all, k);

		if (sd_json_variant_is_string(one) && !i->is_wanted(i->provider.engine, sd_json_variant_string(one)))
			release(i, sd_json_variant_string(one));
	}
	link_closep(&link);
	return 0;
}

static void image_sweep(struct provider *p, bool (*is_wanted)(void *engine, const char *id))
{
	struct images *i = images_of(p);
	sd_varlink *link = NULL;
	struct err e = { 0 };
	int r;

	i->is_wanted = is_wanted;
	r = daemon_connect(i->event, i->o.socket, i, on_holders, &link, &e);
	if (!r && (r = sd_varlink_invoke(link, "zos.Image.Holders", NULL)) < 0)
		err_set(&e, r, "ask imaged: %s", strerror(-r));
	if (r >= 0)
		return;
	log_warn("see which images are kept for nobody: %s", e.msg);
	link_closep(&link);
}

static void image_configure(struct provider *p, const struct key_pub *node, const struct farm *farm)
{
	struct images *i = images_of(p);
	int r;

	(void)node;
	json_unrefp(&i->registries);
	r = sd_json_variant_new_array(&i->registries, NULL, 0);
	for (size_t k = 0; r >= 0 && farm && k < farm->n_registries; k++) {
		AUTO_JSON sd_json_variant *one = NULL;

		r = sd_json_buildo(&one, SD_JSON_BUILD_PAIR_STRING("host", farm->registries[k].host),
				   SD_JSON_BUILD_PAIR_STRING("ca", farm->registries[k].ca ? farm->registries[k].ca : ""),
				   SD_JSON_BUILD_PAIR_BOOLEAN("plain", farm->registries[k].plain));
		if (r >= 0)
			r = sd_json_variant_append_array(&i->registries, one);
	}
	BUG_ON(r < 0);
}

/* A call of the engine's on its way. */
struct asking {
	struct provider_stream s;
	sd_varlink *link;
	int fd; /* our end of a stream; -1 = none */
};

static void asking_free(struct asking *a)
{
	link_closep(&a->link);
	fd_close(&a->fd);
	free(a);
}

static int on_asked(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct asking *a = userdata;
	struct err e = { 0 };
	int r = error_id ? daemon_error_of(error_id, v, &e) : 0;

	(void)link;
	(void)flags;
	a->s.ready(a->s.ctx, r ? -1 : take_fd(a->fd), v, r, &e);
	asking_free(a);
	return 0;
}

/* Gives the daemon one end of a pair. */
static int pair_push(struct asking *a, struct err *e)
{
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return err_set(e, -errno, "make a stream: %m");
	a->fd = fds[0];
	if ((r = sd_varlink_set_allow_fd_passing_output(a->link, true)) >= 0 && (r = sd_varlink_push_fd(a->link, fds[1])) >= 0)
		return 0;
	close(fds[1]);
	return err_set(e, r, "make a stream: %s", strerror(-r));
}

static int image_stream(struct provider *p, struct work *w, const struct provider_stream *s, struct err *e)
{
	struct images *i = images_of(p);
	struct asking *a = calloc(1, sizeof(*a));
	int r;

	(void)w;
	BUG_ON(!a);
	*a = (struct asking){ .s = *s, .fd = -1 };
	r = daemon_connect(i->event, i->o.socket, a, on_asked, &a->link, e);
	if (!r && s->has_stream)
		r = pair_push(a, e);
	if (!r && (r = sd_varlink_invoke(a->link, s->method, s->parameters)) < 0)
		err_set(e, r, "ask imaged: %s", strerror(-r));
	if (r >= 0)
		return 0;
	asking_free(a);
	return r;
}

static const struct provider_ops image_ops = {
	.apply = image_apply,
	.remove = image_remove,
	.configure = image_configure,
	.sweep = image_sweep,
	.stream = image_stream,
};

int image_provider_new(sd_event *event, const struct image_options *o, struct provider **ret, struct err *e)
{
	struct images *i = calloc(1, sizeof(*i));

	(void)e;
	BUG_ON(!i);
	*i = (struct images){ .provider = { .name = "image", .ops = &image_ops }, .o = *o, .event = sd_event_ref(event) };
	image_configure(&i->provider, NULL, NULL);
	*ret = &i->provider;
	return 0;
}

void image_provider_free(struct provider *p)
{
	struct images *i = images_of(p);

	json_unrefp(&i->registries);
	sd_event_unref(i->event);
	free(i);
}
