/* A whole line of a node on one machine: a hub, the engine over providers that do nothing, gridd, each a process of its own; and visitors. */
#pragma once
#include "grid_lab.h"

#include "api/call.h"
#include "base/parse.h"
#include "grid/link.h"
#include "line/gridd.h"
#include "node/serve.h"

#include <malloc.h>
#include <sys/un.h>

static struct {
	char dir[64], socket[96];
	struct key farm, owner;      /* the farm, and whom it allows */
	struct key peers[2];         /* other nodes, which a network of this one names */
	struct gridd_limits limits;
	bool is_bare;                /* none of its disks is there to keep nonces */
	pid_t engine, gridd;
	struct key_pub key;
	int control;                 /* to gridd: how much memory it holds */
	struct record record;        /* as the directory has it */
} node;

extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static inline int nothing(struct provider *p, struct work *w, struct err *e)
{
	(void)p;
	(void)w;
	(void)e;
	return 0;
}

static inline int on_echo(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	char bytes[64];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	(void)revents;
	(void)userdata;
	if (n > 0 && write(fd, bytes, (size_t)n) == n)
		return 0;
	close(fd);
	sd_event_source_disable_unref(source);
	return 0;
}

/* A stream that says what it hears, until that ends. */
static inline int echo(struct provider *p, struct work *w, const struct provider_stream *s, struct err *e)
{
	sd_event_source *source;
	int fd[2];

	(void)w;
	T_NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) &&
		       sd_event_add_io(((struct engine *)p->engine)->event, &source, fd[1], EPOLLIN, on_echo, NULL) >= 0,
	       "echo");
	s->ready(s->ctx, fd[0], NULL, 0, e);
	return 0;
}

static inline void farm_make(struct buf *ret)
{
	AUTO_BUF struct buf body = { 0 };
	char farm[KEY_TEXT_SIZE], owner[KEY_TEXT_SIZE];

	key_pub_format(farm, &node.farm.pub);
	key_pub_format(owner, &node.owner.pub);
	buf_addf(&body, "{\"name\":\"lab\",\"farm\":\"%s\",\"sequence\":1,\"hubs\":[{\"url\":\"%s\",\"key\":\"%s\"}],\"allow\":[{\"key\":\"%s\"}]}",
		 farm, hub.addr.url, hub.addr.key, owner);
	T_NEED(!dsse_sign(API_TYPE_FARM, buf_str(&body), &node.farm, 1, ret), "sign the farm document");
}

static inline _Noreturn void engine_run(int report)
{
	static const struct provider_ops ops = { .apply = nothing, .remove = nothing, .hold = nothing, .stream = echo };
	static struct provider provider = { .name = "any", .ops = &ops };
	struct provider *providers[STEPS];
	const char *dirs[] = { node.dir };
	struct engine engine = ENGINE_NONE;
	struct storage disks = STORAGE_NONE;
	struct serve serve = SERVE_NONE;
	AUTO_BUF struct buf farm = { 0 };
	char nonces[96];
	sd_event *event;
	struct err e = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(nonces, sizeof(nonces), "%s/nonces", node.dir);
	farm_make(&farm);
	for (size_t i = 0; i < STEPS; i++)
		providers[i] = &provider;
	T_NEED(sd_event_new(&event) >= 0 && !engine_init(&engine, event, dirs, 1, true, providers, &e) &&
		       !engine_set_farm(&engine, buf_str(&farm), &e) && !serve_init(&serve, &engine, &disks, node.socket, &e) &&
		       (node.is_bare || !nonces_add(&serve.nonces, nonces, time(NULL), &e)),
	       "%s", e.msg);
	for (size_t i = 0; i < ARRAY_LEN(node.peers); i++) {
		struct meeting_with with = { .owner = node.owner.pub, .node = node.peers[i].pub, .network = "lab/net" };

		T_NEED(!meet_want(&serve.meet, &with, &e), "%s", e.msg);
	}
	T_NEED(write(report, &engine.identity.pub, sizeof(engine.identity.pub)) == sizeof(engine.identity.pub), "report");
	sd_event_loop(event);
	_exit(1);
}

static inline int on_control(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	uint8_t ask;
	size_t n;

	(void)source;
	(void)revents;
	(void)userdata;
	if (read(fd, &ask, 1) != 1)
		_exit(0);
	n = __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes() : mallinfo2().uordblks;
	return write(fd, &n, sizeof(n)) == sizeof(n) ? 0 : -EIO;
}

