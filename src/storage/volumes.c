#include "storage/volumes.h"

#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "svc/hangup.h"
#include "svc/task.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

/* To make, grow or remove one; a disk that has to spin up answers after half a minute. Making room for a large one is quick. */
enum { TASK_MS = 180 * 1000 };
/* An archive is as slow as its owner's line. */
enum { STREAM_MS = 24 * 3600 * 1000, STREAMS_MAX = 8 /* at once on a node: each is a process */ };

struct attached { /* a volume or zmount that the engine has asked for */
	struct attached *next;
	struct volumes *all;
	struct work *work;
	struct task *task;  /* under way; NULL = none */
	struct task *stream; /* an archive on its way in or out, beside that; NULL = none */
	int importer;        /* who sends it and waits for an answer; -1 = it goes out */
	struct provider_ask ask; /* what TASK is for; answered NULL = the engine's own orders */
	uint64_t auto_s;    /* when the newest snapshot of its schedule was made, Unix seconds; 0 = never */
	char usage[128];    /* the file that says how much is in it; "" = none */
};

struct burial { /* of a disk that came, one thing at a time */
	struct burial *next;
	struct volumes *all;
	struct task *task;
	char disk[STORAGE_UUID_SIZE], path[64];
	char (*names)[STORAGE_NAME_SIZE]; /* owned: what is on the disk and is to go */
	size_t n;
};

struct volumes {
	struct provider provider;
	sd_event *event;
	struct volumes_options o;
	struct attached *attached;
	struct burial *burials;
	sd_event_source *timer; /* for the next snapshot of a schedule */
};

static struct volumes *volumes_of(struct provider *p)
{
	return container_of(p, struct volumes, provider);
}

/* What one of KIND asks for of a disk. */
struct wish {
	uint64_t bytes;
	enum disk_class class;
};

static struct wish wish_of(unsigned kind, const struct volume *v, const struct zmount *m, const struct zdb *z)
{
	switch (kind) {
	case WORKLOAD_VOLUME:
		return (struct wish){ v->size_bytes, v->class };
	case WORKLOAD_ZMOUNT:
		return (struct wish){ m->size_bytes, m->class };
	case WORKLOAD_ZDB:
		return (struct wish){ zdb_disk_bytes(z), z->class };
	default:
		return (struct wish){ 0 };
	}
}

static struct wish wish_of_workload(const struct workload *w)
{
	return wish_of(w->kind, &w->volume, &w->zmount, &w->zdb);
}

static struct wish wish_of_work(const struct work *w)
{
	return wish_of(w->kind, &w->volume, &w->zmount, &w->zdb);
}

static struct attached *attached_find(struct volumes *v, const struct work *w)
{
	for (struct attached *a = v->attached; a; a = a->next)
		if (a->work == w)
			return a;
	return NULL;
}

static struct attached *attached_get(struct volumes *v, struct work *w)
{
	struct attached *a = attached_find(v, w);

	if (a)
		return a;
	a = calloc(1, sizeof(*a));
	BUG_ON(!a);
	*a = (struct attached){ .next = v->attached, .all = v, .work = w, .importer = -1 };
	v->attached = a;
	return a;
}

static void stream_drop(struct attached *a)
{
	task_drop(take_ptr(a->stream));
	fd_close(&a->importer);
}

static void attached_free(struct attached *a)
{
	struct attached **at = &a->all->attached;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	task_drop(a->task);
	stream_drop(a);
	free(a);
}

static bool disk_find(struct volumes *v, const char *uuid, struct volumes_disk *ret)
{
	struct volumes_disk all[PLACE_DISKS_MAX];
	size_t n = v->o.disks(v->o.ctx, all, PLACE_DISKS_MAX);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(all[i].uuid, uuid)) {
			*ret = all[i];
			return true;
		}
	return false;
}

