#include "sys/supervisor.h"

#include "base/log.h"
#include "sys/supervisor_wire.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

static const char *const state_names[SUPERVISOR_STATES] = {
	[SUPERVISOR_DOWN] = "down",           [SUPERVISOR_WAITING] = "waiting",
	[SUPERVISOR_STARTING] = "starting",   [SUPERVISOR_UP] = "up",
	[SUPERVISOR_STOPPING] = "stopping",   [SUPERVISOR_LEAVING] = "leaving",
	[SUPERVISOR_FINISHING] = "finishing", [SUPERVISOR_DRAINING] = "draining",
	[SUPERVISOR_BACKOFF] = "backoff",     [SUPERVISOR_DONE] = "done",
	[SUPERVISOR_SKIPPED] = "skipped",
};

const char *supervisor_state_name(enum supervisor_state s)
{
	return (unsigned)s < SUPERVISOR_STATES ? state_names[s] : "?";
}

static int link_open(const struct supervisor *s, struct err *e)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	AUTO_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_set(e, -errno, "make a socket for %s: %m", s->socket);
	if (strlen(s->socket) >= sizeof(at.sun_path))
		return err_set(e, -ENAMETOOLONG, "reach init: the socket's name %s is too long", s->socket);
	strcpy(at.sun_path, s->socket);
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)))
		return err_set(e, -errno, "reach init at %s: %m", s->socket);
	return take_fd(fd);
}

static int ask_send(int fd, enum supervisor_op op, const char *name, uint64_t from, struct err *e)
{
	struct supervisor_ask ask = { .version = SUPERVISOR_VERSION, .op = (uint8_t)op, .from = from };

	if (strlen(name) >= sizeof(ask.name))
		return err_set(e, -ENAMETOOLONG, "ask init about %.70s...: the name is too long", name);
	strcpy(ask.name, name);
	if (send(fd, &ask, sizeof(ask), MSG_NOSIGNAL) != (ssize_t)sizeof(ask))
		return err_set(e, -errno, "ask init: %m");
	return 0;
}

static int link_ask(const struct supervisor *s, enum supervisor_op op, const char *name, uint64_t from, struct err *e)
{
	AUTO_FD int fd = link_open(s, e);
	int r = fd < 0 ? fd : ask_send(fd, op, name, from, e);

	return r ? r : take_fd(fd);
}

static int fd_wait(int fd, uint64_t until_ms, struct err *e)
{
	for (;;) {
		uint64_t now = log_now_ms();
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int n = now < until_ms ? poll(&p, 1, (int)(until_ms - now)) : 0;

		if (n > 0)
			return 0;
		if (n == 0)
			return err_set(e, -ETIMEDOUT, "init did not answer in time");
		if (errno != EINTR)
			return err_set(e, -errno, "wait for init: %m");
	}
}

/* One answer. Returns the number of payload bytes, or the error that it carries. */
static int answer_receive(int fd, struct supervisor_answer *a, struct err *e)
{
	ssize_t n = recv(fd, a, sizeof(*a), 0);
	size_t payload;

	if (n < 0)
		return errno == EAGAIN ? -EAGAIN : err_set(e, -errno, "read init's answer: %m");
	if (n == 0)
		return err_set(e, -EPIPE, "init closed the connection: only root may ask, and a watcher has to keep up");
	if ((size_t)n < sizeof(a->head) || a->head.version != SUPERVISOR_VERSION)
		return err_set(e, -EBADMSG, "init's answer is malformed");
	payload = (size_t)n - sizeof(a->head);
	if (a->head.error)
		return err_set(e, -(int)a->head.error, "%.*s", (int)payload, a->bytes);
	return (int)payload;
}

static int answer_wait(int fd, uint64_t until_ms, struct supervisor_answer *a, struct err *e)
{
	for (;;) {
		int r = fd_wait(fd, until_ms, e);

		if (!r)
			r = answer_receive(fd, a, e);
		if (r != -EAGAIN)
			return r;
	}
}

static int unit_decode(const struct supervisor_record *w, int payload, struct supervisor_unit *ret, struct err *e)
{
	if (payload != sizeof(*w) || w->state >= SUPERVISOR_STATES || w->name[sizeof(w->name) - 1] || w->text[sizeof(w->text) - 1])
		return err_set(e, -EBADMSG, "init's answer is malformed");
	*ret = (struct supervisor_unit){
		.state = w->state, .pid = (pid_t)w->pid, .restarts = w->restarts, .exit_status = w->exit_status, .since_ms = w->since_ms
	};
	memcpy(ret->name, w->name, sizeof(ret->name));
	memcpy(ret->text, w->text, sizeof(ret->text));
	return 0;
}

