#include "machine/machine.h"

#include "base/file.h"
#include "base/log.h"
#include "machine/layers.h"
#include "machine/spec.h"
#include "svc/daemon.h"
#include "sys/supervisor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { RESOLVERS_MAX = 4 };

enum phase { PHASE_IDLE, PHASE_REPLACING, PHASE_STARTING, PHASE_STOPPING };

struct attached { /* a machine that the engine knows */
	struct attached *next;
	struct machines *all;
	struct work *work; /* NULL = an orphan that is being stopped */
	char id[WORK_ID_LEN + 1];
	enum phase phase;
	sd_varlink *link; /* to its runner; NULL = not connected */
};

struct machines {
	struct provider provider;
	sd_event *event;
	struct machine_options o;
	struct supervisor supervisor;
	sd_event_source *units;
	int units_fd;
	struct attached *attached;
};

static struct machines *machines_of(struct provider *p)
{
	return container_of(p, struct machines, provider);
}

static void unit_name(const char *id, char ret[static SUPERVISOR_NAME_MAX])
{
	snprintf(ret, SUPERVISOR_NAME_MAX, "machine@%s", id);
}

static struct attached *attached_find(struct machines *m, const char *id)
{
	for (struct attached *a = m->attached; a; a = a->next)
		if (!strcmp(a->id, id))
			return a;
	return NULL;
}

static struct attached *attached_get(struct machines *m, const char *id)
{
	struct attached *a = attached_find(m, id);

	if (a)
		return a;
	a = calloc(1, sizeof(*a));
	BUG_ON(!a);
	a->all = m;
	snprintf(a->id, sizeof(a->id), "%s", id);
	a->next = m->attached;
	m->attached = a;
	return a;
}

static void attached_free(struct machines *m, struct attached *a)
{
	struct attached **at = &m->attached;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	link_closep(&a->link);
	free(a);
}

static void done(struct attached *a, int r, const struct err *e)
{
	struct provider *p = &a->all->provider;

	a->phase = PHASE_IDLE;
	if (a->work)
		p->done(p->engine, a->work, r, e);
	else if (r < 0)
		log_warn("remove what is left of %s: %s", a->id, e->msg);
}

static int on_state(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct attached *a = userdata;
	struct provider *p = &a->all->provider;
	sd_json_variant *state = sd_json_variant_by_key(v, "state"), *exit = sd_json_variant_by_key(v, "exit");
	sd_json_variant *message = sd_json_variant_by_key(v, "message"), *restarts = sd_json_variant_by_key(v, "restarts");
	sd_json_variant *health = sd_json_variant_by_key(v, "health");

	(void)link;
	if (error_id || !(flags & SD_VARLINK_REPLY_CONTINUES)) { /* the runner is gone; PID 1 tells when it is back */
		if (a->link)
			a->link = sd_varlink_unref(a->link);
		return 0;
	}
	if (!a->work || !sd_json_variant_is_string(state) || !sd_json_variant_is_string(message))
		return 0;
	snprintf(a->work->machine.state, sizeof(a->work->machine.state), "%s", sd_json_variant_string(state));
	snprintf(a->work->machine.message, sizeof(a->work->machine.message), "%s", sd_json_variant_string(message));
	snprintf(a->work->machine.health, sizeof(a->work->machine.health), "%s",
		 sd_json_variant_is_string(health) ? sd_json_variant_string(health) : "");
	a->work->machine.restarts = sd_json_variant_unsigned(restarts);
	a->work->machine.exit = sd_json_variant_integer(exit);
	p->changed(p->engine, a->work);
	return 0;
}

static void runner_path(const struct machines *m, const char *id, const char *file, char ret[static 160])
{
	snprintf(ret, 160, "%s/%s%s%s", m->o.dir, id, file[0] ? "/" : "", file);
}

static int runner_watch(struct attached *a, struct err *e)
{
	char path[160];
	int r;

	link_closep(&a->link);
	runner_path(a->all, a->id, "sock", path);
	if ((r = daemon_connect(a->all->event, path, a, on_state, &a->link, e)))
		return r;
	if ((r = sd_varlink_observe(a->link, "zos.Runner.Watch", NULL)) < 0)
		return err_set(e, r, "watch the runner: %s", strerror(-r));
	return 0;
}

