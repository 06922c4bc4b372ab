#include "cli/machine.h"

#include "base/parse.h"
#include "cli/loglines.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

int target_parse(const char *text, struct target *ret, struct err *e)
{
	struct str rest = str_c(text), first = { 0 };

	str_next(&rest, '/', &first);
	if (!name_ok(first) || (rest.p && !name_ok(rest)))
		return err_set(e, -EINVAL, "'%s' is no machine: write DEPLOYMENT or DEPLOYMENT/MACHINE", text);
	snprintf(ret->deployment, sizeof(ret->deployment), STR_FMT, STR_ARG(first));
	snprintf(ret->machine, sizeof(ret->machine), STR_FMT, STR_ARG(rest.p ? rest : first));
	return 0;
}

int machine_open(struct machine_client *m, const char *text, const char *node, struct err *e)
{
	const struct record *where;
	int r;

	*m = (struct machine_client)MACHINE_CLIENT_NONE;
	if ((r = target_parse(text, &m->target, e)) || (r = client_open(&m->client, KEY_USER, e)) ||
	    (r = deployment_node(&m->client, node, m->target.deployment, &where, e)))
		return r;
	return link_open(&m->client, where, &m->link, e);
}

void machine_close(struct machine_client *m)
{
	link_close(&m->link);
	client_close(&m->client);
}

int machine_arguments(const struct machine_client *m, sd_json_variant **ret, struct err *e)
{
	if (sd_json_buildo(ret, SD_JSON_BUILD_PAIR_STRING("deployment", m->target.deployment),
			   SD_JSON_BUILD_PAIR_STRING("machine", m->target.machine)) < 0)
		return err_set(e, -ENOMEM, "ask the node: out of memory");
	return 0;
}

struct logs_args {
	const char *node, *since;
	bool follow;
};
static const struct opt logs_opts[] = {
	OPT_SHORT(struct logs_args, follow, "follow", 'f', NULL, "go on with what comes"),
	OPT(struct logs_args, since, "since", "WHEN", "from then on: 10m (ago, by this machine's clock) or 2026-01-31T12:00:00Z"),
	OPT(struct logs_args, node, "node", "N...", "on this node"),
};

struct copying {
	struct loglines *lines; /* NULL = all, as it comes */
	bool ended;
};

static bool shown(struct copying *c, struct str text)
{
	AUTO_BUF struct buf some = { 0 };

	if (c->lines) {
		loglines_add(c->lines, text, &some);
		if (buf_check(&some))
			return false;
		text = buf_str(&some);
	}
	return fwrite(text.p, 1, text.n, stdout) == text.n && !fflush(stdout);
}

static int on_bytes(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct copying *c = userdata;
	char bytes[16384];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	(void)source;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n > 0 && shown(c, (struct str){ bytes, (size_t)n }))
		return 0;
	c->ended = true;
	return 0;
}

/* Copies a stream of the machine's to standard output until it ends. */
static int stream_copy(struct machine_client *m, const char *method, sd_json_variant *arguments, struct loglines *lines, struct err *e)
{
	sd_event_source *source = NULL;
	struct copying copy = { .lines = lines };
	int fd[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd))
		return err_set(e, -errno, "make a pipe: %m");
	AUTO_FD int ours = fd[1];
	if ((r = link_stream(&m->link, method, arguments, fd[0], e)))
		return r;
	if ((r = sd_event_add_io(m->client.event, &source, ours, EPOLLIN, on_bytes, &copy)) < 0)
		return err_set(e, r, "read what comes: %s", strerror(-r));
	r = client_wait(&m->client, &copy.ended, 0);
	sd_event_source_disable_unref(source);
	return r == -ECANCELED ? 0 : r;
}

static int cmd_logs(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct logs_args *a = args;
	AUTO_MACHINE struct machine_client m;
	AUTO_JSON sd_json_variant *arguments = NULL;
	struct loglines lines = LOGLINES_ALL;
	int r;

	(void)c;
	m = (struct machine_client){ .client = CLIENT_NONE };
	if (a->since && (r = loglines_since(&lines, a->since, time(NULL), e)))
		return r;
	if ((r = machine_open(&m, words[0], a->node, e)))
		return r;
	if (sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("deployment", m.target.deployment),
			   SD_JSON_BUILD_PAIR_STRING("machine", m.target.machine), SD_JSON_BUILD_PAIR_BOOLEAN("follow", a->follow)) < 0)
		return err_set(e, -ENOMEM, "ask the node: out of memory");
	return stream_copy(&m, "zos.Machine.Logs", arguments, a->since ? &lines : NULL, e);
}

struct node_args {
	const char *node;
};
static const struct opt node_opts[] = { OPT(struct node_args, node, "node", "N...", "on this node") };

static int cmd_console(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct node_args *a = args;
	AUTO_MACHINE struct machine_client m;
	AUTO_JSON sd_json_variant *arguments = NULL;
	int r;

	(void)c;
	if ((r = machine_open(&m, words[0], a->node, e)) || (r = machine_arguments(&m, &arguments, e)))
		return r;
	return stream_copy(&m, "zos.Machine.Console", arguments, NULL, e);
}