static inline _Noreturn void gridd_run(int control)
{
	struct gridd g = GRIDD_NONE;
	sd_event *event;
	struct err e = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	T_NEED(sd_event_new(&event) >= 0 && sd_event_add_io(event, NULL, control, EPOLLIN, on_control, NULL) >= 0, "event");
	T_NEED(!gridd_init(&g, event, node.socket, &e), "%s", e.msg);
	g.limits = node.limits;
	sd_event_loop(event);
	_exit(1);
}

static inline size_t gridd_memory(void)
{
	size_t n = 0;

	T_NEED(write(node.control, "", 1) == 1 && read(node.control, &n, sizeof(n)) == sizeof(n), "gridd is gone");
	return n;
}

/* Of a farm whose hub is `hub`, or nowhere. */
static inline void engine_make(void)
{
	int report[2];

	if (!hub.pid)
		snprintf(hub.addr.url, sizeof(hub.addr.url), "nats://nowhere:1");
	snprintf(node.dir, sizeof(node.dir), "/tmp/line-net-XXXXXX");
	T_NEED(mkdtemp(node.dir) && !key_new(KEY_FARM, &node.farm) && !key_new(KEY_USER, &node.owner) && !key_new(KEY_NODE, &node.peers[0]) &&
		       !key_new(KEY_NODE, &node.peers[1]),
	       "fixture");
	snprintf(node.socket, sizeof(node.socket), "%s/sock", node.dir);
	T_NEED(!pipe(report), "pipe");
	if (!(node.engine = fork()))
		engine_run(report[1]);
	T_NEED(read(report[0], &node.key, sizeof(node.key)) == sizeof(node.key), "the engine did not start");
	close(report[0]);
	close(report[1]);
}

static inline void engine_remove(void)
{
	struct err e = { 0 };

	kill(node.engine, SIGKILL);
	T_CHECK(waitpid(node.engine, NULL, 0) == node.engine, "wait");
	T_CHECK(!tree_remove(AT_FDCWD, node.dir, &e), "%s", e.msg);
}

/* LIMITS NULL = gridd's own. */
static inline void node_make(const struct gridd_limits *limits)
{
	int control[2];

	hub_make();
	engine_make();
	node.limits = limits ? *limits : gridd_limits;
	T_NEED(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), "socketpair");
	if (!(node.gridd = fork()))
		gridd_run(control[1]);
	close(control[1]);
	node.control = control[0];
}

static inline void node_remove(void)
{
	record_deinit(&node.record);
	close(node.control);
	kill(node.gridd, SIGKILL);
	T_CHECK(waitpid(node.gridd, NULL, 0) == node.gridd, "wait");
	engine_remove();
	hub_remove();
}

static inline void on_record(void *userdata, int r, const char *key, struct str text)
{
	bool *over = userdata;

	if (key && !r)
		T_NEED(!record_open(text, time(NULL), &node.record, NULL), "the node's record");
	*over |= !key;
}

/* Asks the directory until the node's record is there. */
static inline void node_find(struct side *s)
{
	UNTIL(s, s->up);
	for (uint64_t end = log_now_ms() + DEADLINE_S * 1000; !node.record.inbox && log_now_ms() < end;) {
		struct directory_query *q;
		bool over = false;

		T_NEED(!directory_list(grid_hub(s->grid), on_record, &over, &q), "list");
		UNTIL(s, over);
		if (!node.record.inbox)
			run_for(s, 50);
	}
	T_NEED(node.record.inbox, "the node does not come into the directory");
}

/* Somebody with a session. */
struct visit {
	struct side *side;
	struct session *session; /* NULL = over */
	sd_varlink *link;
	struct key tls;
	bool open, over, answered;
	int result;
	char why[ERR_MSG_MAX];   /* of the end, or of the last refusal */
	sd_json_variant *reply;
};

static inline void visit_ready(void *userdata, struct session *s)
{
	(void)s;
	((struct visit *)userdata)->open = true;
}

static inline void visit_closed(void *userdata, struct session *s, const char *why)
{
	struct visit *v = userdata;

	(void)s;
	v->session = NULL;
	v->over = v->answered = true;
	v->result = -EPIPE;
	snprintf(v->why, sizeof(v->why), "%s", why);
}

