#include "image/imaged.h"

#include "api/doc.h"
#include "base/log.h"
#include "base/parse.h"
#include "svc/hangup.h"
#include "image/image.h"
#include "image/pull.h"
#include "image/registry.h"
#include "sys/sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>

/* A pull that takes so long in all is a slow registry's hold on us. */
#define PULL_US (3600ull * 1000000)
#define ACCURACY_US 1000000

enum { HOLDER_MAX = 36 };

struct client {
	sd_varlink *link;
	char holder[HOLDER_MAX + 1]; /* for whom the image is kept; "" = nobody */
};

struct pull {
	struct imaged *all;
	struct pull *next;
	struct reference reference;
	char scope[CACHE_SCOPE_LEN + 1], digest[DIGEST_LEN + 1];
	char *ca, *user, *owner; /* owned; "" = none */
	bool is_plain; /* over HTTP: the farm allows it for this registry */
	int password; /* a file that holds it and that only the pull reads: the daemon never has it in its memory. -1 = as anybody */
	int archive;  /* of a push: the image comes here, and lines go back. -1 = a pull */
	struct client clients[IMAGED_CLIENTS_MAX];
	size_t n_clients;
	int slot; /* -1 = waits for one */
	pid_t pid;
	int pipe;
	sd_event_source *child, *lines, *timer;
	uint64_t end_us; /* when it has taken too long */
	time_t began_s;
	struct pull_line last;
	char line[PULL_LINE_MAX];
	size_t n_line;
};

static void pull_free(struct pull *p)
{
	for (size_t i = 0; i < p->n_clients; i++)
		sd_varlink_unref(p->clients[i].link);
	source_unrefp(&p->child);
	source_unrefp(&p->lines);
	source_unrefp(&p->timer);
	fd_close(&p->pipe);
	fd_close(&p->password);
	fd_close(&p->archive);
	free(p->ca);
	free(p->user);
	free(p->owner);
	free(p);
}

static void pull_remove(struct pull *p)
{
	struct imaged *d = p->all;
	struct pull **at = &d->pulls;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	if (p->slot >= 0)
		d->slots &= ~(1u << p->slot);
	pull_free(p);
}

/* The answer from the cache. -ENOENT when the image is not there as a whole. */
static int answer_build(struct imaged *d, const char *scope, const char *digest, sd_json_variant **ret, struct err *e)
{
	CLEANUP(cache_record_deinit) struct cache_record it = { 0 };
	AUTO_JSON sd_json_variant *layers = NULL;
	int r = cache_record_use(&d->cache, scope, digest, &it, e);

	if (r)
		return r;
	for (size_t i = 0; i < sd_json_variant_elements(it.layers) && r >= 0; i++) {
		char path[CACHE_PATH_MAX];

		cache_layer_path(&d->cache, scope, sd_json_variant_string(sd_json_variant_by_index(it.layers, i)), path);
		r = sd_json_variant_append_arrayb(&layers, SD_JSON_BUILD_STRING(path));
	}
	if (r >= 0)
		r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("digest", digest), SD_JSON_BUILD_PAIR_VARIANT("config", it.config),
				   SD_JSON_BUILD_PAIR_VARIANT("layers", layers));
	return r < 0 ? err_set(e, r, "build the answer: %s", strerror(-r)) : 0;
}

/* Notes who keeps the image, before anybody is told that it is there. */
static int hold(struct imaged *d, const char *holder, const char *scope, const char *digest, struct err *e)
{
	return holder[0] ? cache_hold(&d->cache, holder, scope, digest, e) : 0;
}

static void client_answer(struct pull *p, const struct client *c, int r, struct err *e, sd_json_variant *v)
{
	if (!r)
		r = hold(p->all, c->holder, p->scope, p->last.digest, e);
	(void)(r ? daemon_reply_error(c->link, r, e) : sd_varlink_reply(c->link, v));
}