/* The disks with what is promised on each. */
static size_t disks_list(struct volumes *v, struct place_disk ret[static PLACE_DISKS_MAX])
{
	struct volumes_disk all[PLACE_DISKS_MAX];
	size_t n = v->o.disks(v->o.ctx, all, PLACE_DISKS_MAX);

	for (size_t i = 0; i < n; i++) {
		ret[i] = (struct place_disk){ .size_bytes = all[i].size_bytes,
					      .images_bytes = all[i].images_bytes,
					      .is_rotational = all[i].is_rotational,
					      .is_ready = !v->o.trouble(v->o.ctx, all[i].uuid) };
		memcpy(ret[i].uuid, all[i].uuid, sizeof(ret[i].uuid));
		for (const struct attached *a = v->attached; a; a = a->next)
			if (!strcmp(a->work->storage.disk, all[i].uuid))
				ret[i].promised_bytes += wish_of_work(a->work).bytes;
	}
	return n;
}

static int no_room(const struct place_disk *disks, size_t n, enum disk_class class, uint64_t bytes, struct err *e)
{
	char want[16], have[16];
	bool is_degraded = false;
	uint64_t most = 0;

	for (size_t i = 0; i < n; i++) {
		const struct place_disk *one = place_choose(&disks[i], 1, class, 0);

		if (one && place_free_bytes(one) > most)
			most = place_free_bytes(one);
	}
	format_size(want, bytes);
	format_size(have, most);
	for (size_t i = 0; i < n; i++)
		is_degraded |= !disks[i].is_ready;
	if (!n)
		return err_set(e, -ENOSPC, "this node has no data disk: take another one, or wait until a disk is found ('zos node disks')");
	return err_set(e, -ENOSPC, "no disk of class '%s' has %s left: the most that one of them can take is %s%s", disk_class_names[class], want,
		       have, is_degraded ? "; one that is degraded takes nothing new ('zos node disks')" : "");
}

static void argv_make(const struct attached *a, const struct volumes_disk *d, char size[static 24], const char *ret[static 8])
{
	const struct work *w = a->work;
	const char *state = w->storage.stage == STORAGE_MADE ? "there" : "new";
	const char *const restore[] = { a->all->o.program, "restore", d->path, w->storage.name, size, w->storage.restore, NULL };
	const char *const volume[] = { a->all->o.program, "make-volume", d->path, w->storage.name, size, state, NULL };
	const char *const disk[] = {
		a->all->o.program, "make-disk", d->path, w->storage.name, size, zmount_format_names[w->zmount.format], state, NULL
	};

	snprintf(size, 24, "%" PRIu64, wish_of_work(w).bytes);
	if (w->storage.restore[0])
		memcpy(ret, restore, sizeof(restore));
	else if (w->kind == WORKLOAD_ZMOUNT)
		memcpy(ret, disk, sizeof(disk));
	else
		memcpy(ret, volume, sizeof(volume));
}

static int waits(struct work *w, struct err *e)
{
	w->storage.is_waiting = true;
	w->storage.path[0] = '\0';
	return err_set(e, -ENODEV, "waits for the disk %s, which is not here", w->storage.disk);
}

static void schedule(struct volumes *v);

/* "PATH", of a volume "PATH USAGE NEWEST". */
static int answer_take(struct attached *a, struct str text, struct str *ret_path, struct err *e)
{
	struct str usage = { "", 0 }, newest = S("0");
	bool ok = str_next(&text, ' ', ret_path);

	if (ok && text.p)
		ok = str_next(&text, ' ', &usage) && str_next(&text, ' ', &newest) && !text.p;
	if (!ok || ret_path->n >= WORK_PATH_MAX || usage.n >= sizeof(a->usage) || parse_u64(newest, UINT64_MAX, &a->auto_s))
		return err_set(e, -EBADMSG, "the program 'volume' said what it never says");
	snprintf(a->usage, sizeof(a->usage), STR_FMT, STR_ARG(usage));
	return 0;
}

/* R: done, or refused; what is in it is whole either way. Before a machine has it again it is no more to be done: it would undo what that writes. */
static int restored(struct attached *a, int r, struct err *e)
{
	struct provider *p = &a->all->provider;
	struct storage_result *s = &a->work->storage;
	char name[sizeof(s->restore)];
	struct err why = { 0 };
	int kept;

	memcpy(name, s->restore, sizeof(name));
	s->restore[0] = '\0';
	if (!(kept = p->keep(p->engine, a->work, &why)))
		return r;
	memcpy(s->restore, name, sizeof(name));
	*e = why;
	return kept;
}