/* Request and one answer. */
static int call(const struct supervisor *s, enum supervisor_op op, const char *name, uint64_t from, struct supervisor_answer *a, struct err *e)
{
	AUTO_FD int fd = link_ask(s, op, name, from, e);

	return fd < 0 ? fd : answer_wait(fd, log_now_ms() + s->timeout_ms, a, e);
}

int supervisor_start(const struct supervisor *s, const char *name, struct err *e)
{
	struct supervisor_answer a;
	int r = call(s, SUPERVISOR_OP_START, name, 0, &a, e);

	return r < 0 ? err_wrap(e, r, "start %s", name) : 0;
}

int supervisor_stop(const struct supervisor *s, const char *name, struct err *e)
{
	struct supervisor_answer a;
	int r = call(s, SUPERVISOR_OP_STOP, name, 0, &a, e);

	if (r == -ENOENT)
		return SUPERVISOR_UNKNOWN;
	return r < 0 ? err_wrap(e, r, "stop %s", name) : 0;
}

int supervisor_find(const struct supervisor *s, const char *name, struct supervisor_unit *ret, struct err *e)
{
	struct supervisor_answer a;
	int r = call(s, SUPERVISOR_OP_FIND, name, 0, &a, e);

	if (r == -ENOENT)
		return SUPERVISOR_UNKNOWN;
	return r < 0 ? err_wrap(e, r, "ask for %s", name) : unit_decode(&a.unit, r, ret, e);
}

int supervisor_list(const struct supervisor *s, struct supervisor_unit *ret, size_t max, struct err *e)
{
	AUTO_FD int fd = link_ask(s, SUPERVISOR_OP_LIST, "", 0, e);
	uint64_t until_ms = log_now_ms() + s->timeout_ms;
	struct supervisor_answer a = { 0 };
	size_t n = 0;

	if (fd < 0)
		return fd;
	for (;;) {
		int r = answer_wait(fd, until_ms, &a, e);

		if (r < 0)
			return err_wrap(e, r, "list services");
		if (a.head.last)
			return (int)n;
		if (n == max)
			return err_set(e, -ENOBUFS, "list services: there are more than %zu", max);
		r = unit_decode(&a.unit, r, &ret[n], e);
		if (r)
			return r;
		n++;
	}
}

int supervisor_log(const struct supervisor *s, const char *name, uint64_t *from, struct buf *ret, struct err *e)
{
	struct supervisor_answer a;
	int r = call(s, SUPERVISOR_OP_LOG, name, *from, &a, e);

	if (r < 0)
		return err_wrap(e, r, "read the log of %s", name);
	buf_add_bytes(ret, a.bytes, (size_t)r);
	if (buf_check(ret))
		return err_set(e, -ENOBUFS, "read the log of %s: no room for it", name);
	*from = a.head.next;
	return 0;
}

int supervisor_watch(const struct supervisor *s, struct err *e)
{
	AUTO_FD int fd = link_ask(s, SUPERVISOR_OP_WATCH, "", 0, e);
	struct supervisor_answer a;
	int r = fd < 0 ? fd : answer_wait(fd, log_now_ms() + s->timeout_ms, &a, e);

	return r < 0 ? err_wrap(e, r, "watch services") : take_fd(fd);
}

int supervisor_watch_read(int fd, struct supervisor_unit *ret, struct err *e)
{
	struct supervisor_answer a;
	int r = answer_receive(fd, &a, e);

	return r < 0 ? r : unit_decode(&a.unit, r, ret, e);
}

int supervisor_wait(const struct supervisor *s, const char *name, unsigned states, unsigned timeout_ms, struct supervisor_unit *ret, struct err *e)
{
	AUTO_FD int fd = supervisor_watch(s, e); /* before the first look, so that no change is missed */
	uint64_t until_ms = log_now_ms() + timeout_ms;
	struct supervisor_unit u = { 0 };
	int r = fd < 0 ? fd : supervisor_find(s, name, &u, e);

	if (r == SUPERVISOR_UNKNOWN)
		u = (struct supervisor_unit){ .state = SUPERVISOR_DOWN, .exit_status = -1 };
	while (r >= 0) {
		if ((r == SUPERVISOR_UNKNOWN || !strcmp(u.name, name)) && (states >> u.state & 1)) {
			*ret = u;
			return 0;
		}
		r = fd_wait(fd, until_ms, e);
		if (!r)
			r = supervisor_watch_read(fd, &u, e);
		if (r == -EAGAIN)
			r = 0;
	}
	return err_wrap(e, r, "wait for %s", name);
}

int supervisor_power(const struct supervisor *s, bool reboot, struct err *e)
{
	struct supervisor_answer a;
	int r = call(s, reboot ? SUPERVISOR_OP_REBOOT : SUPERVISOR_OP_POWEROFF, "", 0, &a, e);

	return r < 0 ? err_wrap(e, r, reboot ? "reboot" : "power off") : 0;
}