/* The lines of pull.h are what the other end of a push hears. One that does not read loses progress, and then the end. */
static void push_tell(struct pull *p, const char *line)
{
	size_t n = strlen(line);

	if (p->archive >= 0 && send(p->archive, line, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n)
		log_debug("nobody hears how a push goes: %m");
}

static void push_answer(struct pull *p, int r, const struct err *e)
{
	char line[PULL_LINE_MAX];

	if (r)
		snprintf(line, sizeof(line), "failed %d %s\n", -r, e->msg);
	else
		snprintf(line, sizeof(line), "done %s\n", p->last.digest);
	push_tell(p, line);
	hangup_begin(p->all->event, take_fd(p->archive));
}

static void pull_answer(struct pull *p, int r, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;

	if (p->archive >= 0) {
		push_answer(p, r, e);
		return;
	}
	if (!r)
		r = answer_build(p->all, p->scope, p->last.digest, &v, e);
	for (size_t i = 0; i < p->n_clients; i++)
		client_answer(p, &p->clients[i], r, e, v);
}

static int progress_send(sd_varlink *link, const struct pull_line *l)
{
	return sd_varlink_notifybo(link, SD_JSON_BUILD_PAIR_STRING("what", pull_whats[l->what]), SD_JSON_BUILD_PAIR_UNSIGNED("done", l->done),
				   SD_JSON_BUILD_PAIR_UNSIGNED("total", l->total));
}

static uint64_t stall_us(const struct imaged *d)
{
	return d->o.stall_s * 1000000ull;
}

static void timer_move(struct pull *p)
{
	uint64_t now, due;

	sd_event_now(p->all->event, CLOCK_MONOTONIC, &now);
	due = now + stall_us(p->all);
	sd_event_source_set_time(p->timer, due < p->end_us ? due : p->end_us);
}

static void line_take(struct pull *p, struct str line)
{
	struct pull_line l;

	if (pull_line_decode(line, &l)) {
		log_limited("a pull says something that cannot be read");
		return;
	}
	timer_move(p);
	if (l.kind == PULL_USES) {
		cache_layer_use(&p->all->cache, p->scope, l.digest + strlen("sha256:"));
		return;
	}
	p->last = l;
	if (l.kind == PULL_PROGRESS && p->archive >= 0) {
		char text[PULL_LINE_MAX];

		snprintf(text, sizeof(text), STR_FMT "\n", STR_ARG(line));
		push_tell(p, text);
	}
	for (size_t i = 0; l.kind == PULL_PROGRESS && i < p->n_clients; i++)
		(void)progress_send(p->clients[i].link, &l); /* a link that is gone is reported by its own disconnect */
}

/* Reads what the child has written so far. */
static void lines_read(struct pull *p)
{
	ssize_t n;

	while ((n = read(p->pipe, p->line + p->n_line, sizeof(p->line) - p->n_line)) > 0) {
		struct str rest, line;

		p->n_line += (size_t)n;
		rest = (struct str){ p->line, p->n_line };
		while (rest.n && memchr(rest.p, '\n', rest.n) && str_next(&rest, '\n', &line))
			line_take(p, line);
		memmove(p->line, rest.p ? rest.p : p->line, rest.n);
		p->n_line = rest.n == sizeof(p->line) ? 0 : rest.n; /* a line that long is none of ours */
	}
}

static int on_lines(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	struct pull *p = userdata;

	(void)fd;
	lines_read(p);
	if (events & (EPOLLHUP | EPOLLERR))
		sd_event_source_set_enabled(s, SD_EVENT_OFF);
	return 0;
}

/* What was used since then may be part of what a running pull puts together. */
static time_t since_oldest(const struct imaged *d, time_t since_s)
{
	for (struct pull *p = d->pulls; p; p = p->next)
		if (p->slot >= 0 && p->began_s < since_s)
			since_s = p->began_s;
	return since_s;
}

static void room_make(struct imaged *d)
{
	struct err e = { 0 };
	int n = cache_evict(&d->cache, d->o.limit_bytes, since_oldest(d, time(NULL) - 60), &e);

	if (n < 0)
		log_limited("make room in the cache: %s", e.msg);
	else if (n)
		log_info("made room in the cache files=%d", n);
}

static void pulls_start(struct imaged *d);

static void pull_kill(struct pull *p)
{
	if (p->pid > 0)
		kill(-p->pid, SIGKILL); /* mkfs.erofs is in its group, which no part of it can leave */
}

/* The child has ended: what it said last is the result. What it had finished is kept in any case. */
static int on_child(sd_event_source *s, const siginfo_t *si, void *userdata)
{
	struct pull *p = userdata;
	struct imaged *d = p->all;
	struct err e = { 0 }, of_slot = { 0 };
	int r, q;

	(void)s;
	pull_kill(p); /* before its slot is looked at: whoever is left of it must not change what is there */
	lines_read(p);
	if (p->last.kind == PULL_FAILED)
		e = p->last.err;
	else if (p->last.kind != PULL_DONE)
		err_set(&e, -EIO, "pull %s/%s: the process that pulls ended with %s %d: it is tried again", p->reference.host,
			p->reference.repository, si->si_code == CLD_EXITED ? "status" : "signal", si->si_status);
	r = e.code;
	q = cache_slot_take(&d->cache, (unsigned)p->slot, p->scope, r ? NULL : p->last.digest, &of_slot);
	if (!r && (r = q))
		e = of_slot;
	if (r && (p->n_clients || p->archive >= 0))
		log_limited("%s", e.msg);
	else if (!r)
		log_info("%s %s/%s digest=%s", p->archive < 0 ? "pulled" : "took", p->reference.host, p->reference.repository, p->last.digest);
	pull_answer(p, r, &e);
	pull_remove(p);
	if (!r)
		room_make(d);
	pulls_start(d);
	return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct pull *p = userdata;

	(void)s;
	p->last = (struct pull_line){ .kind = PULL_FAILED };
	if (usec >= p->end_us)
		err_set(&p->last.err, -EIO, "pull %s/%s: took more than an hour: it is tried again", p->reference.host, p->reference.repository);
	else
		err_set(&p->last.err, -EIO, "pull %s/%s: nothing moved for %u s: it is tried again", p->reference.host, p->reference.repository,
			p->all->o.stall_s);
	pull_kill(p);
	return 0;
}

/* Whether what P brings is its owner's alone. */
static bool is_owned(const struct pull *p)
{
	return p->user[0] || reference_is_local(&p->reference);
}

/* The files that a child keeps: its end of the pipe, and the secret or the archive when there is one. */
enum { CHILD_PIPE = 3, CHILD_FILE, CHILD_END };

/* Moves FDS to CHILD_PIPE and on, and closes all others, those of other pulls among them. */
static int child_files(const int *fds, size_t n)
{
	int high[CHILD_END - CHILD_PIPE];

	for (size_t i = 0; i < n; i++)
		if ((high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, CHILD_END)) < 0)
			return -errno;
	for (size_t i = 0; i < n; i++)
		if (dup3(high[i], CHILD_PIPE + (int)i, O_CLOEXEC) < 0)
			return -errno;
	return close_range((unsigned)(CHILD_PIPE + n), ~0u, 0) ? -errno : 0;
}

