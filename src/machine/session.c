#include "machine/session.h"

#include "base/log.h"
#include "svc/daemon.h"
#include "sys/exec.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

void session_keep(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);

	if (a < 0 || b < 0) { /* -1 is the lower one */
		close_range(3, high - 1, 0);
	} else {
		close_range(3, low - 1, 0);
		if (high > low + 1)
			close_range(low + 1, high - 1, 0);
	}
	close_range(high + 1, ~0u, 0);
}

static int on_end(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct runner_session *s = userdata;

	s->child = sd_event_source_disable_unref(source);
	s->spoilt = si->si_code != CLD_EXITED || si->si_status;
	if (s->spoilt)
		log_warn("a session of the machine ended badly");
	return 0;
}

[[noreturn]] static void child(struct runner *r, unsigned slot, const struct exec_program *p, int stream)
{
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(r->box->exec(r, slot, p, stream));
}

int session_start(struct runner *r, const struct exec_program *p, int stream, struct err *e)
{
	AUTO_FD int held = stream;
	unsigned slot = 0;
	pid_t pid;
	int ret;

	if (r->life.state != LIFE_RUNNING || r->hold != RUNNER_HOLD_NONE)
		return err_set(e, -EHOSTUNREACH, "the machine is %s: nothing can be run in it now", runner_state(r));
	if (r->spec.zdb.path)
		return err_set(e, -EHOSTUNREACH, "it is a zdb, and no machine to run a program in: reach it through 'zos forward'");
	if (!r->box->exec)
		return err_set(
			e, -EHOSTUNREACH,
			"the machine boots a disk image, and nothing of the node is in it to run a program: log in as to any other, through 'zos "
			"forward'");
	while (slot < EXEC_SESSIONS_MAX && (r->sessions[slot].child || r->sessions[slot].spoilt))
		slot++;
	if (slot == EXEC_SESSIONS_MAX)
		return err_set(e, -EBUSY, "%d sessions are open in this machine already: end one first", EXEC_SESSIONS_MAX);
	pid = fork();
	if (pid < 0)
		return err_set(e, -errno, "fork: %m");
	if (!pid)
		child(r, slot, p, held);
	r->sessions[slot].runner = r;
	ret = sd_event_add_child(r->event, &r->sessions[slot].child, pid, WEXITED, on_end, &r->sessions[slot]);
	if (ret >= 0)
		return 0;
	kill(pid, SIGKILL);
	return err_set(e, ret, "watch the session: %s", strerror(-ret));
}

void session_renew(struct runner *r)
{
	for (size_t i = 0; i < EXEC_SESSIONS_MAX; i++)
		r->sessions[i].spoilt = false;
}

void session_deinit(struct runner *r)
{
	for (size_t i = 0; i < EXEC_SESSIONS_MAX; i++)
		r->sessions[i].child = sd_event_source_disable_unref(r->sessions[i].child);
}

struct exec_args {
	sd_json_variant *argv;
	const char *user, *workdir, *term;
	bool tty;
	uint64_t rows, cols;
};
static const struct json_field exec_fields[] = {
	{ "argv", JSON_TEXTS, offsetof(struct exec_args, argv), .required = true, .min = 1, .max = EXEC_ARGS_MAX },
	{ "tty", JSON_BOOL, offsetof(struct exec_args, tty) },
	{ "rows", JSON_U64, offsetof(struct exec_args, rows), .max = 65535 },
	{ "cols", JSON_U64, offsetof(struct exec_args, cols), .max = 65535 },
	{ "user", JSON_TEXT, offsetof(struct exec_args, user), .max = 64 },
	{ "workdir", JSON_TEXT, offsetof(struct exec_args, workdir), .max = 4095 },
	{ "term", JSON_TEXT, offsetof(struct exec_args, term), .max = 64 },
};
const struct json_table runner_exec_table = { exec_fields, ARRAY_LEN(exec_fields), sizeof(struct exec_args), NULL };

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

int session_method(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *runner)
{
	struct runner *r = runner;
	struct exec_args a = { 0 };
	struct exec_program p = { 0 };
	struct err e = { 0 };
	int fd[2], ret;

	(void)flags;
	if ((ret = json_decode(parameters, &runner_exec_table, &a, &e)))
		return daemon_reply_error(link, ret, &e);
	p = (struct exec_program){ .tty = a.tty,
				   .rows = (uint32_t)a.rows,
				   .cols = (uint32_t)a.cols,
				   .user = or_empty(a.user),
				   .workdir = or_empty(a.workdir),
				   .term = or_empty(a.term) };
	for (size_t i = 0; i < EXEC_ARGS_MAX && i < sd_json_variant_elements(a.argv); i++)
		p.argv[i] = sd_json_variant_string(sd_json_variant_by_index(a.argv, i));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
		return daemon_reply_error(link, -errno, NULL);
	if ((ret = session_start(r, &p, fd[0], &e))) {
		close(fd[1]);
		return daemon_reply_error(link, ret, &e);
	}
	return runner_reply_fd(link, fd[1]);
}
