#include "zdb/hook.h"

#include "base/log.h"
#include "zdb/resp.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

struct hook { /* one run */
	char *words[HOOK_WORDS_MAX + 1]; /* of the event; the first is its name */
	pid_t pid;
	int64_t began_s, ended_s; /* 0: it runs */
	int status;
};

struct hooks {
	const char *program, *id;
	struct store_watch watch;
	struct hook list[HOOKS_MAX]; /* oldest first */
	size_t n;
	int fd;
};

/* --- a crash --- */

static const char *crash_words[4]; /* ready before, as nothing can be made then */

static void on_crash(int sig)
{
	pid_t pid = _Fork();

	if (!pid) {
		execv(crash_words[0], (char **)crash_words);
		_exit(127);
	}
	raise(sig); /* its handler was for once: this time it ends the process */
}

static void watch_crashes(const char *program, const char *id)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	const struct sigaction action = { .sa_handler = on_crash, .sa_flags = SA_RESETHAND | SA_NODEFER };

	crash_words[0] = program;
	crash_words[1] = "crash";
	crash_words[2] = id;
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		(void)sigaction(signals[i], &action, NULL); /* these can all be handled */
}

/* --- the list --- */

static void hook_drop(struct hooks *h, size_t i)
{
	for (char **w = h->list[i].words; *w; w++)
		free(*w);
	h->n--;
	memmove(&h->list[i], &h->list[i + 1], (h->n - i) * sizeof(h->list[0]));
}

static void forget_old(struct hooks *h, int64_t now_s)
{
	for (size_t i = 0; i < h->n;)
		if (h->list[i].ended_s && h->list[i].ended_s + HOOKS_KEEP_S < now_s)
			hook_drop(h, i);
		else
			i++;
}

static bool make_room(struct hooks *h)
{
	forget_old(h, time(NULL));
	for (size_t i = 0; i < h->n && h->n == HOOKS_MAX; i++)
		if (h->list[i].ended_s)
			hook_drop(h, i);
	return h->n < HOOKS_MAX;
}

static void hook_ended(struct hook *k, int status)
{
	k->ended_s = time(NULL);
	k->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void hooks_reap(void *ctx)
{
	struct hooks *h = ctx;
	struct signalfd_siginfo info;

	while (read(h->fd, &info, sizeof(info)) > 0)
		;
	for (size_t i = 0; i < h->n; i++) {
		int status;

		if (!h->list[i].ended_s && waitpid(h->list[i].pid, &status, WNOHANG) == h->list[i].pid)
			hook_ended(&h->list[i], status);
	}
}

/* --- running --- */

static int spawn(const struct hooks *h, const char *event, const char *const *words, pid_t *ret)
{
	const char *argv[HOOK_WORDS_MAX + 4] = { h->program, event, h->id };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	int r;

	for (size_t i = 0; words[i]; i++)
		argv[3 + i] = words[i];
	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	r = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!r)
		r = posix_spawnattr_setsigmask(&attr, &none);
	if (!r)
		r = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	if (!r)
		r = posix_spawn(ret, h->program, &files, &attr, (char **)argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -r;
}

/* NULL: it could not be run, and that is said. */
static struct hook *run(struct hooks *h, const char *event, const char *const *words)
{
	struct hook k = { .began_s = time(NULL) };
	int r;

	if (!make_room(h)) {
		log_limited("hook %s is not run: %d of them have not ended yet", event, HOOKS_MAX);
		return NULL;
	}
	if ((r = spawn(h, event, words, &k.pid))) {
		log_limited("hook %s cannot be run: %s", event, strerror(-r));
		return NULL;
	}
	k.words[0] = strdup(event);
	BUG_ON(!k.words[0]);
	for (size_t i = 0; words[i]; i++) {
		k.words[i + 1] = strdup(words[i]);
		BUG_ON(!k.words[i + 1]);
	}
	h->list[h->n] = k;
	return &h->list[h->n++];
}

static void tell(void *ctx, const char *event, const char *const *words)
{
	(void)run(ctx, event, words);
}

static int ask(void *ctx, const char *event, const char *const *words)
{
	struct hook *k = run(ctx, event, words);
	int status;

	if (!k)
		return -1;
	while (waitpid(k->pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	hook_ended(k, status);
	return k->status;
}

static void list(void *ctx, struct buf *out)
{
	struct hooks *h = ctx;

	forget_old(h, time(NULL));
	resp_array(out, h->n);
	for (size_t i = 0; i < h->n; i++) {
		const struct hook *k = &h->list[i];
		size_t n = 0;

		while (k->words[n + 1])
			n++;
		resp_array(out, 6);
		resp_bulk(out, str_c(k->words[0]));
		resp_array(out, n);
		for (size_t w = 1; w <= n; w++)
			resp_bulk(out, str_c(k->words[w]));
		resp_number(out, k->pid);
		resp_number(out, k->began_s);
		resp_number(out, k->ended_s);
		resp_number(out, k->status);
	}
}

int hooks_new(const char *program, const char *id, struct hooks **ret, struct err *e)
{
	struct hooks *h;
	sigset_t set;

	if (access(program, X_OK))
		return err_set(e, -errno, "--hook: %s cannot be run: %m", program);
	h = calloc(1, sizeof(*h));
	BUG_ON(!h);
	*h = (struct hooks){ .program = program, .id = id, .watch = { .tell = tell, .ask = ask, .list = list, .ctx = h } };
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	h->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	BUG_ON(h->fd < 0);
	watch_crashes(program, id);
	*ret = h;
	return 0;
}

void hooks_free(struct hooks *h)
{
	if (!h)
		return;
	while (h->n)
		hook_drop(h, h->n - 1);
	fd_close(&h->fd);
	free(h);
}

int hooks_fd(const struct hooks *h)
{
	return h->fd;
}

const struct store_watch *hooks_watch(const struct hooks *h)
{
	return &h->watch;
}