[[noreturn]] static void child_run(struct pull *p, int fd)
{
	struct pull_job job = { .cache = &p->all->cache,
				.scope = p->scope,
				.reference = p->reference,
				.trust = { p->ca, p->is_plain },
				.mkfs = p->all->o.mkfs,
				.slot = (unsigned)p->slot,
				.user = p->user,
				.owner = is_owned(p) ? p->owner : "",
				.password_fd = CHILD_FILE,
				.archive_fd = p->archive < 0 ? -1 : CHILD_FILE };
	const int fds[] = { fd, p->archive < 0 ? p->password : p->archive };
	sigset_t none;

	memcpy(job.digest, p->digest, sizeof(job.digest));
	sigemptyset(&none);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (child_files(fds, fds[1] < 0 ? 1 : 2))
		_exit(EXIT_FAILURE);
	_exit(pull_run(&job, CHILD_PIPE));
}

/* Starts P's child in a slot. */
static int child_start(struct pull *p, struct err *e)
{
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return err_set(e, -errno, "start a pull: %m");
	fcntl(fds[1], F_SETFL, 0); /* the child's end blocks */
	p->pipe = fds[0];
	p->pid = fork();
	if (!p->pid)
		child_run(p, fds[1]);
	close(fds[1]);
	if (p->pid < 0)
		return err_set(e, -errno, "start a pull: %m");
	setpgid(p->pid, p->pid); /* both do it, so that it is done whoever comes first */
	if ((r = sd_event_add_child(p->all->event, &p->child, p->pid, WEXITED, on_child, p)) < 0 ||
	    (r = sd_event_add_io(p->all->event, &p->lines, p->pipe, EPOLLIN, on_lines, p)) < 0) {
		pull_kill(p);
		return err_set(e, r, "watch a pull: %s", strerror(-r));
	}
	return 0;
}

