/* The provider over a program that notes what it is asked, and an engine that remembers what it is told to. */
#include "storage/volumes.h"

#include "base/file.h"
#include "svc/daemon.h"
#include "test/t.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#define GIB (1ull << 30)

static const char script[] =
	"#!/bin/sh\n"
	"cd \"${0%/*}\"\n"
	"echo \"$@\" >> asked\n"
	"[ -e broken ] && { echo it is broken; exit 1; }\n"
	"case $1 in make-volume|restore) echo \"$2/volumes/$3/data $PWD/usage 1000\";; snapshots) echo \"one 1000\";; make-disk) echo \"$2/disks/$3\";; list) cat names;; import) cat > came; echo 3;; export) echo \"archive of '$4'\" >&0;; esac\n";

struct fixture {
	char dir[40], program[64];
	sd_event *event;
	struct provider *p;
	struct volumes_disk disks[2];
	size_t n_disks;
	struct work work, other;
	struct buf log;   /* what the engine was told */
	int fail_keep;
	int n_done, r;
	char why[256];
	char buried[64];
	const char *trouble; /* with disk-a */
};

static size_t disks_list(void *ctx, struct volumes_disk *ret, size_t max)
{
	struct fixture *f = ctx;

	T_NEED(f->n_disks <= max, "room");
	memcpy(ret, f->disks, f->n_disks * sizeof(*ret));
	return f->n_disks;
}

static const char *trouble(void *ctx, const char *uuid)
{
	struct fixture *f = ctx;

	return strcmp(uuid, "disk-a") ? NULL : f->trouble;
}

static void on_changed(void *engine, struct work *w)
{
	struct fixture *f = engine;

	f->p->ops->look(f->p, w);
	buf_addf(&f->log, "changed %s;", w->name);
}

static void on_done(void *engine, struct work *w, int r, const struct err *e)
{
	struct fixture *f = engine;

	(void)w;
	f->n_done++;
	f->r = r;
	snprintf(f->why, sizeof(f->why), "%s", r ? e->msg : "");
}

static void on_again(void *engine, struct work *w)
{
	struct fixture *f = engine;

	buf_addf(&f->log, "again %s;", w->name);
}

static int on_keep(void *engine, struct work *w, struct err *e)
{
	struct fixture *f = engine;

	if (f->fail_keep && !--f->fail_keep)
		return err_set(e, -EIO, "fake: cannot keep it");
	buf_addf(&f->log, "keep %s %d %s;", w->name, w->storage.stage, w->storage.disk);
	return 0;
}

static int on_bury(void *engine, struct work *w, struct err *e)
{
	struct fixture *f = engine;

	(void)e;
	snprintf(f->buried, sizeof(f->buried), "%s", w->storage.name);
	w->storage.stage = STORAGE_NOWHERE;
	return 0;
}

static bool is_buried(void *engine, const char *disk, const char *name)
{
	struct fixture *f = engine;

	return disk[0] && !strcmp(f->buried, name);
}

static void work_make(struct work *w, const char *name, unsigned kind, uint64_t size)
{
	*w = (struct work){ .deployment = "site", .name = name, .kind = kind };
	if (kind == WORKLOAD_VOLUME)
		w->volume = (struct volume){ .size_bytes = size };
	else
		w->zmount = (struct zmount){ .size_bytes = size };
	snprintf(w->storage.name, sizeof(w->storage.name), "%s.1", name);
}

static void provider_up(struct fixture *f)
{
	const struct volumes_options o = { .program = f->program, .disks = disks_list, .trouble = trouble, .ctx = f };
	struct err e;

	T_NEED(!volumes_new(f->event, &o, &f->p, &e), "%s", e.msg);
	f->p->engine = f;
	f->p->done = on_done;
	f->p->again = on_again;
	f->p->changed = on_changed;
	f->p->keep = on_keep;
	f->p->bury = on_bury;
	f->p->is_buried = is_buried;
}

