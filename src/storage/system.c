#include "storage/system.h"

#include "api/call.h"
#include "base/parse.h"
#include "storage/scan.h"
#include "svc/task.h"
#include "sys/uevent.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { SECONDS = 1000, ARG_MAX = 96 };

/* What carries out an act, and how long it may take: a disk that has to spin up answers after half a minute. */
#define DISK "disk"
#define KEYS "disk-keys"
static const struct {
	const char *program, *command;
	uint64_t deadline_ms;
} commands[LIFE_CHILDREN + 1] = {
	[LIFE_PROBE] = { DISK, "probe", 90 * SECONDS },   [LIFE_FORMAT] = { KEYS, "format", 300 * SECONDS },
	[LIFE_UNLOCK] = { KEYS, "unlock", 90 * SECONDS }, [LIFE_MOUNT] = { DISK, "mount", 300 * SECONDS },
	[LIFE_ERASE] = { DISK, "erase", CALL_DISK_MS },   [LIFE_RELEASE] = { DISK, "release", 90 * SECONDS },
	[LIFE_ESCROW] = { KEYS, "escrow", 90 * SECONDS }, [LIFE_RENEW] = { KEYS, "recover", 90 * SECONDS },
	[LIFE_CHECK] = { DISK, "check", 90 * SECONDS },   [LIFE_SCRUB] = { DISK, "scrub", 3600 * SECONDS },
	[LIFE_SMART] = { DISK, "smart", 90 * SECONDS },
};

static void answer_fail(struct answer *ret, const char *sentence)
{
	*ret = (struct answer){ .outcome = ANSWER_FAILED };
	snprintf(ret->text, sizeof(ret->text), "%s", sentence);
}

static void on_end(void *ctx, const struct task_end *end)
{
	struct storage_job *job = ctx;
	struct answer a;
	struct err e = { 0 };

	if (!end->went_well && end->why.code == -ETIMEDOUT)
		answer_fail(&a, "the disk does not answer: see its cable and its health");
	else if (!end->went_well)
		answer_fail(&a, end->why.msg);
	else if (answer_decode(end->output, &a, &e))
		answer_fail(&a, err_wrap(&e, e.code, "the program '%s' gave an answer that is none", commands[job->act].program) ? e.msg : "");
	storage_done(job->disk->storage, job, &a);
}

struct arguments {
	char text[TASK_ARGS_MAX][ARG_MAX];
	const char *argv[TASK_ARGS_MAX];
	size_t n;
};

__attribute__((format(printf, 2, 3))) static void argument_add(struct arguments *a, const char *fmt, ...)
{
	va_list ap;

	BUG_ON(a->n + 1 == TASK_ARGS_MAX);
	va_start(ap, fmt);
	BUG_ON(vsnprintf(a->text[a->n], ARG_MAX, fmt, ap) >= ARG_MAX);
	va_end(ap);
	a->argv[a->n] = a->text[a->n];
	a->n++;
}

static void arguments_make(const struct storage_system *s, const struct storage_job *job, struct arguments *a)
{
	const struct storage_disk *d = job->disk;
	const char *farm = job->act == LIFE_ESCROW ? s->storage->recovery.farm : s->storage->farm;

	argument_add(a, "%s/%s", s->programs, commands[job->act].program);
	argument_add(a, "%s", commands[job->act].command);
	argument_add(a, "--name=%s", d->found.name);
	argument_add(a, "--seq=%llu", (unsigned long long)d->found.diskseq);
	if (d->uuid[0])
		argument_add(a, "--uuid=%s", d->uuid);
	if (farm[0])
		argument_add(a, "--farm=%s", farm);
	if (d->found.is_rotational)
		argument_add(a, "--rotational");
	if (d->found.transport == STORAGE_SATA)
		argument_add(a, "--ata");
}

