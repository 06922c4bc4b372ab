#include "svc/task.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

struct task {
	sd_event_source *child, *timer;
	char path[128];
	const char *program; /* in path, without its folder */
	int out;             /* our end of its standard output */
	void (*ended)(void *ctx, const struct task_end *end); /* NULL: nobody waits */
	void *ctx;
};

static void task_free(struct task *t)
{
	sd_event_source_disable_unref(t->child);
	sd_event_source_disable_unref(t->timer);
	fd_close(&t->out);
	free(t);
}

static void tell(struct task *t, const struct task_end *end)
{
	void (*ended)(void *, const struct task_end *) = t->ended;

	t->ended = NULL;
	if (ended)
		ended(t->ctx, end);
}

/* All of it lies in the pipe when its writer has ended: a pipe takes more than this. */
static struct str output_read(struct task *t, char *bytes, size_t size)
{
	size_t n = 0;
	ssize_t got;

	while (n < size && (got = read(t->out, bytes + n, size - n)) > 0)
		n += (size_t)got;
	while (n && bytes[n - 1] == '\n')
		n--;
	return (struct str){ bytes, n };
}

static struct str last_line(struct str text)
{
	struct str line = { "", 0 };

	while (str_next(&text, '\n', &line))
		;
	return line;
}

static int on_end(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct task *t = userdata;
	AUTO_FREE char *bytes = malloc(TASK_OUTPUT_MAX);
	struct task_end end = { .went_well = si->si_code == CLD_EXITED && !si->si_status };
	struct str last;

	(void)source;
	BUG_ON(!bytes);
	end.output = output_read(t, bytes, TASK_OUTPUT_MAX);
	last = last_line(end.output);
	if (!end.went_well && last.n)
		err_set(&end.why, -EIO, STR_FMT, STR_ARG(last));
	else if (!end.went_well)
		err_set(&end.why, -EIO, "the program '%s' ended with %s %d: 'zos node logs noded' may say more", t->program,
			si->si_code == CLD_EXITED ? "status" : "signal", si->si_status);
	tell(t, &end);
	task_free(t);
	return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct task *t = userdata;
	struct task_end end = { 0 };

	(void)source;
	(void)usec;
	log_warn("%s takes too long and is killed", t->program);
	sd_event_source_send_child_signal(t->child, SIGKILL, NULL, 0);
	err_set(&end.why, -ETIMEDOUT, "the program '%s' did not end in time", t->program);
	tell(t, &end); /* the end itself may never come */
	return 0;
}

static int child_spawn(const char *const *argv, int input, int out, pid_t *ret)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	int r;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	r = input < 0 ? posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
		      : posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	if (!r)
		r = posix_spawnattr_setsigmask(&attr, &none);
	if (!r)
		r = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	if (!r)
		r = posix_spawn(ret, argv[0], &files, &attr, (char **)argv, (char *[]){ NULL });
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -r;
}

static int watch(struct task *t, sd_event *event, pid_t pid, uint64_t deadline_ms)
{
	int r = sd_event_add_child(event, &t->child, pid, WEXITED, on_end, t);

	if (r < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return r;
	}
	return sd_event_add_time_relative(event, &t->timer, CLOCK_MONOTONIC, deadline_ms * 1000, 0, on_deadline, t);
}

int task_start(struct task **ret, sd_event *event, const char *const *argv, int input, uint64_t deadline_ms,
	       void (*ended)(void *, const struct task_end *), void *ctx, struct err *e)
{
	struct task *t = calloc(1, sizeof(*t));
	const char *slash;
	pid_t pid = 0;
	int out[2], r;

	BUG_ON(!t || strlen(argv[0]) >= sizeof(t->path));
	*t = (struct task){ .out = -1, .ended = ended, .ctx = ctx };
	snprintf(t->path, sizeof(t->path), "%s", argv[0]);
	slash = strrchr(t->path, '/');
	t->program = slash ? slash + 1 : t->path;
	r = pipe2(out, O_CLOEXEC) ? -errno : 0;
	if (!r) {
		t->out = out[0];
		r = fcntl(t->out, F_SETFL, O_NONBLOCK) ? -errno : child_spawn(argv, input, out[1], &pid);
		close(out[1]);
	}
	if (!r)
		r = watch(t, event, pid, deadline_ms);
	if (r < 0) {
		task_free(t);
		return err_set(e, r, "start %s: %s", argv[0], strerror(-r));
	}
	*ret = t;
	return 0;
}

void task_drop(struct task *t)
{
	if (!t)
		return;
	t->ended = NULL;
	sd_event_source_send_child_signal(t->child, SIGKILL, NULL, 0);
}