static int pull_start(struct pull *p, int slot, struct err *e)
{
	struct imaged *d = p->all;
	uint64_t now;
	int r;

	sd_event_now(d->event, CLOCK_MONOTONIC, &now);
	p->slot = slot;
	p->end_us = now + PULL_US;
	p->began_s = time(NULL);
	d->slots |= 1u << slot;
	if ((r = cache_slot_make(&d->cache, (unsigned)slot, e)))
		return r;
	r = sd_event_add_time(d->event, &p->timer, CLOCK_MONOTONIC, now + stall_us(d), ACCURACY_US, on_timer, p);
	if (r < 0)
		return err_set(e, r, "watch a pull: %s", strerror(-r));
	return child_start(p, e);
}

static size_t owner_count(const struct imaged *d, const char *owner, bool only_running)
{
	size_t n = 0;

	for (struct pull *p = d->pulls; p; p = p->next)
		n += !strcmp(p->owner, owner) && (!only_running || p->slot >= 0);
	return n;
}

/* Puts waiting pulls into free slots. */
static void pulls_start(struct imaged *d)
{
	struct pull *p = d->pulls;

	for (int slot = 0; p && slot < CACHE_SLOTS;) {
		struct pull *next = p->next;
		struct err e = { 0 };
		int r;

		if (d->slots & 1u << slot) {
			slot++;
			continue;
		}
		if (p->slot < 0 && owner_count(d, p->owner, true) < IMAGED_OWNER_RUNS_MAX && (r = pull_start(p, slot, &e))) {
			pull_answer(p, r, &e);
			pull_remove(p);
		}
		p = next;
	}
}