static void on_made(void *ctx, const struct task_end *end)
{
	struct attached *a = ctx;
	struct provider *p = &a->all->provider;
	struct storage_result *s = &a->work->storage;
	struct str path = { "", 0 };
	struct err e = end->why;
	struct volumes_disk d;
	int r = end->went_well ? 0 : end->why.code;

	a->task = NULL;
	if (s->restore[0])
		r = restored(a, r, &e);
	if (!r)
		r = answer_take(a, end->output, &path, &e);
	if (!r && s->stage != STORAGE_MADE) {
		s->stage = STORAGE_MADE;
		if ((r = p->keep(p->engine, a->work, &e)))
			s->stage = STORAGE_CHOSEN;
	}
	if (!r && !disk_find(a->all, s->disk, &d)) /* it went meanwhile */
		r = waits(a->work, &e);
	if (!r) {
		snprintf(s->path, sizeof(s->path), STR_FMT, STR_ARG(path));
		schedule(a->all);
	}
	p->done(p->engine, a->work, r, &e);
}

/* For one that comes in the place of another that was being removed when its document was taken: that one's disk was remembered then. */
static int place(struct volumes *v, struct work *w, struct err *e)
{
	struct place_disk disks[PLACE_DISKS_MAX];
	size_t n = disks_list(v, disks);
	struct wish wish = wish_of_work(w);
	const struct place_disk *d = place_choose(disks, n, wish.class, wish.bytes);
	int r;

	if (!d)
		return no_room(disks, n, wish.class, wish.bytes, e);
	memcpy(w->storage.disk, d->uuid, sizeof(w->storage.disk));
	w->storage.stage = STORAGE_CHOSEN;
	if ((r = v->provider.keep(v->provider.engine, w, e))) {
		w->storage.disk[0] = '\0';
		w->storage.stage = STORAGE_NOWHERE;
	}
	return r;
}

static int volumes_apply(struct provider *p, struct work *w, struct err *e)
{
	struct volumes *v = volumes_of(p);
	struct attached *a = attached_get(v, w);
	struct storage_result *s = &w->storage;
	const char *argv[8] = { 0 };
	struct volumes_disk d;
	char size[24];
	int r;

	s->is_waiting = false;
	if (a->task)
		return err_set(e, -EBUSY, "a snapshot is being made of it");
	if (s->stage == STORAGE_UNKNOWN)
		return err_set(e, -EUCLEAN, "what the node kept about where it is cannot be read: it is left alone");
	if (s->stage == STORAGE_NOWHERE && (r = place(v, w, e)))
		return r;
	if (!disk_find(v, s->disk, &d))
		return waits(w, e);
	argv_make(a, &d, size, argv);
	r = task_start(&a->task, v->event, argv, -1, TASK_MS, on_made, a, e);
	return r ? r : PROVIDER_BUSY;
}

static void on_removed(void *ctx, const struct task_end *end)
{
	struct attached *a = ctx;
	struct provider *p = &a->all->provider;
	struct work *w = a->work;
	struct err e = end->why;
	int r = end->went_well ? 0 : end->why.code;

	a->task = NULL;
	if (!r) {
		w->storage.stage = STORAGE_NOWHERE;
		r = p->keep(p->engine, w, &e);
	}
	if (!r)
		attached_free(a);
	p->done(p->engine, w, r, &e);
}

static int volumes_remove(struct provider *p, struct work *w, struct err *e)
{
	struct volumes *v = volumes_of(p);
	struct attached *a = attached_get(v, w);
	struct storage_result *s = &w->storage;
	const char *argv[5] = { v->o.program, "remove", NULL, s->name, NULL };
	struct volumes_disk d;
	int r = 0;

	s->path[0] = '\0';
	stream_drop(a);
	if (s->stage == STORAGE_UNKNOWN)
		return err_set(e, -EUCLEAN, "what the node kept about where it is cannot be read: nothing is removed");
	if (a->task)
		return err_set(e, -EBUSY, "a snapshot is being made of it");
	if (s->stage != STORAGE_NOWHERE && disk_find(v, s->disk, &d)) {
		argv[2] = d.path;
		r = task_start(&a->task, v->event, argv, -1, TASK_MS, on_removed, a, e);
		return r ? r : PROVIDER_BUSY;
	}
	if (s->stage != STORAGE_NOWHERE)
		r = p->bury(p->engine, w, e);
	if (!r)
		attached_free(a);
	return r;
}

