#include "node/view.h"

#include "base/log.h"
#include "base/parse.h"
#include "node/info.h"
#include "svc/daemon.h"

#include <stdio.h>
#include <sys/epoll.h>

enum { LEVEL_WARN = 4 };

static void arm(sd_event_source *source, uint64_t in_ms)
{
	sd_event_source_set_time_relative(source, in_ms * 1000);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void on_changed(void *ctx)
{
	struct view *v = ctx;

	if (v->n_watchers)
		arm(v->settle, VIEW_SETTLE_MS);
}

/* "12.345" in milliseconds. */
static int stamp_parse(struct str s, uint64_t *ret_ms)
{
	struct str seconds;
	uint64_t whole, part;

	str_next(&s, '.', &seconds);
	if (!s.p || s.n != 3 || parse_u64(seconds, UINT32_MAX, &whole) || parse_u64(s, 999, &part))
		return -EBADMSG;
	*ret_ms = whole * 1000 + part;
	return 0;
}

void view_note_add(struct view_note notes[static VIEW_NOTES], const char *service, struct str line)
{
	struct view_note new = { 0 };
	struct str stamp;
	size_t i = 0;

	if (line.n < 4 || line.p[0] != '<' || line.p[2] != '>' || line.p[1] > '0' + LEVEL_WARN)
		return;
	line = (struct str){ line.p + 3, line.n - 3 };
	if (!str_next(&line, ' ', &stamp) || !line.p || stamp_parse(stamp, &new.at_ms))
		return;
	if (str_starts(line, str_c(service)) && line.n > strlen(service) + 2 && line.p[strlen(service)] == ':')
		line = (struct str){ line.p + strlen(service) + 2, line.n - strlen(service) - 2 }; /* its room's name is its own */
	snprintf(new.service, sizeof(new.service), "%s", service);
	snprintf(new.text, sizeof(new.text), STR_FMT, STR_ARG(line));
	while (i < VIEW_NOTES && notes[i].at_ms > new.at_ms)
		i++;
	if (i == VIEW_NOTES)
		return;
	memmove(&notes[i + 1], &notes[i], (VIEW_NOTES - 1 - i) * sizeof(*notes));
	notes[i] = new;
}

static void log_read(struct view *v, const char *service, uint64_t *at)
{
	for (;;) {
		AUTO_BUF struct buf text = { 0 };
		struct str rest, line;

		if (supervisor_log(&v->supervisor, service, at, &text, NULL) || !text.len)
			return;
		for (rest = buf_str(&text); str_next(&rest, '\n', &line);)
			view_note_add(v->notes, service, line);
	}
}

static int on_logs(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct view *v = userdata;

	(void)usec;
	if (!v->n_watchers)
		return 0;
	for (size_t i = 0; i < v->n_services; i++)
		log_read(v, v->services[i].name, &v->services[i].log_at);
	on_changed(v);
	arm(source, VIEW_LOGS_MS);
	return 0;
}

/* Machines are told of as workloads. */
/* Whether it says anything new. */
static bool service_note(struct view *v, const struct supervisor_unit *u)
{
	size_t i = 0;
	bool is_new;

	if (strchr(u->name, '@'))
		return false;
	while (i < v->n_services && strcmp(v->services[i].name, u->name))
		i++;
	if (i == VIEW_SERVICES_MAX)
		return false;
	is_new = i == v->n_services || v->services[i].state != u->state;
	if (i == v->n_services)
		memcpy(v->services[v->n_services++].name, u->name, sizeof(u->name));
	v->services[i].state = u->state;
	return is_new;
}

static int units_follow(struct view *v, struct err *e);

static int on_units(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct view *v = userdata;
	struct supervisor_unit u;
	struct err e = { 0 };
	int r;

	(void)source;
	(void)events;
	while (!(r = supervisor_watch_read(fd, &u, &e)))
		if (service_note(v, &u))
			arm(v->logs, VIEW_SETTLE_MS);
	if (r != -EAGAIN && (r = units_follow(v, &e)) < 0)
		log_warn("the console will not see services: %s", e.msg);
	on_changed(v);
	return 0;
}

static void units_freep(struct supervisor_unit **u)
{
	free(*u);
}

/* Watches first and lists then, so that no change is missed. */
static int units_follow(struct view *v, struct err *e)
{
	CLEANUP(units_freep) struct supervisor_unit *all = calloc(VIEW_UNITS_MAX, sizeof(*all));
	AUTO_FD int fd = supervisor_watch(&v->supervisor, e);
	int n, r;

	BUG_ON(!all);
	source_unrefp(&v->units);
	if (fd < 0)
		return fd;
	if ((n = supervisor_list(&v->supervisor, all, VIEW_UNITS_MAX, e)) < 0)
		return n;
	for (int i = 0; i < n; i++)
		service_note(v, &all[i]);
	if ((r = sd_event_add_io(v->engine->event, &v->units, fd, EPOLLIN, on_units, v)) < 0)
		return err_set(e, r, "watch services: %s", strerror(-r));
	sd_event_source_set_io_fd_own(v->units, true);
	(void)take_fd(fd);
	return 0;
}

static int append(sd_json_variant **list, int built, sd_json_variant *one)
{
	return built < 0 ? built : sd_json_variant_append_array(list, one);
}

static int services_json(const struct view *v, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 1; r >= 0 && i < v->n_services; i++) { /* PID 1 itself is there for its log only */
		AUTO_JSON sd_json_variant *one = NULL;

		r = sd_json_buildo(&one, SD_JSON_BUILD_PAIR_STRING("name", v->services[i].name),
				   SD_JSON_BUILD_PAIR_STRING("state", supervisor_state_name(v->services[i].state)));
		r = append(ret, r, one);
	}
	return r;
}