static inline void visit_dial(struct side *s, struct visit *v)
{
	struct session_callbacks cb = { .ready = visit_ready, .closed = visit_closed, .userdata = v };
	uint8_t expected[32];
	struct err e = { 0 };

	*v = (struct visit){ .side = s, .tls = KEY_NONE };
	T_NEED(!key_new(KEY_USER, &v->tls) && !parse_hex(str_c(node.record.tls_key), expected, sizeof(expected)), "keys");
	T_NEED(!session_dial(s->grid, node.record.inbox, &v->tls, expected, &cb, &v->session, &e), "%s", e.msg);
}

static inline int visit_reply(sd_varlink *link, sd_json_variant *v, const char *error_id, sd_varlink_reply_flags_t flags, void *userdata)
{
	struct visit *who = userdata;
	sd_json_variant *message = sd_json_variant_by_key(v, "message");

	(void)link;
	(void)flags;
	who->answered = true;
	who->result = error_id ? call_error_code(error_id) : 0;
	if (error_id)
		snprintf(who->why, sizeof(who->why), "%s", sd_json_variant_is_string(message) ? sd_json_variant_string(message) : error_id);
	else
		who->reply = sd_json_variant_ref(v);
	return 0;
}

/* Sends ENVELOPE as PARAMETER of METHOD over LINK and waits for the answer. */
static inline int visit_send(struct visit *v, const char *method, const char *parameter, struct str envelope)
{
	AUTO_JSON sd_json_variant *one = NULL, *parameters = NULL;

	json_unrefp(&v->reply);
	v->answered = v->over;
	T_NEED(!json_parse(envelope, &one, NULL) && sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_VARIANT(parameter, one)) >= 0, "json");
	if (!v->over && sd_varlink_invoke(v->link, method, parameters) < 0)
		return -EPIPE;
	UNTIL(v->side, v->answered);
	return v->result;
}

static inline void visit_link(struct visit *v, int fd)
{
	T_NEED(sd_varlink_connect_fd(&v->link, fd) >= 0 && sd_varlink_bind_reply(v->link, visit_reply) >= 0 &&
		       sd_varlink_set_relative_timeout(v->link, UINT64_MAX) >= 0 &&
		       sd_varlink_attach_event(v->link, v->side->event, SD_EVENT_PRIORITY_NORMAL) >= 0,
	       "varlink");
	sd_varlink_set_userdata(v->link, v);
}

static inline int visit_login(struct visit *v, const struct key *user)
{
	AUTO_BUF struct buf login = { 0 };
	struct err e = { 0 };
	int pair[2];

	UNTIL(v->side, v->open || v->over);
	if (v->over)
		return -EPIPE;
	T_NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) && !session_attach(v->session, 0, pair[0], &e), "%s", e.msg);
	visit_link(v, pair[1]);
	T_NEED(!login_sign(user, &node.key, v->tls.pub.bytes, time(NULL) + 60, &login), "login");
	return visit_send(v, CALL_LOGIN, "login", buf_str(&login));
}

/* ARGUMENTS may be NULL. */
static inline int visit_call_with(struct visit *v, const struct key *user, const char *method, sd_json_variant *arguments)
{
	AUTO_BUF struct buf order = { 0 };

	T_NEED(!order_sign(user, &node.key, method, arguments, time(NULL) + 60, &order), "order");
	return visit_send(v, "zos.Order.Call", "order", buf_str(&order));
}

static inline int visit_call(struct visit *v, const struct key *user, const char *method)
{
	return visit_call_with(v, user, method, NULL);
}

/* The stream that an answer names; returns its other end. */
static inline int visit_stream(struct visit *v, const struct key *user)
{
	AUTO_JSON sd_json_variant *arguments = NULL;
	struct err e = { 0 };
	int pair[2];

	T_NEED(sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("name", "any")) >= 0, "json");
	T_NEED(!visit_call_with(v, user, "zos.Image.Push", arguments), "%s", v->why);
	T_NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) &&
		       !session_attach(v->session, (uint32_t)sd_json_variant_unsigned(sd_json_variant_by_key(v->reply, "stream")), pair[0], &e),
	       "%s", e.msg);
	return pair[1];
}

/* Dials and logs in as USER, or as a stranger. */
static inline int visit_open(struct side *s, struct visit *v, const struct key *user)
{
	struct key stranger = KEY_NONE;

	T_NEED(!key_new(KEY_USER, &stranger), "key");
	visit_dial(s, v);
	return visit_login(v, user ? user : &stranger);
}

static inline void visit_close(struct visit *v)
{
	if (v->link)
		sd_varlink_close_unref(v->link);
	if (v->session)
		session_close(v->session);
	json_unrefp(&v->reply);
	key_wipe(&v->tls);
	*v = (struct visit){ 0 };
}
