/* For tests of what becomes of disks: a kernel and children made here, that do what the test says. */
#pragma once
#include "storage/storage.h"

#include "base/file.h"
#include "base/parse.h"
#include "test/t.h"

#include <stdio.h>
#include <time.h>

#define UUID "01234567-89ab-cdef-0123-456789abcdef"
enum { DISKS = 16, LOG = 4096 };

struct kernel {
	struct storage_found disks[DISKS];
	size_t n;
	struct storage_job *jobs[DISKS];
	size_t n_jobs;
	enum storage_drivers drivers;
	int fail_at;    /* the n-th start fails; 0 = none */
	char log[LOG];  /* what was started and told, each with its disk */
	int n_settled;
};

static void note(struct kernel *k, const char *what, const char *disk)
{
	size_t n = strlen(k->log);

	snprintf(k->log + n, sizeof(k->log) - n, "%s%s %s", n ? ", " : "", what, disk);
}

static int fake_list(void *ctx, struct storage_found *ret, size_t max, struct err *e)
{
	struct kernel *k = ctx;

	(void)e;
	BUG_ON(k->n > max);
	memcpy(ret, k->disks, k->n * sizeof(*ret));
	return (int)k->n;
}

static bool fake_has_drivers(void *ctx, enum storage_drivers needs)
{
	return !(needs & ~((struct kernel *)ctx)->drivers);
}

static int fake_start(void *ctx, struct storage_job *job, struct err *e)
{
	static const char *const names[] = { [LIFE_PROBE] = "probe", [LIFE_FORMAT] = "format",   [LIFE_UNLOCK] = "unlock", [LIFE_MOUNT] = "mount",
					     [LIFE_ERASE] = "erase", [LIFE_RELEASE] = "release", [LIFE_CHECK] = "check",   [LIFE_SCRUB] = "scrub",
					     [LIFE_SMART] = "smart", [LIFE_ESCROW] = "escrow",   [LIFE_RENEW] = "renew" };
	struct kernel *k = ctx;

	if (k->fail_at && !--k->fail_at)
		return err_set(e, -ENOMEM, "fake: no process");
	note(k, names[job->act], job->disk->found.name);
	k->jobs[k->n_jobs++] = job;
	return 0;
}

static void job_drop(struct kernel *k, const struct storage_job *job)
{
	for (size_t i = 0; i < k->n_jobs; i++)
		if (k->jobs[i] == job) {
			memmove(&k->jobs[i], &k->jobs[i + 1], (--k->n_jobs - i) * sizeof(k->jobs[0]));
			return;
		}
	bug(__FILE__, __LINE__, "a job that was not started");
}

static void fake_stop(void *ctx, struct storage_job *job)
{
	note(ctx, "stop", job->disk->found.name);
	job_drop(ctx, job);
}

static void on_ready(void *ctx, const struct storage_disk *d)
{
	note(ctx, "READY", d->found.name);
}

static void on_gone(void *ctx, const struct storage_disk *d)
{
	note(ctx, "GONE", d->found.name);
}

static void on_settled(void *ctx)
{
	((struct kernel *)ctx)->n_settled++;
	note(ctx, "SETTLED", "");
}

/* The oldest child ends with these words. */
static void end(struct storage *s, struct kernel *k, const struct answer *a)
{
	T_NEED(k->n_jobs, "no child runs: %s", k->log);
	struct storage_job *job = k->jobs[0];

	job_drop(k, job);
	storage_done(s, job, a);
}

#define END(outcome_, ...) end(&s, &k, &(struct answer){ .outcome = (outcome_), __VA_ARGS__ })
#define LOG_IS(want)                                                          \
	do {                                                                  \
		T_CHECK(!strcmp(k.log, want), "'%s', not '%s'", k.log, want); \
		k.log[0] = '\0';                                              \
	} while (0)

static void plug(struct kernel *k, const char *name, const char *serial, uint64_t seq, enum storage_transport transport)
{
	struct storage_found *f = &k->disks[k->n++];

	*f = (struct storage_found){ .size_bytes = 1ull << 40, .diskseq = seq, .transport = transport };
	snprintf(f->name, sizeof(f->name), "%s", name);
	snprintf(f->serial, sizeof(f->serial), "%s", serial);
}

static void setup(struct storage *s, struct kernel *k)
{
	const struct storage_ops ops = { fake_list, fake_has_drivers, fake_start, fake_stop, k };
	const struct storage_events events = { .ready = on_ready, .gone = on_gone, .settled = on_settled, .ctx = k };
	sd_event *event = NULL;

	*k = (struct kernel){ .drivers = STORAGE_UNLOCKS | STORAGE_MOUNTS };
	T_NEED(sd_event_new(&event) >= 0, "make a loop");
	storage_init(s, event, &ops, &events);
	sd_event_unref(event);
}

/* Looks for the disks that were plugged in. */
static void start(struct storage *s)
{
	struct err e = { 0 };

	T_NEED(!storage_start(s, &e), "%s", e.msg);
}

/* A node with one disk, which is being probed. */
static void setup_one(struct storage *s, struct kernel *k)
{
	setup(s, k);
	plug(k, "vda", "one", 1, STORAGE_VIRTIO);
	start(s);
}

/* ... and it is ready. */
static void setup_ready(struct storage *s, struct kernel *k)
{
	setup_one(s, k);
	end(s, k, &(struct answer){ .outcome = ANSWER_OURS, .uuid = UUID });
	end(s, k, &(struct answer){ .outcome = ANSWER_DONE, .key = ANSWER_KEY_DISK });
	end(s, k, &(struct answer){ .outcome = ANSWER_DONE, .has_care = true, .care.scrub.ended_s = (uint64_t)time(NULL) });
	s->disks->smart_from_s = UINT64_MAX; /* a test of that says when */
	k->log[0] = '\0';
}

#define CARED(...) END(ANSWER_DONE, .has_care = true, .care = { .scrub.ended_s = (uint64_t)time(NULL), __VA_ARGS__ })

/* The time has come that would come in a while. */
static void due(struct storage *s)
{
	T_NEED(sd_event_source_set_time_relative(s->disks->timer, 0) >= 0 && sd_event_run(s->event, 0) > 0, "it waits for no time");
}

/* Lets the loop run until the disk's timer has fired. */
static void pass(struct storage *s)
{
	T_NEED(sd_event_run(s->event, (uint64_t)STORAGE_AGAIN_MS * 3000) > 0, "nothing happened");
}