static int notes_json(const struct view *v, sd_json_variant **ret)
{
	int r = sd_json_variant_new_array(ret, NULL, 0);

	for (size_t i = 0; r >= 0 && i < VIEW_NOTES && v->notes[i].at_ms; i++) {
		AUTO_JSON sd_json_variant *one = NULL;

		r = sd_json_buildo(&one, SD_JSON_BUILD_PAIR_STRING("service", v->notes[i].service),
				   SD_JSON_BUILD_PAIR_STRING("text", v->notes[i].text), SD_JSON_BUILD_PAIR_UNSIGNED("at", v->notes[i].at_ms));
		r = append(ret, r, one);
	}
	return r;
}

static int view_json(struct view *v, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *hubs = NULL, *services = NULL, *workloads = NULL, *notes = NULL, *diagnoses = NULL;
	const struct engine *n = v->engine;
	char node[KEY_TEXT_SIZE];
	int r;

	key_pub_format(node, &n->identity.pub);
	if ((r = line_hubs_json(v->line, &hubs)) < 0 || (r = services_json(v, &services)) < 0 || (r = engine_tally(n, &workloads)) < 0 ||
	    (r = notes_json(v, &notes)) < 0 || (r = sd_json_variant_new_array(&diagnoses, NULL, 0)) < 0 || (r = view_diagnose(v, &diagnoses)) < 0)
		return r;
	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("node", node), SD_JSON_BUILD_PAIR_STRING("version", ZOS_VERSION),
			      SD_JSON_BUILD_PAIR_STRING("flavour", info_flavour()), SD_JSON_BUILD_PAIR_STRING("farm", n->farm ? n->farm->name : ""),
			      SD_JSON_BUILD_PAIR_BOOLEAN("approved", n->approval != NULL),
			      SD_JSON_BUILD_PAIR_BOOLEAN("durable", store_is_durable(&n->store)), SD_JSON_BUILD_PAIR_VARIANT("hubs", hubs),
			      SD_JSON_BUILD_PAIR_UNSIGNED("cpu_milli", n->capacity.cpu_milli),
			      SD_JSON_BUILD_PAIR_UNSIGNED("cpu_milli_used", n->capacity.used_cpu_milli),
			      SD_JSON_BUILD_PAIR_UNSIGNED("memory", n->capacity.memory_bytes),
			      SD_JSON_BUILD_PAIR_UNSIGNED("memory_used", n->capacity.used_memory_bytes),
			      SD_JSON_BUILD_PAIR_VARIANT("services", services), SD_JSON_BUILD_PAIR_VARIANT("workloads", workloads),
			      SD_JSON_BUILD_PAIR_VARIANT("notes", notes), SD_JSON_BUILD_PAIR_VARIANT("diagnoses", diagnoses));
}