static void on_asked(void *ctx, const struct task_end *end)
{
	struct attached *a = ctx;
	struct provider_ask ask = take(a->ask, (struct provider_ask){ 0 });

	a->task = NULL;
	if (ask.answered)
		ask.answered(ask.ctx, end->output, end->went_well ? 0 : end->why.code, &end->why);
	else if (!end->went_well)
		log_warn("%s/%s: the snapshot that is due: %s", a->work->deployment, a->work->name, end->why.msg);
	schedule(a->all);
}

static int ask_start(struct attached *a, const char *command, const char *snapshot, uint64_t keep, struct err *e)
{
	const struct storage_result *s = &a->work->storage;
	char text[24];
	const char *argv[7] = { a->all->o.program, command, NULL, s->name, snapshot, keep ? text : NULL, NULL };
	struct volumes_disk d;

	snprintf(text, sizeof(text), "%" PRIu64, keep);
	if (s->stage != STORAGE_MADE || !disk_find(a->all, s->disk, &d))
		return err_set(e, -ENODEV, "'%s' is not at hand: 'zos get %s' says what it waits for", a->work->name, a->work->deployment);
	if (a->task)
		return err_set(e, -EBUSY, "something is being done with '%s': ask again in a moment", a->work->name);
	argv[2] = d.path;
	return task_start(&a->task, a->all->event, argv, -1, TASK_MS, on_asked, a, e);
}

static int volumes_ask(struct provider *p, struct work *w, const struct provider_ask *ask, struct err *e)
{
	static const char *const commands[] = { [PROVIDER_SNAPSHOT] = "snapshot", [PROVIDER_SNAPSHOTS] = "snapshots", [PROVIDER_FORGET] = "forget" };
	struct attached *a = attached_get(volumes_of(p), w);
	uint64_t keep = ask->what == PROVIDER_SNAPSHOT ? UINT64_MAX : 0; /* by hand: none goes for it */
	int r = ask_start(a, commands[ask->what], ask->snapshot[0] ? ask->snapshot : NULL, keep, e);

	if (!r)
		a->ask = *ask;
	return r;
}

/* "done LEFT-OUT" or "failed ERRNO SENTENCE", as a push of an image ends. */
static void importer_tell(struct attached *a, const struct task_end *end)
{
	char line[320];
	int n = end->went_well ? snprintf(line, sizeof(line), "done " STR_FMT "\n", STR_ARG(end->output))
			       : snprintf(line, sizeof(line), "failed %d %s\n", -end->why.code, end->why.msg);

	(void)send(a->importer, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL); /* who is gone hears nothing */
	hangup_begin(a->all->event, take_fd(a->importer));
}

/* What came in is whole: the engine has its machines stopped, and then it is restored. */
static void imported(struct attached *a, struct task_end *end)
{
	struct provider *p = &a->all->provider;
	struct storage_result *s = &a->work->storage;

	snprintf(s->restore, sizeof(s->restore), STORAGE_IMPORTED);
	if (p->keep(p->engine, a->work, &end->why)) {
		s->restore[0] = '\0';
		end->went_well = false;
		return;
	}
	p->again(p->engine, a->work);
}

static void on_streamed(void *ctx, const struct task_end *end)
{
	struct attached *a = ctx;
	struct task_end how = *end;

	a->stream = NULL;
	if (a->importer < 0)
		return; /* it has said by itself how that ended */
	if (how.went_well)
		imported(a, &how);
	importer_tell(a, &how);
}

static int stream_admit(const struct volumes *v, const struct attached *a, const struct work *w, struct err *e)
{
	size_t n = 0;

	for (const struct attached *one = v->attached; one; one = one->next)
		n += one->stream != NULL;
	if (!a || w->storage.stage != STORAGE_MADE || !w->storage.path[0])
		return err_set(e, -ENODEV, "'%s' is not at hand: 'zos get %s' says what it waits for", w->name, w->deployment);
	if (a->stream || w->storage.restore[0])
		return err_set(e, -EBUSY, "another archive of '%s' is under way: ask again when that has ended", w->name);
	return n < STREAMS_MAX ? 0 : err_set(e, -EBUSY, "%d archives are under way on this node: ask again when one of them has ended", STREAMS_MAX);
}

