#include "init/control.h"

#include "base/log.h"
#include "init/init.h"
#include "sys/supervisor_wire.h"

#include <stdio.h>
#include <sys/socket.h>

static_assert((int)RING_LINE_MAX <= (int)SUPERVISOR_PAYLOAD_MAX);

static void conn_close(struct init *in, size_t conn)
{
	fd_close(&in->conns[conn].fd);
	in->conns[conn].is_watching = false;
}

void control_accept(struct init *in)
{
	AUTO_FD int fd = accept4(in->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred who = { .uid = (uid_t)-1 };
	socklen_t n = sizeof(who);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) || who.uid != 0)
		return;
	for (size_t i = 0; i < INIT_CONNS_MAX; i++) {
		if (in->conns[i].fd >= 0)
			continue;
		if (!init_poll(in, fd, INIT_KEY_CONN, i))
			in->conns[i].fd = take_fd(fd);
		return;
	}
}

static void answer(struct init *in, size_t conn, struct supervisor_answer *a, size_t payload)
{
	size_t n = sizeof(a->head) + payload;

	a->head.version = SUPERVISOR_VERSION;
	if (send(in->conns[conn].fd, a, n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)n)
		conn_close(in, conn);
}

static void answer_ok(struct init *in, size_t conn, enum supervisor_op op)
{
	struct supervisor_answer a = { .head = { .op = (uint8_t)op, .last = 1 } };

	answer(in, conn, &a, 0);
}

static void answer_error(struct init *in, size_t conn, enum supervisor_op op, int error, const char *sentence)
{
	struct supervisor_answer a = { .head = { .op = (uint8_t)op, .last = 1, .error = (uint32_t)error } };
	int n = snprintf(a.bytes, sizeof(a.bytes), "%s", sentence);

	answer(in, conn, &a, (size_t)n);
}

static void answer_unit(struct init *in, size_t conn, enum supervisor_op op, const struct unit *u, bool is_last)
{
	struct supervisor_answer a = { .head = { .op = (uint8_t)op, .last = is_last } };

	a.unit = (struct supervisor_record){
		.state = u->state, .pid = (uint32_t)u->pid, .restarts = u->restarts, .exit_status = u->exit_status, .since_ms = u->since_ms
	};
	memcpy(a.unit.name, u->name, sizeof(a.unit.name));
	memcpy(a.unit.text, u->text, sizeof(a.unit.text));
	answer(in, conn, &a, sizeof(a.unit));
}

void control_tell(struct init *in, const struct unit *u)
{
	for (size_t i = 0; i < INIT_CONNS_MAX; i++)
		if (in->conns[i].fd >= 0 && in->conns[i].is_watching)
			answer_unit(in, i, SUPERVISOR_OP_WATCH, u, true);
}

static void op_list(struct init *in, size_t conn, const struct supervisor_ask *ask)
{
	for (size_t i = 0; i < in->units_n && in->conns[conn].fd >= 0; i++)
		if (in->units[i].service)
			answer_unit(in, conn, ask->op, &in->units[i], false);
	if (in->conns[conn].fd >= 0)
		answer_ok(in, conn, ask->op);
}

static void op_find(struct init *in, size_t conn, const struct supervisor_ask *ask)
{
	const struct unit *u = unit_find(in, ask->name);

	if (u)
		answer_unit(in, conn, ask->op, u, true);
	else
		answer_error(in, conn, ask->op, ENOENT, "there is no such service");
}

/* [a-z0-9][a-z0-9._-]*: it becomes the name of a group and an argument. */
static bool instance_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (!is_plain && (!i || (c != '.' && c != '_' && c != '-')))
			return false;
	}
	return s.n;
}