static int hold_write(struct attached *a, struct err *e)
{
	char path[160];

	runner_path(a->all, a->id, "hold", path);
	return file_keep(AT_FDCWD, path, str_c(work_hold_names[work_hold_now(a->work)]), 0600, e);
}

static int on_held(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	(void)v;
	(void)flags;
	(void)userdata;
	if (error_id)
		log_warn("tell a runner what its owner wishes: %s", error_id);
	sd_varlink_close_unref(link);
	return 0;
}

/* A runner that is not there reads the file when it comes. */
static int hold_tell(struct attached *a, struct err *e)
{
	sd_varlink *link = NULL;
	char path[160];
	int r = hold_write(a, e);

	if (r)
		return r;
	runner_path(a->all, a->id, "sock", path);
	if (daemon_connect(a->all->event, path, NULL, on_held, &link, NULL))
		return 0;
	if ((r = sd_varlink_invokebo(link, "zos.Runner.Hold", SD_JSON_BUILD_PAIR_STRING("hold", work_hold_names[work_hold_now(a->work)]))) < 0) {
		link_closep(&link);
		return err_set(e, r, "tell the machine's runner: %s", strerror(-r));
	}
	return 0;
}

static int machine_hold(struct provider *p, struct work *w, struct err *e)
{
	struct attached *a = attached_find(machines_of(p), w->id);

	return a && a->work ? hold_tell(a, e) : 0;
}

static int resolvers_read(const struct machines *m, sd_json_variant **ret)
{
	AUTO_BUF struct buf text = { 0 };
	struct str rest, line, word;
	int r = sd_json_variant_new_array(ret, NULL, 0);

	if (r < 0 || file_read(AT_FDCWD, m->o.resolv_conf, 65536, &text, NULL))
		return r; /* no lease yet: a machine without names is better than none */
	for (rest = buf_str(&text); r >= 0 && str_next(&rest, '\n', &line);) {
		AUTO_JSON sd_json_variant *one = NULL;
		char address[16];
		struct in_addr in;

		if (!str_next(&line, ' ', &word) || !str_eq(word, S("nameserver")) || !line.p || line.n >= sizeof(address) ||
		    sd_json_variant_elements(*ret) >= RESOLVERS_MAX)
			continue;
		snprintf(address, sizeof(address), STR_FMT, STR_ARG(line));
		if (inet_pton(AF_INET, address, &in) != 1)
			continue;
		r = sd_json_variant_new_string(&one, address);
		if (r >= 0)
			r = sd_json_variant_append_array(ret, one);
	}
	return r;
}

static int clean(struct machines *m, const char *id, struct err *e)
{
	char path[160];

	int r = layers_release(id, e);

	runner_path(m, id, "", path);
	return r ? r : tree_remove(AT_FDCWD, path, e);
}

static int start(struct attached *a, struct err *e)
{
	struct machines *m = a->all;
	AUTO_JSON sd_json_variant *resolvers = NULL;
	AUTO_BUF struct buf spec = { 0 };
	char path[160], unit[SUPERVISOR_NAME_MAX];
	int r;

	if (resolvers_read(m, &resolvers) < 0)
		return err_set(e, -ENOMEM, "describe the machine: out of memory");
	unit_name(a->id, unit);
	runner_path(m, a->id, "", path);
	if ((r = machine_spec_build(a->work, resolvers, &spec, e)) || (r = dir_make(path, 0711, e)))
		return r;
	runner_path(m, a->id, "restarts", path);
	if (unlink(path) && errno != ENOENT)
		return err_set(e, -errno, "remove %s: %m", path);
	runner_path(m, a->id, "spec.json", path);
	if ((r = file_keep(AT_FDCWD, path, buf_str(&spec), 0600, e)) || (r = hold_write(a, e)))
		return r;
	a->phase = PHASE_STARTING;
	r = supervisor_start(&m->supervisor, unit, e);
	if (r)
		a->phase = PHASE_IDLE;
	return r ? r : PROVIDER_BUSY;
}