static int volumes_stream(struct provider *p, struct work *w, const struct provider_stream *s, struct err *e)
{
	struct volumes *v = volumes_of(p);
	bool is_import = !strcmp(s->method, "import");
	const char *snapshot = sd_json_variant_string(sd_json_variant_by_key(s->parameters, "snapshot"));
	const char *argv[] = { v->o.program, s->method, NULL, w->storage.name, is_import ? NULL : snapshot ?: "", NULL };
	struct attached *a = attached_find(v, w);
	struct volumes_disk d;
	int fds[2], r = stream_admit(v, a, w, e);

	if (r)
		return r;
	if (!disk_find(v, w->storage.disk, &d))
		return waits(w, e);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return err_set(e, -errno, "make a stream: %m");
	AUTO_FD int its = fds[0];
	AUTO_FD int theirs = fds[1];
	argv[2] = d.path;
	if ((r = task_start(&a->stream, v->event, argv, its, STREAM_MS, on_streamed, a, e)))
		return r;
	a->importer = is_import ? take_fd(its) : -1;
	s->ready(s->ctx, take_fd(theirs), NULL, 0, NULL);
	return 0;
}

static uint64_t due_s(const struct attached *a, uint64_t now_s)
{
	const struct snapshots *s = &a->work->volume.snapshots;

	if (a->work->kind != WORKLOAD_VOLUME || !s->every_s || !a->work->storage.path[0] || a->task)
		return UINT64_MAX;
	return a->auto_s && a->auto_s <= now_s ? a->auto_s + s->every_s : now_s; /* a clock that went back makes one more, not none */
}

static void auto_start(struct attached *a, uint64_t now_s)
{
	char name[40];
	struct err e = { 0 };

	snprintf(name, sizeof(name), "auto-%" PRIu64, now_s);
	a->auto_s = now_s;
	if (ask_start(a, "snapshot", name, a->work->volume.snapshots.keep, &e))
		log_warn("%s/%s: the snapshot that is due: %s", a->work->deployment, a->work->name, e.msg);
}

static int on_due(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct volumes *v = userdata;
	uint64_t now_s = (uint64_t)time(NULL);

	(void)source;
	(void)usec;
	for (struct attached *a = v->attached; a; a = a->next)
		if (due_s(a, now_s) <= now_s)
			auto_start(a, now_s);
	schedule(v);
	return 0;
}

static void schedule(struct volumes *v)
{
	uint64_t now_s = (uint64_t)time(NULL), next = UINT64_MAX;

	for (const struct attached *a = v->attached; a; a = a->next)
		next = due_s(a, now_s) < next ? due_s(a, now_s) : next;
	if (next == UINT64_MAX)
		return;
	(void)sd_event_source_set_time_relative(v->timer, next > now_s ? (next - now_s) * 1000000 : 0);
	(void)sd_event_source_set_enabled(v->timer, SD_EVENT_ONESHOT);
}

static void volumes_look(struct provider *p, struct work *w)
{
	struct volumes *v = volumes_of(p);
	struct attached *a = attached_find(v, w);
	const char *trouble = v->o.trouble(v->o.ctx, w->storage.disk);
	AUTO_BUF struct buf text = { 0 };
	struct str number;

	snprintf(w->storage.trouble, sizeof(w->storage.trouble), "%s", trouble ? trouble : "");
	if (!a || !a->usage[0] || file_read(AT_FDCWD, a->usage, 32, &text, NULL))
		return;
	number = buf_str(&text);
	while (number.n && number.p[number.n - 1] == '\n')
		number.n--;
	(void)!parse_u64(number, UINT64_MAX, &w->storage.used_bytes); /* a disk that has just gone: what was seen last stands */
}

static struct attached *attached_named(struct volumes *v, const struct deployment *d, const char *name)
{
	for (struct attached *a = v->attached; a; a = a->next)
		if (key_pub_eq(&a->work->owner, &d->owner) && !strcmp(a->work->deployment, d->name) && !strcmp(a->work->name, name))
			return a;
	return NULL;
}

static struct place_disk *disk_of(struct place_disk *disks, size_t n, const char *uuid)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(disks[i].uuid, uuid))
			return &disks[i];
	return NULL;
}