/* What others may not read in a child's arguments, or what is too long for them. RET: its standard input, -1 = none. */
static int input_make(const struct storage_job *job, int *ret, struct err *e)
{
	AUTO_SECRET struct buf secret = { 0 };
	const struct storage *s = job->disk->storage;
	struct str text = str_c(s->recovery.pub);

	*ret = -1;
	if (job->act != LIFE_ESCROW && job->act != LIFE_RENEW)
		return 0;
	if (job->act == LIFE_RENEW) {
		buf_reserve(&secret, 2 * RECOVERY_SECRET_LEN); /* grows at once: no copy is left behind */
		format_base64(&secret, job->disk->secret, sizeof(job->disk->secret));
		text = buf_str(&secret);
	}
	AUTO_FD int fd = memfd_create("disk", MFD_CLOEXEC);
	if (fd < 0 || buf_check(&secret) || write(fd, text.p, text.n) != (ssize_t)text.n)
		return err_set(e, -EIO, "tell the program '%s' what to do: %m", commands[job->act].program);
	*ret = take_fd(fd);
	return 0;
}

static int job_start(void *ctx, struct storage_job *job, struct err *e)
{
	struct storage_system *s = ctx;
	struct arguments a = { 0 };
	AUTO_FD int input = -1;
	int r = input_make(job, &input, e);

	if (r)
		return r;
	arguments_make(s, job, &a);
	return task_start(&job->task, s->event, a.argv, input, commands[job->act].deadline_ms, on_end, job, e);
}

static void job_stop(void *ctx, struct storage_job *job)
{
	(void)ctx;
	task_drop(job->task);
}

static int disks_list(void *ctx, struct storage_found *ret, size_t max, struct err *e)
{
	const struct storage_system *s = ctx;

	return scan_disks(s->sys, ret, max, e);
}

static bool has_drivers(void *ctx, enum storage_drivers needs)
{
	const struct storage_system *s = ctx;

	return scan_has_drivers(s->sys, needs);
}

/* What the events say is not looked at closely: they are the time to look at what is so. */
static int on_uevents(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct storage_system *s = userdata;
	static struct uevent u;
	bool disks = false, modules = false;
	int r;

	(void)source;
	(void)revents;
	while ((r = uevent_read(fd, &u)) != UEVENT_NONE) {
		const char *what = r ? "" : uevent_get(&u, "SUBSYSTEM");

		if (r < 0)
			return r;
		disks |= r == UEVENT_LOST || (what && !strcmp(what, "block"));
		modules |= r == UEVENT_LOST || (what && !strcmp(what, "module"));
	}
	if (disks)
		storage_rescan(s->storage);
	if (modules)
		storage_resume(s->storage);
	return 0;
}

int storage_system_init(struct storage_system *ret, struct storage *storage, sd_event *event, const char *programs,
			const struct storage_events *events, struct err *e)
{
	struct storage_ops ops = { .list = disks_list, .has_drivers = has_drivers, .start = job_start, .stop = job_stop, .ctx = ret };
	AUTO_FD int fd = -1;
	int r;

	*ret = (struct storage_system){ .event = sd_event_ref(event), .programs = programs, .sys = "/sys", .storage = storage };
	*storage = (struct storage)STORAGE_NONE;
	storage_init(storage, event, &ops, events);
	if ((r = uevent_open(SOCK_NONBLOCK, &fd, e)))
		return r;
	if ((r = sd_event_add_io(event, &ret->uevents, fd, EPOLLIN, on_uevents, ret)) < 0 ||
	    (r = sd_event_source_set_io_fd_own(ret->uevents, true)) < 0)
		return err_set(e, r, "follow the kernel's uevents: %s", strerror(-r));
	take_fd(fd);
	return 0;
}

void storage_system_deinit(struct storage_system *s)
{
	sd_event_source_disable_unref(s->uevents);
	sd_event_unref(s->event);
	*s = (struct storage_system)STORAGE_SYSTEM_NONE;
}