static void up(struct fixture *f)
{
	static const struct volumes_disk disks[] = { { "disk-a", "/a", 100 * GIB, false }, { "disk-b", "/b", 50 * GIB, true } };
	struct err e;

	*f = (struct fixture){ .n_disks = 2 };
	strcpy(f->dir, "/tmp/volumes_test.XXXXXX");
	T_NEED(mkdtemp(f->dir) && !daemon_loop("volumes_test", &f->event, &e), "fixture");
	snprintf(f->program, sizeof(f->program), "%s/volume", f->dir);
	T_NEED(!file_save(AT_FDCWD, f->program, str_c(script), 0700, &e), "%s", e.msg);
	memcpy(f->disks, disks, sizeof(disks));
	work_make(&f->work, "data", WORKLOAD_VOLUME, 10 * GIB);
	work_make(&f->other, "more", WORKLOAD_ZMOUNT, 10 * GIB);
	provider_up(f);
}

static void down(struct fixture *f)
{
	struct err e;

	volumes_free(f->p);
	while (sd_event_run(f->event, 300000) > 0) /* the ends of what was dropped */
		;
	sd_event_unref(f->event);
	buf_deinit(&f->log);
	T_CHECK(!tree_remove(AT_FDCWD, f->dir, &e), "%s", e.msg);
}

/* What the program was asked since the last time. */
static const char *asked(struct fixture *f)
{
	static char text[512];
	AUTO_BUF struct buf b = { 0 };
	char path[64];

	snprintf(path, sizeof(path), "%s/asked", f->dir);
	text[0] = '\0';
	if (!file_read(AT_FDCWD, path, sizeof(text) - 1, &b, NULL))
		snprintf(text, sizeof(text), STR_FMT, STR_ARG(buf_str(&b)));
	unlink(path);
	return text;
}

static void settle(struct fixture *f, int n_done)
{
	time_t patience = time(NULL) + 20;

	while (f->n_done < n_done && time(NULL) < patience)
		T_NEED(sd_event_run(f->event, 1000000) >= 0, "loop");
}

static int apply(struct fixture *f, struct work *w)
{
	int n = f->n_done;
	struct err e = { 0 };
	int r = f->p->ops->apply(f->p, w, &e);

	if (r != PROVIDER_BUSY) {
		snprintf(f->why, sizeof(f->why), "%s", e.msg);
		return r;
	}
	settle(f, n + 1);
	return f->r;
}

static int take_away(struct fixture *f, struct work *w)
{
	int n = f->n_done;
	struct err e = { 0 };
	int r = f->p->ops->remove(f->p, w, &e);

	if (r != PROVIDER_BUSY)
		return r;
	settle(f, n + 1);
	return f->r;
}

static void it_is_remembered_before_it_is_made(void)
{
	struct fixture f;

	up(&f);
	T_CHECK(!apply(&f, &f.work) && !strcmp(asked(&f), "make-volume /a data.1 10737418240 new\n"), "%s", f.why);
	T_CHECK(!strcmp(f.log.p, "keep data 1 disk-a;keep data 2 disk-a;"), "%s", f.log.p);
	T_CHECK(!strcmp(f.work.storage.path, "/a/volumes/data.1/data") && f.work.storage.stage == STORAGE_MADE, "%s", f.work.storage.path);
	T_CHECK(!apply(&f, &f.other) && !strcmp(asked(&f), "make-disk /a more.1 10737418240 ext4 new\n"), "%s", f.why);
	f.work.volume.size_bytes = 20 * GIB;
	T_CHECK(!apply(&f, &f.work) && !strcmp(asked(&f), "make-volume /a data.1 21474836480 there\n"), "what was made is never made again");
	T_CHECK(!take_away(&f, &f.work) && !strcmp(asked(&f), "remove /a data.1\n") && f.work.storage.stage == STORAGE_NOWHERE, "%s", f.why);
	down(&f);
}

/* A crash between choosing and making, or a disk that refuses: the next try is on the same disk, though another has more room now. */
static void a_second_try_stays_on_its_disk(void)
{
	struct fixture f;
	struct err e;
	char path[64];

	up(&f);
	snprintf(path, sizeof(path), "%s/broken", f.dir);
	T_NEED(!file_save(AT_FDCWD, path, S(""), 0600, &e), "%s", e.msg);
	T_CHECK(apply(&f, &f.work) == -EIO && !strcmp(f.why, "it is broken"), "%s", f.why);
	T_CHECK(f.work.storage.stage == STORAGE_CHOSEN && !f.work.storage.path[0], "chosen");
	unlink(path);
	(void)asked(&f);
	volumes_free(f.p);
	provider_up(&f);
	f.disks[1].size_bytes = 1000 * GIB;
	T_CHECK(!apply(&f, &f.work) && !strcmp(asked(&f), "make-volume /a data.1 10737418240 new\n"), "%s", f.why);

	work_make(&f.work, "late", WORKLOAD_VOLUME, GIB);
	f.fail_keep = 1;
	T_CHECK(apply(&f, &f.work) == -EIO && f.work.storage.stage == STORAGE_NOWHERE && !asked(&f)[0], "nothing is made that is not remembered");
	down(&f);
}