/* Each returns once the node has taken the wish and keeps it; what it leads to is seen with 'zos get'. */
static int wish(const char *method, const void *args, const char **words, struct err *e)
{
	const struct node_args *a = args;
	AUTO_MACHINE struct machine_client m;
	AUTO_JSON sd_json_variant *arguments = NULL;
	int r;

	if ((r = machine_open(&m, words[0], a->node, e)) || (r = machine_arguments(&m, &arguments, e)))
		return r;
	return link_call(&m.link, method, arguments, NULL, e);
}

#define WISH(verb, method)                                                                              \
	static int cmd_##verb(const struct cli *c, const void *args, const char **words, struct err *e) \
	{                                                                                               \
		(void)c;                                                                                \
		return wish(method, args, words, e);                                                    \
	}
WISH(start, "zos.Machine.Start")
WISH(stop, "zos.Machine.Stop")
WISH(restart, "zos.Machine.Restart")
WISH(pause, "zos.Machine.Pause")
WISH(resume, "zos.Machine.Resume")

static const struct opt exec_opts[] = {
	OPT_SHORT(struct exec_args, tty, "tty", 't', NULL, "give the program a terminal (the default when this is one)"),
	OPT(struct exec_args, no_tty, "no-tty", NULL, "give it none"),
	OPT(struct exec_args, user, "user", "U[:G]", "as this user (default: the machine's)"),
	OPT(struct exec_args, workdir, "workdir", "DIR", "in this directory (default: the machine's)"),
	OPT(struct exec_args, node, "node", "N...", "on this node"),
};

static const struct opt stats_opts[] = {
	OPT(struct stats_args, once, "once", NULL, "one look of a second, instead of one after the other until Ctrl-C"),
	OPT(struct stats_args, node, "node", "N...", "on this node"),
};

struct forward_args {
	const char *node, *listen;
	bool once;
};
static const struct opt forward_opts[] = {
	OPT(struct forward_args, listen, "listen", "ADDR", "local address (default 127.0.0.1)"),
	OPT(struct forward_args, once, "once", NULL, "end after the first connection"),
	OPT(struct forward_args, node, "node", "N...", "on this node"),
};

/* Connections are taken one at a time for the call that opens each stream, and run side by side after it. */
struct forward {
	const struct cli *cli;
	const struct forward_args *args;
	struct machine_client *m;
	sd_json_variant *arguments;
	int accepted; /* waits for its stream; -1 = none */
	bool wake;
	unsigned streams;
};

static int on_accept(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct forward *f = userdata;

	(void)events;
	f->accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (f->accepted < 0)
		return 0;
	sd_event_source_set_enabled(source, SD_EVENT_OFF); /* one at a time */
	f->wake = true;
	return 0;
}

static int port_parse(const char *text, uint16_t *ret_local, uint16_t *ret_remote, struct err *e)
{
	struct str rest = str_c(text), first = { 0 };
	uint64_t a, b;

	str_next(&rest, ':', &first);
	if (parse_u64(first, 65535, &a) || (rest.p && parse_u64(rest, 65535, &b)))
		return err_set(e, -EINVAL, "'%s' is no port: write PORT, or LOCAL:PORT (LOCAL 0 picks a free one)", text);
	*ret_local = rest.p ? (uint16_t)a : 0;
	*ret_remote = (uint16_t)(rest.p ? b : a);
	return *ret_remote ? 0 : err_set(e, -EINVAL, "port 0 of a machine cannot be reached");
}

static int listen_on(const char *address, uint16_t port, int *ret, uint16_t *ret_port, struct err *e)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	socklen_t n = sizeof(at);
	AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
		return err_set(e, -EINVAL, "--listen: '%s' is no IPv4 address", address);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) || bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(fd, 64) || getsockname(fd, (struct sockaddr *)&at, &n))
		return err_set(e, -errno, "listen on %s:%u: %m", address, port);
	*ret_port = ntohs(at.sin_port);
	*ret = take_fd(fd);
	return 0;
}

static int forward_loop(struct forward *f, sd_event_source *listener, struct err *e)
{
	for (;;) {
		int r;

		f->wake = false;
		if ((r = client_wait(&f->m->client, &f->wake, 0)))
			return r == -ECANCELED ? 0 : err_set(e, r, "wait for connections: %s", strerror(-r));
		r = link_stream(&f->m->link, "zos.Machine.Forward", f->arguments, take_fd(f->accepted), e);
		if (f->m->link.closed || (r && f->args->once))
			return r ? r : err_set(e, -EIO, "the session with the node broke: %s", f->m->link.why);
		if (r)
			fprintf(stderr, "zos: %s\n", e->msg); /* this connection alone */
		sd_event_source_set_enabled(listener, SD_EVENT_ON);
	}
}

