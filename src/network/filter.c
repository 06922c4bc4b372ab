#include "network/filter.h"

#include "base/log.h"

#include <stdio.h>
#include <sys/mman.h>

static void filter_start_in(struct filter *f, uint64_t in_ms)
{
	sd_event_source_set_time_relative(f->timer, in_ms * 1000);
	sd_event_source_set_enabled(f->timer, SD_EVENT_ONESHOT);
}

static void on_loaded(void *ctx, const struct task_end *end)
{
	struct filter *f = ctx;

	f->task = NULL;
	if (!end->went_well)
		log_err("the packet filter stays as it was: %s; again in %d ms", end->why.msg, FILTER_AGAIN_MS);
	f->is_stale |= !end->went_well;
	if (f->is_stale)
		filter_start_in(f, end->went_well ? FILTER_SETTLE_MS : FILTER_AGAIN_MS);
	if (f->o.loaded)
		f->o.loaded(f->o.ctx, end->went_well ? 0 : -EIO, &end->why);
}

/* The rules as the child's standard input. Returns owned. */
static int rules_file(const struct filter_options *o)
{
	AUTO_BUF struct buf text = { 0 };
	AUTO_FD int fd = memfd_create("rules", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	o->format(o->ctx, &text);
	if (fd < 0 || buf_check(&text) || write(fd, text.p, text.len) != (ssize_t)text.len || lseek(fd, 0, SEEK_SET))
		return -EIO;
	return take_fd(fd);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct filter *f = userdata;
	const char *const argv[] = { f->o.program, f->o.netns ? "in" : NULL, f->o.netns, NULL };
	AUTO_FD int rules_fd = rules_file(&f->o);
	struct err e = { 0 };
	int r = rules_fd < 0 ? err_set(&e, rules_fd, "write the rules down")
			     : task_start(&f->task, f->event, argv, rules_fd, FILTER_DEADLINE_MS, on_loaded, f, &e);

	(void)source;
	(void)usec;
	if (r)
		log_err("%s; again in %d ms", e.msg, FILTER_AGAIN_MS);
	f->is_stale = r;
	if (r)
		filter_start_in(f, FILTER_AGAIN_MS);
	return 0;
}

int filter_init(struct filter *ret, sd_event *event, const struct filter_options *o, struct err *e)
{
	int r;

	*ret = (struct filter){ .event = sd_event_ref(event), .o = *o };
	if ((r = sd_event_add_time(event, &ret->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timer, ret)) < 0)
		return err_set(e, r, "make a timer: %s", strerror(-r));
	sd_event_source_set_enabled(ret->timer, SD_EVENT_OFF);
	return 0;
}

/* A load under way is whole or not at all; who begins next loads again. */
void filter_deinit(struct filter *f)
{
	task_drop(f->task);
	sd_event_source_disable_unref(f->timer);
	sd_event_unref(f->event);
	*f = (struct filter)FILTER_NONE;
}

void filter_change(struct filter *f)
{
	f->is_stale = true;
	if (!f->task)
		filter_start_in(f, FILTER_SETTLE_MS);
}

bool filter_is_current(const struct filter *f)
{
	return !f->is_stale && !f->task;
}