static void without_its_disk_it_waits(void)
{
	struct fixture f;

	up(&f);
	T_CHECK(!apply(&f, &f.work), "%s", f.why);
	(void)asked(&f);
	f.log.len = 0;
	f.n_disks = 0;
	volumes_went(f.p, "disk-b");
	T_CHECK(f.work.storage.path[0], "another disk's going is nothing to it");
	volumes_went(f.p, "disk-a");
	T_CHECK(!f.work.storage.path[0] && !strcmp(f.log.p, "again data;"), "%s", f.log.p);
	T_CHECK(apply(&f, &f.work) == -ENODEV && f.work.storage.is_waiting && strstr(f.why, "waits for the disk disk-a"), "%s", f.why);
	T_CHECK(!asked(&f)[0], "nothing is made elsewhere: %s", asked(&f));
	f.n_disks = 2;
	volumes_came(f.p, "disk-a");
	T_CHECK(!apply(&f, &f.work) && !f.work.storage.is_waiting && f.work.storage.path[0], "%s", f.why);
	f.work.storage.stage = STORAGE_UNKNOWN;
	(void)asked(&f);
	T_CHECK(apply(&f, &f.work) == -EUCLEAN && take_away(&f, &f.work) == -EUCLEAN && !asked(&f)[0], "what is not known is left alone");
	down(&f);
}

/* Deleted while its disk is away: it goes when that comes, and what nobody deleted stays. */
static void what_was_deleted_meanwhile_goes_when_its_disk_comes(void)
{
	struct fixture f;
	struct err e;
	char path[64];

	up(&f);
	T_CHECK(!apply(&f, &f.work), "%s", f.why);
	f.n_disks = 0;
	(void)asked(&f);
	T_CHECK(!take_away(&f, &f.work) && !strcmp(f.buried, "data.1") && !asked(&f)[0], "%s", f.why);
	f.n_disks = 1;
	snprintf(path, sizeof(path), "%s/names", f.dir);
	T_NEED(!file_save(AT_FDCWD, path, S("stranger.7\ndata.1\nmore.1\n"), 0600, &e), "%s", e.msg);
	volumes_came(f.p, "disk-a");
	for (time_t patience = time(NULL) + 20; time(NULL) < patience && sd_event_run(f.event, 500000) > 0;)
		;
	T_CHECK(!strcmp(asked(&f), "list /a\nremove /a data.1\n"), "that one alone");
	down(&f);
}

static void note_answer(void *ctx, struct str lines, int r, const struct err *e)
{
	struct fixture *f = ctx;

	f->n_done++;
	f->r = r;
	snprintf(f->why, sizeof(f->why), STR_FMT "%s", STR_ARG(lines), r ? e->msg : "");
}

static int ask(struct fixture *f, int what, const char *snapshot)
{
	const struct provider_ask a = { .what = what, .snapshot = snapshot, .answered = note_answer, .ctx = f };
	struct err e = { 0 };
	int n = f->n_done, r = f->p->ops->ask(f->p, &f->work, &a, &e);

	if (r) {
		snprintf(f->why, sizeof(f->why), "%s", e.msg);
		return r;
	}
	T_CHECK(f->p->ops->ask(f->p, &f->work, &a, &e) == -EBUSY, "one thing at a time: %s", e.msg);
	settle(f, n + 1);
	return f->r;
}

