#include "machine/probe.h"

#include "base/log.h"
#include "machine/runner.h"
#include "machine/root.h"
#include "machine/session.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { LOOK_GOOD = 0, LOOK_BAD = 1, LOOK_CANNOT = 2 }; /* the child's exit status */

[[noreturn]] static void say(int to, int status, const char *why)
{
	char text[PROBE_WHY_MAX];
	size_t n = 0;

	for (; why[n] && n < sizeof(text) - 1; n++)
		text[n] = why[n] < ' ' || why[n] > '~' ? '?' : why[n];
	_exit(write(to, text, n) == (ssize_t)n ? status : LOOK_BAD);
}

/* What the machine answers is read by nobody of consequence: the machine's own uid, no capability, no other file. */
static bool become_nobody(const struct machine_spec *s, int keep)
{
	const struct rlimit none = { 0, 0 };
	uid_t uid = root_uid_base(s);

	session_keep(keep, -1);
	return !setgroups(0, NULL) && !setresgid(uid, uid, uid) && !setresuid(uid, uid, uid) && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) && !setrlimit(RLIMIT_NPROC, &none);
}

static int machine_connect(const struct machine_spec *s, uint64_t port, int to)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char why[PROBE_WHY_MAX];

	if (inet_pton(AF_INET, s->address, &at.sin_addr) == 1 && fd >= 0 && !connect(fd, (struct sockaddr *)&at, sizeof(at)))
		return fd;
	snprintf(why, sizeof(why), "port %u: %s", (unsigned)port, strerror(errno));
	say(to, LOOK_BAD, why);
}

[[noreturn]] static void look_http(const struct machine_spec *s, int to)
{
	const struct health_http *h = &s->health.http;
	int fd = machine_connect(s, h->port, to), status = 0;
	char head[HEALTH_HTTP_HEAD], why[PROBE_WHY_MAX];
	size_t n = 0;
	ssize_t got;

	dprintf(fd, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: zos-health\r\nConnection: close\r\n\r\n", h->path, s->hostname);
	while (!status && (got = read(fd, head + n, sizeof(head) - n)) > 0)
		status = health_http_status((struct str){ head, n += (size_t)got });
	if (status >= 200 && status < 400)
		say(to, LOOK_GOOD, "");
	if (status > 0)
		snprintf(why, sizeof(why), "port %u answered %d to GET %s", (unsigned)h->port, status, h->path);
	else
		snprintf(why, sizeof(why), "port %u gave no HTTP answer to GET %s", (unsigned)h->port, h->path);
	say(to, LOOK_BAD, why);
}

[[noreturn]] static void look_tcp(const struct machine_spec *s, int to)
{
	machine_connect(s, s->health.tcp, to);
	say(to, LOOK_GOOD, "");
}

/* Listens to an exec session (doc/exec.md) until its last word; of what the program says the last line that fits is
 * kept. */
[[noreturn]] static void look_exec(int stream, int to)
{
	static struct exec_ear ear = { .from = EXEC_FROM_SERVER };
	char bytes[4096], why[PROBE_WHY_MAX + 64], said[48] = "";
	struct exec_frame f;
	ssize_t got;
	int r;

	while ((got = read(stream, bytes, sizeof(bytes))) > 0) {
		struct str p = { bytes, (size_t)got };

		while ((r = exec_ear_take(&ear, &p, &f)) == EXEC_EAR_FRAME) {
			if (f.type == EXEC_EXIT && !f.a)
				say(to, LOOK_GOOD, "");
			snprintf(why, sizeof(why), "the check ended with status %u%s%s", f.a, said[0] ? ": " : "", said);
			if (f.type == EXEC_EXIT)
				say(to, LOOK_BAD, why);
			snprintf(said, sizeof(said), STR_FMT, (int)(f.data.n < sizeof(said) ? f.data.n : sizeof(said) - 1), f.data.p ? f.data.p : "");
			said[strcspn(said, "\n")] = '\0';
			if (f.type == EXEC_FAILED)
				say(to, LOOK_BAD, said);
		}
		if (r < 0)
			break;
	}
	say(to, LOOK_BAD, "the check could not be heard out");
}

static void step(struct probe *p, enum health_event event);

static int on_look_end(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct probe *p = userdata;
	int status = si->si_code == CLD_EXITED ? si->si_status : -1;
	char why[PROBE_WHY_MAX];
	ssize_t n = read(p->from, why, sizeof(why) - 1);

	p->child = sd_event_source_disable_unref(source);
	fd_close(&p->from);
	if (p->health.state != HEALTH_LOOKING)
		return 0; /* it was given up: the machine is another by now */
	if (status == LOOK_GOOD || status == LOOK_BAD)
		snprintf(p->why, sizeof(p->why), "%.*s", n > 0 ? (int)n : 0, why);
	else if (status == -1)
		snprintf(p->why, sizeof(p->why), "no answer in %u s", (unsigned)p->health.check->timeout_s);
	step(p, status == LOOK_GOOD ? HEALTH_GOOD : status == LOOK_CANNOT ? HEALTH_CANNOT : HEALTH_BAD);
	return 0;
}

/* The session is another child's, as all are; -1 = all are taken. */
static int session_of(struct probe *p)
{
	const struct health_check *c = p->health.check;
	struct exec_program program = { .user = "", .workdir = "", .term = "" };
	int fd[2];

	for (size_t i = 0; i < EXEC_ARGS_MAX && i < sd_json_variant_elements(c->exec); i++)
		program.argv[i] = sd_json_variant_string(sd_json_variant_by_index(c->exec, i));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd))
		return -1;
	if (session_start(p->runner, &program, fd[0], NULL)) {
		close(fd[1]);
		return -1;
	}
	return fd[1];
}