struct pull_args {
	const char *reference, *digest, *holder, *user, *owner;
	uint64_t password; /* which of the files that came with the call */
	struct farm_registry registries[FARM_REGISTRIES_MAX];
	size_t n_registries;
};
static const struct json_field registry_fields[] = {
	{ "plain", JSON_BOOL, offsetof(struct farm_registry, plain) },
	{ "host", JSON_TEXT, offsetof(struct farm_registry, host), .required = true, .min = 1, .max = REFERENCE_HOST_MAX },
	{ "ca", JSON_TEXT, offsetof(struct farm_registry, ca), .required = true, .max = 16384 },
};
static const struct json_table registry_table = { registry_fields, ARRAY_LEN(registry_fields), sizeof(struct farm_registry), NULL };
static const struct json_field pull_fields[] = {
	{ "reference", JSON_TEXT, offsetof(struct pull_args, reference), .required = true, .min = 1, .max = 512 },
	{ "digest", JSON_TEXT, offsetof(struct pull_args, digest), .max = DIGEST_LEN },
	{ "holder", JSON_TEXT, offsetof(struct pull_args, holder), .max = HOLDER_MAX, .ok = name_ok, .want = "a name" },
	{ "user", JSON_TEXT, offsetof(struct pull_args, user), .min = 1, .max = 256 },
	{ "owner", JSON_TEXT, offsetof(struct pull_args, owner), .min = 1, .max = KEY_TEXT_LEN },
	{ "password", JSON_U64, offsetof(struct pull_args, password) },
	{ "registries", JSON_LIST, offsetof(struct pull_args, registries), .max = FARM_REGISTRIES_MAX, .table = &registry_table,
	  .n_off = offsetof(struct pull_args, n_registries) },
};
const struct json_table imaged_pull_table = { pull_fields, ARRAY_LEN(pull_fields), sizeof(struct pull_args), NULL };

/* What the farm says about a registry. */
static const struct farm_registry *registry_find(const struct pull_args *a, const char *host)
{
	static const struct farm_registry unknown = { .ca = "" };

	for (size_t i = 0; i < a->n_registries; i++)
		if (!strcmp(a->registries[i].host, host))
			return &a->registries[i];
	return &unknown;
}

/* One that everybody may make, and that is under way already. */
static struct pull *pull_find(struct imaged *d, const struct pull *wanted)
{
	for (struct pull *p = d->pulls; p && !wanted->user[0]; p = p->next)
		if (!memcmp(&p->reference, &wanted->reference, sizeof(p->reference)) && !strcmp(p->digest, wanted->digest) &&
		    !strcmp(p->scope, wanted->scope) && !strcmp(p->ca, wanted->ca) && p->is_plain == wanted->is_plain &&
		    p->n_clients < IMAGED_CLIENTS_MAX)
			return p;
	return NULL;
}

/* Takes P. NULL when there are too many. */
static struct pull *pull_add(struct imaged *d, struct pull *wanted, struct err *e)
{
	struct pull *p = pull_find(d, wanted), **at = &d->pulls;
	size_t n = 0;

	if (p) {
		pull_free(wanted);
		return p;
	}

	for (; *at; at = &(*at)->next)
		n++;
	if (n >= IMAGED_PULLS_MAX || owner_count(d, wanted->owner, false) >= IMAGED_OWNER_PULLS_MAX) {
		err_set(e, -EBUSY, "%zu pulls are under way or waiting: it is tried again later", n);
		pull_free(wanted);
		return NULL;
	}
	return *at = wanted;
}

static void pull_freep(struct pull **p)
{
	if (*p)
		pull_free(*p);
}

static int pull_new(struct imaged *d, sd_varlink *link, const struct pull_args *a, struct pull **ret, struct err *e)
{
	CLEANUP(pull_freep) struct pull *p = calloc(1, sizeof(*p));
	int r;

	BUG_ON(!p);
	*p = (struct pull){ .all = d, .slot = -1, .pipe = -1, .password = -1, .archive = -1 };
	if ((r = reference_parse(str_c(a->reference), &p->reference, e)))
		return r;
	if (a->digest[0] && !digest_ok(str_c(a->digest)))
		return err_set(e, -EBADMSG, "'%s' is not a digest: sha256: and 64 hex digits", a->digest);
	if (!a->owner[0] && (a->user[0] || reference_is_local(&p->reference)))
		return err_set(e, -EBADMSG, "nobody is named whose image it is");
	if (a->user[0] && (p->password = sd_varlink_take_fd(link, a->password)) < 0)
		return err_set(e, -EBADMSG, "the user's secret did not come with the call");
	p->ca = strdup(registry_find(a, p->reference.host)->ca);
	p->is_plain = registry_find(a, p->reference.host)->plain;
	p->user = strdup(a->user);
	p->owner = strdup(a->owner);
	BUG_ON(!p->ca || !p->user || !p->owner);
	cache_scope(p->reference.host, is_owned(p) ? p->owner : "", p->scope);
	snprintf(p->digest, sizeof(p->digest), "%s", a->digest[0] ? a->digest : p->reference.digest);
	*ret = take_ptr(p);
	return 0;
}