static void snapshots_are_made_and_gone_back_to(void)
{
	struct fixture f;

	up(&f);
	T_CHECK(ask(&f, PROVIDER_SNAPSHOT, "one") == -ENODEV && strstr(f.why, "is not at hand"), "not made yet: %s", f.why);
	T_CHECK(!apply(&f, &f.work), "%s", f.why);
	(void)asked(&f);
	T_CHECK(!ask(&f, PROVIDER_SNAPSHOT, "one") && !strcmp(asked(&f), "snapshot /a data.1 one 18446744073709551615\n"), "%s", f.why);
	T_CHECK(!ask(&f, PROVIDER_SNAPSHOTS, "") && !strcmp(f.why, "one 1000") && !strcmp(asked(&f), "snapshots /a data.1\n"), "%s", f.why);
	T_CHECK(!ask(&f, PROVIDER_FORGET, "one") && !strcmp(asked(&f), "forget /a data.1 one\n"), "%s", f.why);
	strcpy(f.work.storage.restore, "one");
	T_CHECK(!apply(&f, &f.work) && !strcmp(asked(&f), "restore /a data.1 10737418240 one\n") && !f.work.storage.restore[0], "%s", f.why);
	T_CHECK(f.work.storage.path[0] && f.log.p && strstr(f.log.p, "keep data"), "it is at hand, and that it was done is remembered: %s", f.log.p);
	strcpy(f.work.storage.restore, "two");
	f.fail_keep = 1;
	T_CHECK(apply(&f, &f.work) == -EIO && !strcmp(f.work.storage.restore, "two"), "it would be done again under who writes to it: %s", f.why);
	(void)asked(&f);
	T_CHECK(!apply(&f, &f.work) && !strcmp(asked(&f), "restore /a data.1 10737418240 two\n") && !f.work.storage.restore[0], "once more: %s",
		f.why);
	down(&f);
}

static void on_ready(void *ctx, int fd, sd_json_variant *reply, int r, const struct err *e)
{
	(void)reply;
	(void)e;
	*(int *)ctx = r ? -1 : fd;
}

/* Our end of an archive's stream, or a negative errno. */
static int stream(struct fixture *f, const char *method, const char *snapshot)
{
	AUTO_JSON sd_json_variant *v = NULL;
	struct err e = { 0 };
	int fd = -1, r;

	T_NEED(sd_json_buildo(&v, SD_JSON_BUILD_PAIR_CONDITION(snapshot != NULL, "snapshot", SD_JSON_BUILD_STRING(snapshot))) >= 0, "parameters");
	const struct provider_stream s = { .kind = PROVIDER_CALL, .method = method, .parameters = v, .ready = on_ready, .ctx = &fd };
	r = f->p->ops->stream(f->p, &f->work, &s, &e);
	snprintf(f->why, sizeof(f->why), "%s", e.msg);
	return r ? r : fd;
}

/* All that comes out of FD (taken) until its end, while the loop runs. */
static const char *heard(struct fixture *f, int fd)
{
	static char text[300];
	time_t patience = time(NULL) + 20;
	size_t n = 0;
	ssize_t got = -1;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (got && time(NULL) < patience && (sd_event_run(f->event, 10000) >= 0)) {
		got = read(fd, text + n, sizeof(text) - 1 - n);
		n += got > 0 ? (size_t)got : 0;
	}
	close(fd);
	text[n] = '\0';
	return text;
}

static void archives_go_out_and_come_in(void)
{
	struct fixture f;
	int fd;

	up(&f);
	T_CHECK(stream(&f, "export", NULL) == -ENODEV && strstr(f.why, "is not at hand"), "not made yet: %s", f.why);
	T_CHECK(!apply(&f, &f.work), "%s", f.why);
	fd = stream(&f, "export", NULL);
	T_CHECK(stream(&f, "import", NULL) == -EBUSY && strstr(f.why, "is under way"), "one at a time: %s", f.why);
	T_CHECK(!strcmp(heard(&f, fd), "archive of ''\n"), "now");
	T_CHECK(!strcmp(heard(&f, stream(&f, "export", "one")), "archive of 'one'\n"), "a snapshot");
	fd = stream(&f, "import", NULL);
	T_NEED(fd >= 0 && write(fd, "all of it", 9) == 9, "%s", f.why);
	T_CHECK(!f.log.len || !strstr(f.log.p, "again"), "nothing is changed before all of it came: %s", f.log.p);
	shutdown(fd, SHUT_WR);
	T_CHECK(!strcmp(heard(&f, fd), "done 3\n"), "told");
	T_CHECK(f.log.p && strstr(f.log.p, "again data;") && !strcmp(f.work.storage.restore, STORAGE_IMPORTED), "and then it is");
	T_CHECK(stream(&f, "import", NULL) == -EBUSY, "not before that is done: %s", f.why);
	(void)asked(&f);
	T_CHECK(!apply(&f, &f.work) && !strcmp(asked(&f), "restore /a data.1 10737418240 /imported\n") && !f.work.storage.restore[0], "%s", f.why);
	down(&f);
}