/* Whether the runner that is there was told the same. What the DHCP lease adds (resolvers) is not worth a restart. */
static bool is_same(struct attached *a)
{
	AUTO_BUF struct buf text = { 0 };
	struct machine_spec s;
	char path[160];
	bool same;

	runner_path(a->all, a->id, "spec.json", path);
	if (file_read(AT_FDCWD, path, SPEC_SIZE_MAX, &text, NULL))
		return false;
	same = !machine_spec_read(&s, buf_str(&text), NULL) && !strcmp(s.revision, a->work->revision) && s.index == a->work->network.index &&
	       (s.zdb.path || sd_json_variant_equal(s.layers, a->work->image.layers));
	machine_spec_deinit(&s);
	return same;
}

static int machine_apply(struct provider *p, struct work *w, struct err *e)
{
	struct machines *m = machines_of(p);
	struct attached *a = attached_get(m, w->id);
	struct supervisor_unit unit;
	char name[SUPERVISOR_NAME_MAX];
	int r;

	a->work = w;
	unit_name(w->id, name);
	r = supervisor_find(&m->supervisor, name, &unit, e);
	if (r < 0)
		return r;
	if (r == SUPERVISOR_UNKNOWN || unit.state == SUPERVISOR_DOWN || unit.state == SUPERVISOR_DONE)
		return start(a, e);
	if (is_same(a)) {
		if (unit.state == SUPERVISOR_UP)
			return (r = runner_watch(a, e)) ? r : hold_tell(a, e);
		a->phase = PHASE_STARTING;
		return PROVIDER_BUSY;
	}
	a->phase = PHASE_REPLACING;
	if ((r = supervisor_stop(&m->supervisor, name, e)) < 0)
		return r;
	return PROVIDER_BUSY;
}

/* W: whom to tell when it is down, or NULL. */
static int stop(struct machines *m, const char *id, struct work *w, struct err *e)
{
	struct attached *a = attached_find(m, id);
	struct supervisor_unit unit;
	char name[SUPERVISOR_NAME_MAX];
	int r;

	unit_name(id, name);
	if ((r = supervisor_find(&m->supervisor, name, &unit, e)) < 0)
		return r;
	if (r == SUPERVISOR_UNKNOWN || unit.state == SUPERVISOR_DOWN || unit.state == SUPERVISOR_DONE) {
		if ((r = clean(m, id, e)))
			return r;
		if (a)
			attached_free(m, a);
		return 0;
	}
	a = attached_get(m, id);
	a->work = w;
	a->phase = PHASE_STOPPING;
	return (r = supervisor_stop(&m->supervisor, name, e)) < 0 ? r : PROVIDER_BUSY;
}

static int machine_remove(struct provider *p, struct work *w, struct err *e)
{
	return stop(machines_of(p), w->id, w, e);
}

static int take_down(struct provider *p, const char *id, struct err *e)
{
	return stop(machines_of(p), id, NULL, e);
}

static void gone(struct machines *m, struct attached *a)
{
	struct err e = { 0 };
	int r;

	switch (a->phase) {
	case PHASE_STOPPING:
		r = clean(m, a->id, &e);
		done(a, r, &e);
		attached_free(m, a);
		break;
	case PHASE_REPLACING:
		r = start(a, &e);
		if (r != PROVIDER_BUSY)
			done(a, r, &e);
		break;
	case PHASE_STARTING:
		err_set(&e, -EIO, "the machine's runner ended before it was ready");
		done(a, -EIO, &e);
		break;
	case PHASE_IDLE:
		break;
	}
}

static void unit_changed(struct machines *m, const struct supervisor_unit *u)
{
	struct attached *a;
	struct err e = { 0 };
	int r;

	if (strncmp(u->name, "machine@", 8) || !(a = attached_find(m, u->name + 8)))
		return;
	switch (u->state) {
	case SUPERVISOR_UP:
		if (!a->work || a->phase == PHASE_STOPPING || a->phase == PHASE_REPLACING)
			return;
		r = runner_watch(a, &e);
		if (a->phase == PHASE_STARTING)
			done(a, r, &e);
		else if (r)
			log_warn("%s: %s", a->id, e.msg);
		return;
	case SUPERVISOR_BACKOFF:
		if (!a->work)
			return;
		snprintf(a->work->machine.state, sizeof(a->work->machine.state), "backoff");
		snprintf(a->work->machine.message, sizeof(a->work->machine.message), "its runner failed: %.150s", u->text);
		m->provider.changed(m->provider.engine, a->work);
		if (a->phase == PHASE_STARTING) { /* it may fail for ever: whoever waits has other wishes by then */
			err_set(&e, -EIO, "%s", a->work->machine.message);
			done(a, -EIO, &e);
		}
		return;
	case SUPERVISOR_DOWN:
	case SUPERVISOR_DONE:
		gone(m, a);
		return;
	default:
		return;
	}
}