/* One that is there already grows where it is, or shrinks as far as it is empty. */
static int change_admit(struct volumes *v, struct attached *a, const struct workload *w, size_t at, struct place_disk *disks, size_t n, struct err *e)
{
	uint64_t was = wish_of_work(a->work).bytes, size = wish_of_workload(w).bytes;
	struct place_disk *d = disk_of(disks, n, a->work->storage.disk);
	char have[16], want[16];

	volumes_look(&v->provider, a->work);
	if (size < was && w->kind == WORKLOAD_ZMOUNT)
		return err_set(e, -EBADMSG, "/workloads/%zu/data/size: a disk cannot shrink, and '%s' has %" PRIu64 " bytes", at, w->name, was);
	if (size < was && size < a->work->storage.used_bytes)
		return err_set(e, -EBADMSG, "/workloads/%zu/data/size: %" PRIu64 " is below the %" PRIu64 " that are in '%s': remove something first",
			       at, size, a->work->storage.used_bytes, w->name);
	if (size <= was || !d)
		return 0;
	if (place_free_bytes(d) >= size - was) {
		d->promised_bytes += size - was;
		return 0;
	}
	format_size(want, size - was);
	format_size(have, place_free_bytes(d));
	return err_set(e, -ENOSPC, "/workloads/%zu/data/size: '%s' would need %s more on its disk, which has %s left", at, w->name, want, have);
}

static int new_admit(const struct workload *w, size_t at, struct place_disk *disks, size_t n, char ret[static STORAGE_UUID_SIZE], struct err *e)
{
	struct wish wish = wish_of_workload(w);
	const struct place_disk *d = place_choose(disks, n, wish.class, wish.bytes);
	struct err why = { 0 };

	if (!d)
		return err_set(e, no_room(disks, n, wish.class, wish.bytes, &why), "/workloads/%zu/data/size: %s", at, why.msg);
	disks[d - disks].promised_bytes += wish.bytes;
	memcpy(ret, d->uuid, STORAGE_UUID_SIZE);
	return 0;
}

static int volumes_admit(struct provider *p, const struct deployment *d, const struct deployment *old,
			 char ret_disks[static DEPLOYMENT_WORKLOADS_MAX][STORAGE_UUID_SIZE], struct err *e)
{
	struct volumes *v = volumes_of(p);
	struct place_disk disks[PLACE_DISKS_MAX];
	size_t n = disks_list(v, disks);
	int r = 0;

	for (size_t i = 0; i < d->n_workloads && !r; i++) {
		const struct workload *w = &d->workloads[i];
		struct attached *a = old && deployment_workload(old, w->name) ? attached_named(v, d, w->name) : NULL;

		if (workload_has_storage(w->kind))
			r = a ? change_admit(v, a, w, i, disks, n, e) : new_admit(w, i, disks, n, ret_disks[i], e);
	}
	return r;
}

static void burial_free(struct burial *b)
{
	struct burial **at = &b->all->burials;

	while (*at && *at != b)
		at = &(*at)->next;
	if (*at)
		*at = b->next;
	task_drop(b->task);
	free(b->names);
	free(b);
}

static void on_buried(void *ctx, const struct task_end *end);

static void burial_next(struct burial *b)
{
	struct volumes *v = b->all;
	struct err e = { 0 };

	while (b->n) {
		const char *const argv[] = { v->o.program, "remove", b->path, b->names[b->n - 1], NULL };

		if (!task_start(&b->task, v->event, argv, -1, TASK_MS, on_buried, b, &e))
			return;
		log_warn("%s", e.msg);
		b->n--;
	}
	burial_free(b);
}

static void on_buried(void *ctx, const struct task_end *end)
{
	struct burial *b = ctx;

	b->task = NULL;
	b->n--;
	if (end->went_well)
		log_info("%s is gone from disk %s: it was deleted while that was away", b->names[b->n], b->disk);
	else
		log_warn("remove %s from disk %s, as was ordered while that was away: %s", b->names[b->n], b->disk, end->why.msg);
	burial_next(b);
}