static void an_archive_that_fails_changes_nothing(void)
{
	struct fixture f;
	struct err e;
	char path[64];
	int fd;

	up(&f);
	T_CHECK(!apply(&f, &f.work), "%s", f.why);
	snprintf(path, sizeof(path), "%s/broken", f.dir);
	T_NEED(!file_save(AT_FDCWD, path, S(""), 0600, &e), "%s", e.msg);
	fd = stream(&f, "import", NULL);
	shutdown(fd, SHUT_WR);
	T_CHECK(!strcmp(heard(&f, fd), "failed 5 it is broken\n") && !f.work.storage.restore[0], "told, and nothing is restored");
	unlink(path);
	fd = stream(&f, "import", NULL);
	T_CHECK(!take_away(&f, &f.work) && !strcmp(heard(&f, fd), ""), "who is removed ends what comes in");
	down(&f);
}

/* The last one was made in 1970, says the program: the next is due at once, and the one after that not. */
static void a_schedule_is_kept(void)
{
	struct fixture f;
	const char *said;

	up(&f);
	f.work.volume.snapshots = (struct snapshots){ .every_s = 3600, .keep = 7 };
	T_CHECK(!apply(&f, &f.work), "%s", f.why);
	(void)asked(&f);
	for (time_t patience = time(NULL) + 20; time(NULL) < patience && sd_event_run(f.event, 500000) > 0;)
		;
	said = asked(&f);
	T_CHECK(!strncmp(said, "snapshot /a data.1 auto-1", 25) && strstr(said, " 7\n") && !strchr(strchr(said, '\n') + 1, '\n'), "%s", said);
	down(&f);
}

/* Whether a document with one volume of SIZE and CLASS would be taken in the place of one with WAS (0 = none). */
static int admitted(struct fixture *f, unsigned kind, uint64_t size, unsigned class, uint64_t was, struct err *e)
{
	AUTO_DEPLOYMENT struct deployment *d = deployment_new(), *old = deployment_new();
	char disks[DEPLOYMENT_WORKLOADS_MAX][STORAGE_UUID_SIZE] = { 0 };
	int r;

	d->name = old->name = "site";
	d->n_workloads = old->n_workloads = 1;
	d->workloads[0] = (struct workload){ .name = kind == WORKLOAD_VOLUME ? "data" : "more",
					     .kind = kind,
					     .volume = { size, class, { 0 } },
					     .zmount = { size, class, 0 },
					     .zdb = { .size_bytes = size, .class = class } };
	old->workloads[0] = d->workloads[0];
	r = f->p->ops->admit(f->p, d, was ? old : NULL, disks, e);
	T_CHECK(!disks[0][0] == (r || was), "a disk is named for what is new: '%s'", disks[0]);
	return r;
}