static const struct service *template_of(const struct init *in, const char *name, const char **ret_instance)
{
	struct str rest = str_c(name), head;

	str_next(&rest, '@', &head);
	for (size_t i = 0; i < in->setup.services_n; i++) {
		const struct service *s = &in->setup.services[i];

		if (!s->is_template || !rest.p || !str_eq(str_c(s->name), head) || !instance_ok(rest))
			continue;
		*ret_instance = rest.p;
		return s;
	}
	return NULL;
}

static void op_start(struct init *in, size_t conn, const struct supervisor_ask *ask)
{
	const char *instance = NULL;
	const struct service *s = template_of(in, ask->name, &instance);
	struct unit *u = unit_find(in, ask->name);

	if (!s)
		return answer_error(in, conn, ask->op, EPERM, "only NAME@ID of a template can be started");
	if (in->power)
		return answer_error(in, conn, ask->op, ESHUTDOWN, "the system is going down");
	if (!u)
		u = unit_add(in, s, instance);
	if (!u)
		return answer_error(in, conn, ask->op, ENOSPC, "no place is left for another service");
	u->is_wanted = true;
	unit_event(in, u, UNIT_EV_WANT_UP, log_now_ms());
	answer_ok(in, conn, ask->op);
}

static void op_stop(struct init *in, size_t conn, const struct supervisor_ask *ask)
{
	struct unit *u = unit_find(in, ask->name);

	if (!u)
		return answer_error(in, conn, ask->op, ENOENT, "there is no such service");
	if (!u->instance)
		return answer_error(in, conn, ask->op, EPERM, "only NAME@ID of a template can be stopped");
	u->is_wanted = false;
	unit_event(in, u, UNIT_EV_WANT_DOWN, log_now_ms());
	answer_ok(in, conn, ask->op);
}

static void op_log(struct init *in, size_t conn, const struct supervisor_ask *ask)
{
	struct supervisor_answer a = { .head = { .op = ask->op, .last = 1, .next = ask->from } };
	const struct unit *u = unit_find(in, ask->name);

	if (!u && strcmp(ask->name, "init"))
		return answer_error(in, conn, ask->op, ENOENT, "there is no such service");
	answer(in, conn, &a, ring_read(u ? &u->ring : &in->ring, &a.head.next, a.bytes, sizeof(a.bytes)));
}

static void op_watch(struct init *in, size_t conn, const struct supervisor_ask *ask)
{
	in->conns[conn].is_watching = true;
	answer_ok(in, conn, ask->op);
}

static void op_power(struct init *in, size_t conn, const struct supervisor_ask *ask)
{
	bool is_reboot = ask->op == SUPERVISOR_OP_REBOOT;

	answer_ok(in, conn, ask->op);
	init_power(in, is_reboot ? INIT_POWER_REBOOT : INIT_POWER_OFF, "asked over the control socket");
}

static void (*const ops[SUPERVISOR_OPS])(struct init *in, size_t conn, const struct supervisor_ask *ask) = {
	[SUPERVISOR_OP_LIST] = op_list, [SUPERVISOR_OP_FIND] = op_find,   [SUPERVISOR_OP_START] = op_start,    [SUPERVISOR_OP_STOP] = op_stop,
	[SUPERVISOR_OP_LOG] = op_log,   [SUPERVISOR_OP_WATCH] = op_watch, [SUPERVISOR_OP_POWEROFF] = op_power, [SUPERVISOR_OP_REBOOT] = op_power,
};

void control_serve(struct init *in, size_t conn)
{
	static const uint8_t zero[6];
	struct supervisor_ask ask;
	ssize_t n = recv(in->conns[conn].fd, &ask, sizeof(ask), MSG_TRUNC);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n != (ssize_t)sizeof(ask) || ask.version != SUPERVISOR_VERSION || ask.name[sizeof(ask.name) - 1] ||
	    memcmp(ask.zero, zero, sizeof(zero)) || ask.op >= SUPERVISOR_OPS || !ops[ask.op])
		return conn_close(in, conn); /* closed by the peer, or not of this protocol */
	ops[ask.op](in, conn, &ask);
}