static void on_listed(void *ctx, const struct task_end *end)
{
	struct burial *b = ctx;
	struct provider *p = &b->all->provider;
	struct str rest = end->output, line;

	b->task = NULL;
	if (!end->went_well)
		log_warn("list what is on disk %s: %s", b->disk, end->why.msg);
	while (end->went_well && str_next(&rest, '\n', &line)) {
		char name[STORAGE_NAME_SIZE];

		if (!line.n || line.n >= sizeof(name))
			continue;
		snprintf(name, sizeof(name), STR_FMT, STR_ARG(line));
		if (!p->is_buried(p->engine, b->disk, name))
			continue;
		b->names = reallocarray(b->names, b->n + 1, sizeof(*b->names));
		BUG_ON(!b->names);
		memcpy(b->names[b->n++], name, sizeof(name));
	}
	burial_next(b);
}

static void burial_start(struct volumes *v, const struct volumes_disk *d)
{
	struct burial *b = calloc(1, sizeof(*b));
	const char *const argv[] = { v->o.program, "list", d->path, NULL };
	struct err e = { 0 };

	BUG_ON(!b);
	*b = (struct burial){ .all = v, .next = v->burials };
	v->burials = b;
	memcpy(b->disk, d->uuid, sizeof(b->disk));
	memcpy(b->path, d->path, sizeof(b->path));
	if (!task_start(&b->task, v->event, argv, -1, TASK_MS, on_listed, b, &e))
		return;
	log_warn("%s", e.msg);
	burial_free(b);
}

void volumes_came(struct provider *p, const char *uuid)
{
	struct volumes *v = volumes_of(p);
	struct volumes_disk d;

	for (struct attached *a = v->attached; a; a = a->next)
		if (a->work->storage.stage == STORAGE_NOWHERE || !strcmp(a->work->storage.disk, uuid))
			p->again(p->engine, a->work);
	if (disk_find(v, uuid, &d))
		burial_start(v, &d);
}

void volumes_went(struct provider *p, const char *uuid)
{
	struct volumes *v = volumes_of(p);

	for (struct attached *a = v->attached; a; a = a->next) {
		if (strcmp(a->work->storage.disk, uuid))
			continue;
		a->work->storage.path[0] = '\0';
		stream_drop(a);
		p->again(p->engine, a->work);
	}
}

void volumes_judge(struct provider *p)
{
	struct volumes *v = volumes_of(p);

	for (struct attached *a = v->attached; a; a = a->next) {
		const char *now = v->o.trouble(v->o.ctx, a->work->storage.disk);

		if (strcmp(a->work->storage.trouble, now ? now : ""))
			p->changed(p->engine, a->work); /* which looks */
	}
}

static void volumes_room(struct provider *p, struct provider_room *ret_ssd, struct provider_room *ret_hdd)
{
	struct place_disk disks[PLACE_DISKS_MAX];
	size_t n = disks_list(volumes_of(p), disks);

	*ret_ssd = *ret_hdd = (struct provider_room){ 0 };
	for (size_t i = 0; i < n; i++) {
		struct provider_room *r = disks[i].is_rotational ? ret_hdd : ret_ssd;

		r->bytes += place_capacity_bytes(&disks[i]);
		r->used_bytes += disks[i].is_ready ? disks[i].promised_bytes : place_capacity_bytes(&disks[i]); /* nothing new goes there */
	}
}

static const struct provider_ops ops = { .apply = volumes_apply,
					 .remove = volumes_remove,
					 .admit = volumes_admit,
					 .stream = volumes_stream,
					 .ask = volumes_ask,
					 .room = volumes_room,
					 .look = volumes_look };

int volumes_new(sd_event *event, const struct volumes_options *o, struct provider **ret, struct err *e)
{
	struct volumes *v = calloc(1, sizeof(*v));

	int r;

	BUG_ON(!v);
	*v = (struct volumes){ .provider = { .name = "storage", .ops = &ops }, .event = sd_event_ref(event), .o = *o };
	*ret = &v->provider;
	if ((r = sd_event_add_time(event, &v->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_due, v)) < 0)
		return err_set(e, r, "make a timer: %s", strerror(-r));
	(void)sd_event_source_set_enabled(v->timer, SD_EVENT_OFF);
	return 0;
}

void volumes_free(struct provider *p)
{
	struct volumes *v = p ? volumes_of(p) : NULL;

	if (!v)
		return;
	sd_event_source_disable_unref(v->timer);
	while (v->attached)
		attached_free(v->attached);
	while (v->burials)
		burial_free(v->burials);
	sd_event_unref(v->event);
	free(v);
}