static int pull_serve(struct imaged *d, sd_varlink *link, const struct pull_args *a, struct err *e)
{
	CLEANUP(pull_freep) struct pull *wanted = NULL;
	AUTO_JSON sd_json_variant *v = NULL;
	struct client *c;
	struct pull *p;
	int r = pull_new(d, link, a, &wanted, e);

	if (r)
		return r;
	if (wanted->digest[0] && !answer_build(d, wanted->scope, wanted->digest, &v, e)) {
		r = hold(d, a->holder, wanted->scope, wanted->digest, e);
		return r ? r : sd_varlink_reply(link, v);
	}
	if (reference_is_local(&wanted->reference))
		return err_set(e, -ENOENT, "this node does not have %.100s (any more): 'zos image push FILE' brings it", a->reference);
	p = pull_add(d, take_ptr(wanted), e);
	if (!p)
		return e->code;
	c = &p->clients[p->n_clients++];
	c->link = sd_varlink_ref(link);
	snprintf(c->holder, sizeof(c->holder), "%s", a->holder);
	if (p->slot >= 0 && p->last.kind == PULL_PROGRESS)
		(void)progress_send(link, &p->last);
	pulls_start(d);
	return 0;
}

static int on_pull(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct imaged *d = userdata;
	struct pull_args a = { .digest = "", .holder = "", .user = "", .owner = "" };
	struct err e = { 0 };
	int r = json_decode(parameters, &imaged_pull_table, &a, &e);

	if (!r && !(flags & SD_VARLINK_METHOD_MORE))
		r = err_set(&e, -EBADMSG, "this call answers with a stream: ask with 'more'");
	if (!r)
		r = pull_serve(d, link, &a, &e);
	return r < 0 ? daemon_reply_error(link, r, &e) : 0;
}

struct push_args {
	const char *owner, *name;
};
static const struct json_field push_fields[] = {
	{ "owner", JSON_TEXT, offsetof(struct push_args, owner), .required = true, .min = 1, .max = KEY_TEXT_LEN },
	{ "name", JSON_TEXT, offsetof(struct push_args, name), .required = true, .min = 1, .max = 200 },
};
const struct json_table imaged_push_table = { push_fields, ARRAY_LEN(push_fields), sizeof(struct push_args), NULL };

/* The digest is not known before it is all there, and a local reference needs one. */
static int push_reference(const char *name, struct reference *ret, struct err *e)
{
	char text[400];
	int r;

	snprintf(text, sizeof(text), REFERENCE_LOCAL "/%s@sha256:%064d", name, 0);
	if ((r = reference_parse(str_c(text), ret, NULL)) || strlen(ret->repository) != strlen(name))
		return err_set(e, -EBADMSG, "'%.100s' is no name for an image: lower-case letters, digits, '.', '_', '-' and '/'", name);
	ret->digest[0] = '\0';
	return 0;
}

static int push_serve(struct imaged *d, sd_varlink *link, const struct push_args *a, struct err *e)
{
	CLEANUP(pull_freep) struct pull *p = calloc(1, sizeof(*p));
	int r;

	BUG_ON(!p);
	*p = (struct pull){
		.all = d, .slot = -1, .pipe = -1, .password = -1, .archive = -1, .ca = strdup(""), .user = strdup(""), .owner = strdup(a->owner)
	};
	BUG_ON(!p->ca || !p->user || !p->owner);
	if ((r = push_reference(a->name, &p->reference, e)))
		return r;
	if ((p->archive = sd_varlink_take_fd(link, 0)) < 0)
		return err_set(e, -EBADMSG, "there is nothing that the image could come through");
	cache_scope(p->reference.host, p->owner, p->scope);
	if (!pull_add(d, take_ptr(p), e))
		return e->code;
	pulls_start(d);
	return sd_varlink_reply(link, NULL);
}

