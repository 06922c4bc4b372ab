/* A program in a machine, with this terminal or these files: doc/exec.md. The exit status of the program becomes that of zos. */
#include "cli/machine.h"

#include "sys/exec_wire.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

enum { CHUNK = 16384, BYE_MS = 2000 };
static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH }; /* of signals that go to the program */

struct attached {
	struct machine_client m;
	sd_event_source *stream, *input;
	struct buf out;      /* frames that wait to be sent */
	struct exec_ear ear;
	uint64_t window;     /* bytes of input that may be sent */
	bool tty, input_over;
	bool told, ended;    /* the last frame was heard; the stream is over */
	int status;          /* -1 = not told */
	char why[EXEC_WORD_MAX + 1];
};

static void terminal_raw(bool on)
{
	static struct termios before;
	static bool is_raw;
	struct termios raw;

	if (on && !tcgetattr(STDIN_FILENO, &before)) {
		raw = before;
		cfmakeraw(&raw);
		is_raw = !tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	} else if (!on && is_raw) {
		tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
		is_raw = false;
	}
}

static void kick(struct attached *a)
{
	bool may_read = !a->input_over && a->window;

	sd_event_source_set_io_events(a->stream, EPOLLIN | (a->out.len ? EPOLLOUT : 0u));
	if (a->input)
		sd_event_source_set_enabled(a->input, may_read ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void input_read(struct attached *a)
{
	char bytes[CHUNK];
	ssize_t n = read(STDIN_FILENO, bytes, a->window < sizeof(bytes) ? a->window : sizeof(bytes));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		exec_put_data(&a->out, EXEC_STDIN, (struct str){ bytes, (size_t)n });
		a->window -= (size_t)n;
	} else {
		exec_put(&a->out, EXEC_EOF, 0, 0);
		a->input_over = true;
	}
	kick(a);
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	(void)source;
	(void)fd;
	(void)events;
	input_read(userdata);
	return 0;
}

/* A file is always ready, and epoll does not take it. */
static int on_file(sd_event_source *source, void *userdata)
{
	(void)source;
	input_read(userdata);
	return 0;
}

static void frame_take(struct attached *a, const struct exec_frame *f)
{
	switch (f->type) {
	case EXEC_OUT:
	case EXEC_ERR:
		fwrite(f->data.p, 1, f->data.n, f->type == EXEC_OUT ? stdout : stderr);
		fflush(f->type == EXEC_OUT ? stdout : stderr);
		break;
	case EXEC_CREDIT:
		a->window += f->a;
		break;
	case EXEC_EXIT:
		a->status = (int)f->a;
		a->told = true;
		break;
	default:
		a->status = EXEC_STATUS_FAILED;
		snprintf(a->why, sizeof(a->why), STR_FMT, STR_ARG(f->data));
		a->told = true;
	}
	if (a->told) { /* so that the machine closes the stream and forgets the session before zos ends */
		a->input_over = true;
		exec_put(&a->out, EXEC_HANGUP, 0, 0);
	}
}

static int on_stream(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct attached *a = userdata;
	char bytes[CHUNK];
	struct exec_frame f;
	ssize_t n;
	int r = 0;

	if (events & EPOLLOUT && a->out.len && (n = send(fd, a->out.p, a->out.len, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
		buf_drop(&a->out, (size_t)n);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		n = read(fd, bytes, sizeof(bytes));
		struct str p = { bytes, n > 0 ? (size_t)n : 0 };
		while (n > 0 && (r = exec_ear_take(&a->ear, &p, &f)) == EXEC_EAR_FRAME)
			frame_take(a, &f);
		a->ended |= !n || r < 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
		a->told |= a->ended;
		if (a->ended)
			sd_event_source_set_enabled(source, SD_EVENT_OFF);
	}
	kick(a);
	return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	struct attached *a = userdata;
	struct winsize size;

	(void)source;
	if (si->ssi_signo != SIGWINCH)
		exec_put(&a->out, EXEC_SIGNAL, si->ssi_signo, 0);
	else if (a->tty && !ioctl(STDIN_FILENO, TIOCGWINSZ, &size))
		exec_put(&a->out, EXEC_RESIZE, size.ws_row, size.ws_col);
	kick(a);
	return 0;
}

static int arguments_make(const struct attached *a, const struct exec_args *args, const char **argv, sd_json_variant **ret)
{
	AUTO_JSON sd_json_variant *list = NULL;
	struct winsize size = { 0 };
	const char *term = getenv("TERM");
	int r = sd_json_variant_new_array_strv(&list, (char **)argv);

	if (a->tty)
		(void)ioctl(STDIN_FILENO, TIOCGWINSZ, &size);
	return r < 0 ? r
		     : sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("deployment", a->m.target.deployment),
				      SD_JSON_BUILD_PAIR_STRING("machine", a->m.target.machine), SD_JSON_BUILD_PAIR_VARIANT("argv", list),
				      SD_JSON_BUILD_PAIR_BOOLEAN("tty", a->tty), SD_JSON_BUILD_PAIR_UNSIGNED("rows", size.ws_row),
				      SD_JSON_BUILD_PAIR_UNSIGNED("cols", size.ws_col),
				      SD_JSON_BUILD_PAIR_CONDITION(args->user != NULL, "user", SD_JSON_BUILD_STRING(args->user)),
				      SD_JSON_BUILD_PAIR_CONDITION(args->workdir != NULL, "workdir", SD_JSON_BUILD_STRING(args->workdir)),
				      SD_JSON_BUILD_PAIR_CONDITION(a->tty && term, "term", SD_JSON_BUILD_STRING(term ? term : "")));
}

static int sources_add(struct attached *a, int fd, struct err *e)
{
	sd_event *event = a->m.client.event;
	int r = sd_event_add_io(event, &a->stream, fd, EPOLLIN, on_stream, a);

	if (r >= 0) {
		r = sd_event_add_io(event, &a->input, STDIN_FILENO, EPOLLIN, on_input, a);
		if (r == -EPERM)
			r = sd_event_add_defer(event, &a->input, on_file, a);
		if (r >= 0)
			r = sd_event_source_set_enabled(a->input, SD_EVENT_ON);
	}
	for (size_t i = 0; i < ARRAY_LEN(numbers) && r >= 0; i++)
		r = sd_event_add_signal(event, NULL, numbers[i], on_signal, a);
	return r < 0 ? err_set(e, r, "run it: %s", strerror(-r)) : 0;
}

/* Before libnats starts its threads, so that these signals reach the loop alone. */
static void signals_block(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		sigaddset(&set, numbers[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int attach(struct attached *a, const struct exec_args *args, const char **argv, struct err *e)
{
	AUTO_JSON sd_json_variant *arguments = NULL;
	int fd[2], r;

	if (arguments_make(a, args, argv, &arguments) < 0)
		return err_set(e, -ENOMEM, "ask the node: out of memory");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd))
		return err_set(e, -errno, "make a pipe: %m");
	AUTO_FD int ours = fd[1];
	if ((r = link_stream(&a->m.link, "zos.Machine.Exec", arguments, fd[0], e)))
		return r;
	if ((r = sources_add(a, ours, e)))
		return r;
	terminal_raw(a->tty && isatty(STDIN_FILENO));
	r = client_wait(&a->m.client, &a->told, 0);
	terminal_raw(false);
	if (!r && client_wait(&a->m.client, &a->ended, BYE_MS) < 0)
		a->ended = true; /* the node forgets the session by itself, a little later */
	if (r)
		return err_set(e, r, "run it: %s", strerror(-r));
	if (a->status < 0)
		return err_set(e, -EIO, "the session broke before the program ended%s%s", a->m.link.why[0] ? ": " : "", a->m.link.why);
	if (a->why[0])
		fprintf(stderr, "zos: %s\n", a->why);
	return a->status;
}

int cmd_exec(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct exec_args *x = args;
	static struct attached a;
	int r;

	(void)c;
	a = (struct attached){ .m = MACHINE_CLIENT_NONE, .ear.from = EXEC_FROM_SERVER, .window = EXEC_WINDOW, .status = -1 };
	a.tty = x->tty || (!x->no_tty && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO));
	signals_block();
	r = machine_open(&a.m, words[0], x->node, e);
	if (!r) {
		r = attach(&a, x, words + 1, e);
		sd_event_source_disable_unref(a.stream);
		sd_event_source_disable_unref(a.input);
	}
	machine_close(&a.m);
	buf_deinit(&a.out);
	return r;
}