static int on_units(sd_event_source *source, int fd, uint32_t events, void *userdata);

static int units_watch(struct machines *m, struct err *e)
{
	int r;

	m->units_fd = supervisor_watch(&m->supervisor, e);
	if (m->units_fd < 0)
		return m->units_fd;
	r = sd_event_add_io(m->event, &m->units, m->units_fd, EPOLLIN, on_units, m);
	return r < 0 ? err_set(e, r, "watch the supervisor: %s", strerror(-r)) : 0;
}

static int on_units(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct machines *m = userdata;
	struct supervisor_unit u;
	struct err e = { 0 };
	int r;

	(void)source;
	(void)events;
	while (!(r = supervisor_watch_read(fd, &u, &e)))
		unit_changed(m, &u);
	if (r == -EAGAIN)
		return 0;
	log_warn("the line to the supervisor broke: %s", e.msg);
	sd_event_source_disable_unref(take_ptr(m->units));
	fd_close(&m->units_fd);
	return units_watch(m, &e);
}

/* One call to a runner, on a link of its own. */
struct asking {
	struct provider_stream s;
	sd_varlink *link;
};

static int on_answer(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct asking *l = userdata;
	struct err e = { 0 };
	int r = 0, fd = -1;

	(void)flags;
	if (error_id)
		r = daemon_error_of(error_id, v, &e);
	else if ((fd = sd_varlink_take_fd(link, 0)) < 0)
		fd = -1; /* an answer without one */
	l->s.ready(l->s.ctx, fd, v, r, &e);
	sd_varlink_close_unref(l->link);
	free(l);
	return 0;
}

static int machine_stream(struct provider *p, struct work *w, const struct provider_stream *s, struct err *e)
{
	struct machines *m = machines_of(p);
	struct asking *l = calloc(1, sizeof(*l));
	char path[160];
	int r;

	BUG_ON(!l || s->kind != PROVIDER_RUNNER);
	l->s = *s;
	runner_path(m, w->id, "sock", path);
	r = daemon_connect(m->event, path, l, on_answer, &l->link, e);
	l->s.parameters = NULL;
	if (!r && (r = sd_varlink_invoke(l->link, s->method, s->parameters)) < 0)
		err_set(e, r, "ask the machine's runner: %s", strerror(-r));
	if (r >= 0)
		return 0;
	link_closep(&l->link);
	free(l);
	return r;
}

/* A runner's folder is there before it and goes after it. */
static void machine_sweep(struct provider *p, bool (*is_wanted)(void *engine, const char *id))
{
	provider_sweep(p, machines_of(p)->o.dir, is_wanted, take_down);
}

static const struct provider_ops machine_ops = {
	.apply = machine_apply,
	.remove = machine_remove,
	.stream = machine_stream,
	.hold = machine_hold,
	.sweep = machine_sweep,
};

int machine_provider_new(sd_event *event, const struct machine_options *o, struct provider **ret, struct err *e)
{
	struct machines *m = calloc(1, sizeof(*m));
	int r;

	BUG_ON(!m);
	*m = (struct machines){ .provider = { .name = "machine", .ops = &machine_ops }, .o = *o, .supervisor = SUPERVISOR_DEFAULT, .units_fd = -1 };
	m->event = sd_event_ref(event);
	if ((r = dir_make(o->dir, 0711, e)) || (r = units_watch(m, e))) {
		machine_provider_free(&m->provider);
		return r;
	}
	*ret = &m->provider;
	return 0;
}

void machine_provider_free(struct provider *p)
{
	struct machines *m = machines_of(p);

	while (m->attached)
		attached_free(m, m->attached);
	sd_event_source_disable_unref(m->units);
	fd_close(&m->units_fd);
	sd_event_unref(m->event);
	free(m);
}