static int on_settle(sd_event_source *source, uint64_t usec, void *userdata)
{
	AUTO_JSON sd_json_variant *now = NULL;
	struct view *v = userdata;
	uint64_t later_ms = view_diagnose_in_ms(v);

	(void)usec;
	if (later_ms)
		arm(source, later_ms);
	if (view_json(v, &now) < 0 || sd_json_variant_equal(v->said, now))
		return 0;
	for (size_t i = 0; i < v->n_watchers; i++)
		(void)sd_varlink_notify(v->watchers[i], now); /* a link that is gone is reported by its own disconnect */
	json_unrefp(&v->said);
	v->said = take_ptr(now);
	return 0;
}

static int on_watch(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct view *v = userdata;
	struct err e = { 0 };

	(void)parameters;
	if (!(flags & SD_VARLINK_METHOD_MORE))
		return sd_varlink_error(link, SD_VARLINK_ERROR_EXPECTED_MORE, NULL);
	if (v->n_watchers == VIEW_WATCHERS_MAX) {
		err_set(&e, -EBUSY, "%d watchers are connected already", VIEW_WATCHERS_MAX);
		return daemon_reply_error(link, -EBUSY, &e);
	}
	if (!v->n_watchers) {
		if (units_follow(v, &e) < 0)
			log_warn("the console will not see services: %s", e.msg);
		arm(v->logs, 0);
	}
	v->watchers[v->n_watchers++] = sd_varlink_ref(link);
	json_unrefp(&v->said); /* all get the next one, the new one among them */
	on_changed(v);
	return 0;
}

static void on_disconnect(sd_varlink_server *server, sd_varlink *link, void *userdata)
{
	struct view *v = userdata;

	(void)server;
	for (size_t i = 0; i < v->n_watchers; i++)
		if (v->watchers[i] == link) {
			sd_varlink_unref(link);
			v->watchers[i] = v->watchers[--v->n_watchers];
		}
	if (!v->n_watchers)
		source_unrefp(&v->units);
}

int view_init(struct view *ret, struct engine *engine, struct line *line, const char *socket, struct err *e)
{
	int r;

	*ret = (struct view){ .engine = engine, .line = line, .supervisor = SUPERVISOR_DEFAULT };
	snprintf(ret->services[0].name, sizeof(ret->services[0].name), "init");
	ret->services[0].state = SUPERVISOR_UP;
	ret->n_services = 1;
	if ((r = sd_event_add_time(engine->event, &ret->settle, CLOCK_MONOTONIC, UINT64_MAX, 0, on_settle, ret)) < 0 ||
	    (r = sd_event_add_time(engine->event, &ret->logs, CLOCK_MONOTONIC, UINT64_MAX, 1000000, on_logs, ret)) < 0)
		return err_set(e, r, "serve the console: %s", strerror(-r));
	sd_event_source_set_enabled(ret->settle, SD_EVENT_OFF);
	sd_event_source_set_enabled(ret->logs, SD_EVENT_OFF);
	if ((r = daemon_listen(engine->event, socket, 0666, ret, &ret->server, e)))
		return r;
	if ((r = sd_varlink_server_bind_method(ret->server, "zos.Console.Watch", on_watch)) < 0 ||
	    (r = sd_varlink_server_bind_disconnect(ret->server, on_disconnect)) < 0)
		return err_set(e, r, "serve the console: %s", strerror(-r));
	engine->status_changed = on_changed;
	engine->status_ctx = ret;
	return 0;
}

void view_deinit(struct view *v)
{
	if (v->engine)
		v->engine->status_changed = NULL;
	if (v->server)
		sd_varlink_server_bind_disconnect(v->server, NULL);
	while (v->n_watchers)
		sd_varlink_unref(v->watchers[--v->n_watchers]);
	v->server = sd_varlink_server_unref(v->server);
	source_unrefp(&v->settle);
	source_unrefp(&v->logs);
	source_unrefp(&v->units);
	json_unrefp(&v->said);
	*v = (struct view){ 0 };
}