static int on_push(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct push_args a = { 0 };
	struct err e = { 0 };
	int r = json_decode(parameters, &imaged_push_table, &a, &e);

	(void)flags;
	if (!r)
		r = push_serve(userdata, link, &a, &e);
	return r < 0 ? daemon_reply_error(link, r, &e) : 0;
}

static const struct json_table no_arguments = { 0 };

/* Answers a call without arguments with what LIST finds in the cache. */
static int list_serve(struct imaged *d, sd_varlink *link, sd_json_variant *parameters, const char *name,
		      int (*list)(const struct cache *c, sd_json_variant **ret, struct err *e))
{
	AUTO_JSON sd_json_variant *all = NULL;
	struct err e = { 0 };
	int r = json_decode(parameters, &no_arguments, NULL, &e);

	if (!r)
		r = list(&d->cache, &all, &e);
	return r ? daemon_reply_error(link, r, &e) : sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_VARIANT(name, all));
}

static int on_list(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	(void)flags;
	return list_serve(userdata, link, parameters, "images", cache_list);
}

struct prune_args {
	const char *owner;
};
static const struct json_field prune_fields[] = {
	{ "owner", JSON_TEXT, offsetof(struct prune_args, owner), .min = 1, .max = KEY_TEXT_LEN },
};
const struct json_table imaged_prune_table = { prune_fields, ARRAY_LEN(prune_fields), sizeof(struct prune_args), NULL };

static int on_prune(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct prune_args a = { 0 };
	struct imaged *d = userdata;
	struct err e = { 0 };
	uint64_t bytes = 0;
	int r = json_decode(parameters, &imaged_prune_table, &a, &e);

	(void)flags;
	if (!r)
		r = cache_prune(&d->cache, a.owner, since_oldest(d, INT64_MAX), &bytes, &e);
	return r < 0 ? daemon_reply_error(link, r, &e)
		     : sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_INTEGER("images", r), SD_JSON_BUILD_PAIR_UNSIGNED("bytes", bytes));
}

struct release_args {
	const char *holder;
};
static const struct json_field release_fields[] = {
	{ "holder", JSON_TEXT, offsetof(struct release_args, holder), .required = true, .max = HOLDER_MAX, .ok = name_ok, .want = "a name" },
};
const struct json_table imaged_release_table = { release_fields, ARRAY_LEN(release_fields), sizeof(struct release_args), NULL };

static int on_release(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	struct imaged *d = userdata;
	struct release_args a = { 0 };
	struct err e = { 0 };
	int r = json_decode(parameters, &imaged_release_table, &a, &e);

	(void)flags;
	if (r)
		return daemon_reply_error(link, r, &e);
	cache_release(&d->cache, a.holder);
	return sd_varlink_reply(link, NULL);
}

static int on_holders(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata)
{
	(void)flags;
	return list_serve(userdata, link, parameters, "holders", cache_holders);
}

/* A pull that nobody waits for any more is ended; what it has stays in the cache. */
static void on_disconnect(sd_varlink_server *server, sd_varlink *link, void *userdata)
{
	struct imaged *d = userdata;

	(void)server;
	for (struct pull *p = d->pulls, *next; p; p = next) {
		next = p->next;
		for (size_t i = 0; i < p->n_clients; i++) {
			if (p->clients[i].link != link)
				continue;
			p->clients[i] = p->clients[--p->n_clients];
			sd_varlink_unref(link);
			if (p->n_clients)
				break;
			if (p->slot < 0)
				pull_remove(p);
			else
				pull_kill(p); /* on_child() removes it */
			break;
		}
	}
}