static int cmd_forward(const struct cli *c, const void *args, const char **words, struct err *e)
{
	const struct forward_args *a = args;
	CLEANUP(machine_close) struct machine_client m;
	AUTO_JSON sd_json_variant *arguments = NULL;
	struct forward f = { .cli = c, .args = a, .m = &m, .accepted = -1 };
	sd_event_source *listener = NULL;
	uint16_t local = 0, remote = 0;
	AUTO_FD int fd = -1;
	int r;

	m = (struct machine_client){ .client = CLIENT_NONE };
	if ((r = port_parse(words[1], &local, &remote, e)) || (r = machine_open(&m, words[0], a->node, e)) ||
	    (r = listen_on(a->listen ? a->listen : "127.0.0.1", local, &fd, &local, e)))
		return r;
	if (sd_json_buildo(&arguments, SD_JSON_BUILD_PAIR_STRING("deployment", m.target.deployment),
			   SD_JSON_BUILD_PAIR_STRING("machine", m.target.machine), SD_JSON_BUILD_PAIR_UNSIGNED("port", remote)) < 0 ||
	    sd_event_add_io(m.client.event, &listener, fd, EPOLLIN, on_accept, &f) < 0)
		return err_set(e, -ENOMEM, "forward: out of memory");
	f.arguments = arguments;
	if (c->json)
		printf("{\"listen\":\"%s\",\"port\":%u}\n", a->listen ? a->listen : "127.0.0.1", local);
	else
		printf("http://%s:%u/ is port %u of %s, until Ctrl-C\n", a->listen ? a->listen : "127.0.0.1", local, remote, words[0]);
	fflush(stdout);
	r = forward_loop(&f, listener, e);
	sd_event_source_disable_unref(listener);
	return r;
}

const struct command machine_commands[] = {
	{ .name = "logs",
	  .words = "DEPLOYMENT[/MACHINE]",
	  .help = "the output of a machine",
	  .opts = logs_opts,
	  .n_opts = ARRAY_LEN(logs_opts),
	  .args_size = sizeof(struct logs_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = cmd_logs },
	{ .name = "exec",
	  .words = "DEPLOYMENT[/MACHINE] -- PROGRAM [ARG...]",
	  .help = "run a program inside a machine",
	  .opts = exec_opts,
	  .n_opts = ARRAY_LEN(exec_opts),
	  .args_size = sizeof(struct exec_args),
	  .min_words = 2,
	  .max_words = COMMAND_WORDS_MAX - 1,
	  .run = cmd_exec,
	  .has_status = true,
	  .failed = 125 },
	{ .name = "console",
	  .words = "DEPLOYMENT[/MACHINE]",
	  .help = "what a machine writes, as it comes",
	  .opts = node_opts,
	  .n_opts = ARRAY_LEN(node_opts),
	  .args_size = sizeof(struct node_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = cmd_console },
	{ .name = "stats",
	  .words = "[DEPLOYMENT[/MACHINE]]",
	  .help = "what your machines use of their limits",
	  .opts = stats_opts,
	  .n_opts = ARRAY_LEN(stats_opts),
	  .args_size = sizeof(struct stats_args),
	  .max_words = 1,
	  .run = cmd_stats },
	{ .name = "start",
	  .words = "DEPLOYMENT[/MACHINE]",
	  .help = "start a machine that was stopped or has ended",
	  .opts = node_opts,
	  .n_opts = ARRAY_LEN(node_opts),
	  .args_size = sizeof(struct node_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = cmd_start },
	{ .name = "stop",
	  .words = "DEPLOYMENT[/MACHINE]",
	  .help = "end a machine's program until it is started",
	  .opts = node_opts,
	  .n_opts = ARRAY_LEN(node_opts),
	  .args_size = sizeof(struct node_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = cmd_stop },
	{ .name = "restart",
	  .words = "DEPLOYMENT[/MACHINE]",
	  .help = "end a machine's program and start it",
	  .opts = node_opts,
	  .n_opts = ARRAY_LEN(node_opts),
	  .args_size = sizeof(struct node_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = cmd_restart },
	{ .name = "pause",
	  .words = "DEPLOYMENT[/MACHINE]",
	  .help = "freeze a machine where it is",
	  .opts = node_opts,
	  .n_opts = ARRAY_LEN(node_opts),
	  .args_size = sizeof(struct node_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = cmd_pause },
	{ .name = "resume",
	  .words = "DEPLOYMENT[/MACHINE]",
	  .help = "let a paused machine go on",
	  .opts = node_opts,
	  .n_opts = ARRAY_LEN(node_opts),
	  .args_size = sizeof(struct node_args),
	  .min_words = 1,
	  .max_words = 1,
	  .run = cmd_resume },
	{ .name = "forward",
	  .words = "DEPLOYMENT[/MACHINE] [LOCAL:]PORT",
	  .help = "reach a TCP port of a machine from here",
	  .opts = forward_opts,
	  .n_opts = ARRAY_LEN(forward_opts),
	  .args_size = sizeof(struct forward_args),
	  .min_words = 2,
	  .max_words = 2,
	  .run = cmd_forward },
};
const size_t n_machine_commands = ARRAY_LEN(machine_commands);