[[noreturn]] static void look(const struct machine_spec *s, int stream, int to)
{
	if (s->health.exec) {
		if (stream < 0)
			say(to, LOOK_CANNOT, "");
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		session_keep(stream, to);
		look_exec(stream, to);
	}
	if (!become_nobody(s, to))
		say(to, LOOK_CANNOT, "");
	if (s->health.http.port)
		look_http(s, to);
	look_tcp(s, to);
}

static bool look_start(struct probe *p)
{
	AUTO_FD int stream = p->health.check->exec ? session_of(p) : -1;
	int fd[2];
	pid_t pid;

	if (p->child || pipe2(fd, O_CLOEXEC | O_NONBLOCK))
		return false;
	pid = fork();
	if (!pid)
		look(&p->runner->spec, stream, fd[1]);
	close(fd[1]);
	if (pid > 0 && sd_event_add_child(p->runner->event, &p->child, pid, WEXITED, on_look_end, p) >= 0) {
		p->from = fd[0];
		return true;
	}
	close(fd[0]);
	if (pid > 0)
		kill(pid, SIGKILL);
	return false;
}

static enum probe_told told_after(enum probe_told told, enum health_event event)
{
	if (event == HEALTH_UP || event == HEALTH_DOWN)
		return PROBE_WAITING;
	return event == HEALTH_GOOD ? PROBE_PASSING : event == HEALTH_BAD ? PROBE_FAILING : told;
}

static void step(struct probe *p, enum health_event event)
{
	enum probe_told before = p->told;
	uint64_t timer_ms;
	enum health_act act = health_step(&p->health, event, &timer_ms);

	p->told = told_after(before, event);
	sd_event_source_set_time_relative(p->timer, timer_ms * 1000);
	sd_event_source_set_enabled(p->timer, timer_ms ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	switch (act) {
	case HEALTH_LOOK:
		if (!look_start(p))
			step(p, HEALTH_CANNOT);
		break;
	case HEALTH_GIVE_UP:
		if (p->child)
			sd_event_source_send_child_signal(p->child, SIGKILL, NULL, 0);
		break;
	case HEALTH_PAUSE:
		if (event == HEALTH_BAD || (event == HEALTH_GOOD && before != PROBE_PASSING))
			runner_looked(p->runner);
		break;
	case HEALTH_RESTART:
		runner_unwell(p->runner);
		break;
	case HEALTH_NOTHING:
		break;
	case HEALTH_UNWRITTEN:
		bug(__FILE__, __LINE__, "a hole in the table");
	}
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	step(userdata, HEALTH_TIMER);
	return 0;
}

int probe_init(struct probe *p, struct runner *r, struct err *e)
{
	int ret;

	*p = (struct probe){ .runner = r, .health = { .check = &r->spec.health, .restarts = r->spec.restart != RESTART_NEVER }, .from = -1 };
	if ((ret = sd_event_add_time(r->event, &p->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timer, p)) < 0 ||
	    (ret = sd_event_source_set_enabled(p->timer, SD_EVENT_OFF)) < 0)
		return err_set(e, ret, "time the health check: %s", strerror(-ret));
	return 0;
}

void probe_deinit(struct probe *p)
{
	p->timer = sd_event_source_disable_unref(p->timer);
	p->child = sd_event_source_disable_unref(p->child);
	fd_close(&p->from);
}

void probe_up(struct probe *p)
{
	p->why[0] = '\0';
	if (p->health.check->failures)
		step(p, HEALTH_UP);
}

void probe_down(struct probe *p)
{
	if (p->timer)
		step(p, HEALTH_DOWN);
}
