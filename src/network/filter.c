#include "network/filter.h"

#include "base/log.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

static void filter_start_in(struct filter *f, uint64_t in_ms)
{
	sd_event_source_set_time_relative(f->timer, in_ms * 1000);
	sd_event_source_set_enabled(f->timer, SD_EVENT_ONESHOT);
}

static int on_loaded(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct filter *f = userdata;
	bool went_well = si->si_code == CLD_EXITED && !si->si_status;

	(void)source;
	f->child = sd_event_source_disable_unref(f->child);
	sd_event_source_set_enabled(f->timer, SD_EVENT_OFF);
	if (!went_well)
		log_err("the packet filter stays as it was: its loader ended with %s %d; again in %d ms",
			si->si_code == CLD_EXITED ? "status" : "signal", si->si_status, FILTER_AGAIN_MS);
	f->is_stale |= !went_well;
	if (f->is_stale)
		filter_start_in(f, went_well ? FILTER_SETTLE_MS : FILTER_AGAIN_MS);
	return 0;
}

/* The rules as the child's standard input. Returns owned. */
static int rules_file(const struct rules *r)
{
	AUTO_BUF struct buf text = { 0 };
	AUTO_FD int fd = memfd_create("rules", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	rules_format(r, &text);
	if (fd < 0 || buf_check(&text) || write(fd, text.p, text.len) != (ssize_t)text.len || lseek(fd, 0, SEEK_SET))
		return -EIO;
	return take_fd(fd);
}

static int child_spawn(const struct filter *f, int rules_fd, pid_t *ret)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	int r;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	r = posix_spawn_file_actions_adddup2(&files, rules_fd, STDIN_FILENO);
	if (!r)
		r = posix_spawnattr_setsigmask(&attr, &none);
	if (!r)
		r = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	if (!r)
		r = posix_spawn(ret, f->program, &files, &attr, (char *[]){ (char *)f->program, NULL }, (char *[]){ NULL });
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -r;
}

static void filter_start(struct filter *f)
{
	AUTO_FD int rules_fd = rules_file(&f->rules);
	pid_t pid = 0;
	int r = rules_fd < 0 ? rules_fd : child_spawn(f, rules_fd, &pid);

	if (!r && (r = sd_event_add_child(f->event, &f->child, pid, WEXITED, on_loaded, f)) < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	if (r < 0)
		log_err("start %s: %s; again in %d ms", f->program, strerror(-r), FILTER_AGAIN_MS);
	f->is_stale = r < 0;
	filter_start_in(f, r < 0 ? FILTER_AGAIN_MS : FILTER_DEADLINE_MS);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct filter *f = userdata;

	(void)source;
	(void)usec;
	if (f->child)
		sd_event_source_send_child_signal(f->child, SIGKILL, NULL, 0); /* its end says the rest */
	else
		filter_start(f);
	return 0;
}

int filter_init(struct filter *ret, sd_event *event, const char *program, struct err *e)
{
	int r;

	*ret = (struct filter){ .event = sd_event_ref(event), .program = program };
	if ((r = sd_event_add_time(event, &ret->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timer, ret)) < 0)
		return err_set(e, r, "make a timer: %s", strerror(-r));
	sd_event_source_set_enabled(ret->timer, SD_EVENT_OFF);
	return 0;
}

/* A child under way is left alone: what it does is whole, and somebody else's from now on. */
void filter_deinit(struct filter *f)
{
	sd_event_source_disable_unref(f->child);
	sd_event_source_disable_unref(f->timer);
	sd_event_unref(f->event);
	*f = (struct filter)FILTER_NONE;
}

void filter_change(struct filter *f)
{
	f->is_stale = true;
	if (!f->child)
		filter_start_in(f, FILTER_SETTLE_MS);
}

bool filter_is_current(const struct filter *f)
{
	return !f->is_stale && !f->child;
}