static void what_does_not_fit_is_not_taken(void)
{
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	T_CHECK(!admitted(&f, WORKLOAD_VOLUME, 95 * GIB, DISK_ANY, 0, &e), "%s", e.msg);
	T_CHECK(admitted(&f, WORKLOAD_VOLUME, 96 * GIB, DISK_ANY, 0, &e) == -ENOSPC &&
			strstr(e.msg, "/workloads/0/data/size: no disk of class 'any'"),
		"%s", e.msg);
	T_CHECK(!admitted(&f, WORKLOAD_VOLUME, 40 * GIB, DISK_HDD, 0, &e) && admitted(&f, WORKLOAD_VOLUME, 50 * GIB, DISK_HDD, 0, &e) == -ENOSPC,
		"by class: %s", e.msg);
	T_CHECK(!admitted(&f, WORKLOAD_ZDB, 75 * GIB, DISK_ANY, 0, &e) && admitted(&f, WORKLOAD_ZDB, 77 * GIB, DISK_ANY, 0, &e) == -ENOSPC,
		"a store takes a quarter more: %s", e.msg);
	T_CHECK(!apply(&f, &f.work) && !apply(&f, &f.other), "%s", f.why);
	T_CHECK(!admitted(&f, WORKLOAD_VOLUME, 85 * GIB, 0, 10 * GIB, &e), "it may grow into what is left: %s", e.msg);
	T_CHECK(admitted(&f, WORKLOAD_VOLUME, 86 * GIB, 0, 10 * GIB, &e) == -ENOSPC && strstr(e.msg, "which has 75"), "%s", e.msg);
	T_CHECK(admitted(&f, WORKLOAD_ZMOUNT, 9 * GIB, 0, 10 * GIB, &e) == -EBADMSG && strstr(e.msg, "cannot shrink"), "%s", e.msg);
	T_CHECK(!admitted(&f, WORKLOAD_VOLUME, GIB, 0, 10 * GIB, &e), "an empty volume may shrink: %s", e.msg);
	char path[64];
	snprintf(path, sizeof(path), "%s/usage", f.dir);
	T_NEED(!file_save(AT_FDCWD, path, S("2147483648\n"), 0600, &e), "%s", e.msg);
	T_CHECK(admitted(&f, WORKLOAD_VOLUME, GIB, 0, 10 * GIB, &e) == -EBADMSG && strstr(e.msg, "below the 2147483648 that are in 'data'"), "%s",
		e.msg);
	T_CHECK(!admitted(&f, WORKLOAD_VOLUME, 2 * GIB, 0, 10 * GIB, &e), "down to what is used: %s", e.msg);
	f.n_disks = 0;
	T_CHECK(admitted(&f, WORKLOAD_VOLUME, GIB, 0, 0, &e) == -ENOSPC && strstr(e.msg, "no data disk"), "%s", e.msg);
	down(&f);
}

/* On a disk with which something is wrong nothing is begun, and what is there is told of it. */
static void a_degraded_disk_takes_nothing_new(void)
{
	struct provider_room ssd, hdd;
	struct fixture f;
	struct err e = { 0 };

	up(&f);
	T_CHECK(!apply(&f, &f.work) && !strcmp(f.work.storage.disk, "disk-a"), "%s", f.why);
	T_CHECK(!admitted(&f, WORKLOAD_VOLUME, 50 * GIB, DISK_ANY, 0, &e), "%s", e.msg);
	f.log.len = 0;
	volumes_judge(f.p);
	T_CHECK(!f.log.len, "nothing is wrong: %s", f.log.p);
	f.trouble = "2 blocks are wrong";
	volumes_judge(f.p);
	volumes_judge(f.p);
	T_CHECK(f.log.len && !strcmp(f.log.p, "changed data;") && !strcmp(f.work.storage.trouble, f.trouble), "once: %s", f.log.p);
	T_CHECK(admitted(&f, WORKLOAD_VOLUME, 50 * GIB, DISK_ANY, 0, &e) == -ENOSPC && strstr(e.msg, "degraded takes nothing new"), "%s", e.msg);
	T_CHECK(!admitted(&f, WORKLOAD_VOLUME, 40 * GIB, DISK_ANY, 0, &e), "the other one: %s", e.msg);
	f.p->ops->room(f.p, &ssd, &hdd);
	T_CHECK(ssd.bytes == ssd.used_bytes && hdd.bytes > hdd.used_bytes, "%llu", (unsigned long long)ssd.used_bytes);
	f.trouble = NULL;
	volumes_judge(f.p);
	T_CHECK(!f.work.storage.trouble[0], "%s", f.work.storage.trouble);
	down(&f);
}

int main(void)
{
	T_RUN(it_is_remembered_before_it_is_made);
	T_RUN(a_second_try_stays_on_its_disk);
	T_RUN(without_its_disk_it_waits);
	T_RUN(what_was_deleted_meanwhile_goes_when_its_disk_comes);
	T_RUN(snapshots_are_made_and_gone_back_to);
	T_RUN(archives_go_out_and_come_in);
	T_RUN(an_archive_that_fails_changes_nothing);
	T_RUN(a_schedule_is_kept);
	T_RUN(what_does_not_fit_is_not_taken);
	T_RUN(a_degraded_disk_takes_nothing_new);
	return T_END();
}