/* Secrets come as files. */
static int on_connect(sd_varlink_server *server, sd_varlink *link, void *userdata)
{
	(void)server;
	(void)userdata;
	return sd_varlink_set_allow_fd_passing_input(link, true);
}

/* Root is the only client, and needs no permission. */
static int serve(struct imaged *d, struct err *e)
{
	int r = daemon_listen(d->event, d->o.socket, 0600, d, &d->server, e);

	if (r)
		return r;
	if ((r = sd_varlink_server_bind_method(d->server, "zos.Image.Pull", on_pull)) < 0 ||
	    (r = sd_varlink_server_bind_method(d->server, "zos.Image.Push", on_push)) < 0 ||
	    (r = sd_varlink_server_bind_method(d->server, "zos.Image.List", on_list)) < 0 ||
	    (r = sd_varlink_server_bind_method(d->server, "zos.Image.Prune", on_prune)) < 0 ||
	    (r = sd_varlink_server_bind_method(d->server, "zos.Image.Release", on_release)) < 0 ||
	    (r = sd_varlink_server_bind_method(d->server, "zos.Image.Holders", on_holders)) < 0 ||
	    (r = sd_varlink_server_bind_connect(d->server, on_connect)) < 0 || (r = sd_varlink_server_bind_disconnect(d->server, on_disconnect)) < 0)
		return err_set(e, r, "serve calls: %s", strerror(-r));
	return 0;
}

/* /etc and /run/zos: name servers and their order may change while we run, by renaming, so files alone will not do. What lies there
 * for others only is theirs by its mode. */
static int sandbox(const struct imaged *d, struct err *e)
{
	const struct sandbox s = {
		.paths = { { d->cache.dir, SANDBOX_READ | SANDBOX_WRITE },
			   { d->o.mkfs, SANDBOX_READ | SANDBOX_EXEC },
			   { "/lib64/ld-linux-x86-64.so.2", SANDBOX_READ | SANDBOX_EXEC },
			   { "/usr/lib", SANDBOX_READ },
			   { "/etc", SANDBOX_READ },
			   { "/run/zos", SANDBOX_READ },
			   { "/dev/null", SANDBOX_READ | SANDBOX_WRITE } },
		.any_connect = true, /* a registry's port is its own choice */
		.calls = SANDBOX_CALLS_FILES | SANDBOX_CALLS_NET | SANDBOX_CALLS_THREADS | SANDBOX_CALLS_SPAWN | SANDBOX_CALLS_NEST |
			 SANDBOX_CALLS_GROUPS | SANDBOX_CALLS_MARKS,
	};

	return sandbox_enter(&s, e);
}

static int limit_default(struct imaged *d, struct err *e)
{
	struct statvfs st;

	if (d->o.limit_bytes)
		return 0;
	if (statvfs(d->cache.dir, &st))
		return err_set(e, -errno, "see how large the cache may be: %m");
	d->o.limit_bytes = image_limit_default(st.f_blocks * st.f_frsize);
	return 0;
}

int imaged_init(struct imaged *d, sd_event *event, const struct imaged_options *o, struct err *e)
{
	sigset_t child;
	int r;

	*d = (struct imaged){ .event = sd_event_ref(event), .o = *o };
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL); /* sd-event insists, though it uses a pidfd */
	if ((r = cache_open(&d->cache, o->cache, e)) || (r = limit_default(d, e)) || (r = serve(d, e)) || (r = sandbox(d, e)))
		return r;
	return 0;
}

void imaged_deinit(struct imaged *d)
{
	while (d->pulls) {
		pull_kill(d->pulls);
		pull_remove(d->pulls);
	}
	sd_varlink_server_unref(d->server);
	sd_event_unref(d->event);
	*d = (struct imaged)IMAGED_NONE;
}
