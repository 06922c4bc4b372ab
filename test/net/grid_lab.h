/* A hub, nodes that send back what they get, and clients that check it: each a process of its own, for the tests of the grid. */
#pragma once
#include "base/file.h"
#include "base/log.h"
#include "grid/directory.h"
#include "grid/hubca.h"
#include "grid/hubd.h"
#include "grid/reach.h"
#include "grid/session.h"
#include "test/t.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <nats/nats.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

enum { N_STREAMS = 4, STREAM_BYTES = 16 << 20, DEADLINE_S = 60 };

/* libnats forgets the half message in a connection that it destroys. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:natsBuf_Create\n";
}

/* The hub under test. */

static struct {
	char dir[64];
	struct hubd_options options;
	struct hub_addr addr;
	pid_t pid;
} hub;

/* Below the range that outgoing connections take theirs from: a server that is started again finds its port free. */
static inline uint16_t free_port(void)
{
	for (int i = 0; i < 100; i++) {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		AUTO_FD int fd = socket(AF_INET, SOCK_STREAM, 0);

		a.sin_port = htons((uint16_t)(10000 + random_u64() % 20000));
		if (!bind(fd, (void *)&a, sizeof(a)))
			return ntohs(a.sin_port);
	}
	T_NEED(false, "a free port");
	return 0;
}

/* Makes directories, for which libnats' plain calls are used. It is forked off before this process has libnats' threads: a copy of a
 * process that has them waits for ever for the locks that they held. */
static int maker = -1;

struct bucket_ask {
	struct hubd_options options;
	char dir[64], cluster[32], peers[128], cert[96], key[96];
	uint64_t timeout_ms;
};

static inline int bucket_make(struct bucket_ask *a)
{
	struct hubd_options *o = &a->options;
	struct err e = { 0 };
	int r;

	o->dir = a->dir;
	o->cluster = o->cluster ? a->cluster : NULL;
	o->peers = o->peers ? a->peers : NULL;
	o->tls_cert = o->tls_cert ? a->cert : NULL;
	o->tls_key = o->tls_key ? a->key : NULL;
	r = hubd_create_bucket(o, a->timeout_ms, &e);
	if (r < 0)
		fprintf(stderr, "%s\n", e.msg);
	return r;
}

static inline _Noreturn void maker_run(int fd)
{
	struct bucket_ask a;
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	do {
		if (read(fd, &a, sizeof(a)) != sizeof(a))
			_exit(0);
		r = bucket_make(&a);
	} while (write(fd, &r, sizeof(r)) == sizeof(r));
	_exit(1);
}

/* The first thing that a program of these tests does. */
static inline void maker_start(void)
{
	int pair[2];

	T_NEED(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "socketpair");
	if (!fork()) {
		close(pair[0]);
		maker_run(pair[1]);
	}
	close(pair[1]);
	maker = pair[0];
}

/* As hubd_create_bucket(). */
static inline int bucket_create(const struct hubd_options *o, uint64_t timeout_ms)
{
	struct bucket_ask a = { .options = *o, .timeout_ms = timeout_ms };
	int r = -1;

	snprintf(a.dir, sizeof(a.dir), "%s", o->dir);
	snprintf(a.cluster, sizeof(a.cluster), "%s", o->cluster ? o->cluster : "");
	snprintf(a.peers, sizeof(a.peers), "%s", o->peers ? o->peers : "");
	snprintf(a.cert, sizeof(a.cert), "%s", o->tls_cert ? o->tls_cert : "");
	snprintf(a.key, sizeof(a.key), "%s", o->tls_key ? o->tls_key : "");
	T_NEED(write(maker, &a, sizeof(a)) == sizeof(a) && read(maker, &r, sizeof(r)) == sizeof(r), "ask the maker");
	return r;
}

static inline void hub_run(void)
{
	char conf[96], log[96];

	snprintf(conf, sizeof(conf), "%s/nats.conf", hub.dir);
	snprintf(log, sizeof(log), "%s/log", hub.dir);
	hub.pid = fork();
	T_NEED(hub.pid >= 0, "fork");
	if (!hub.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("nats-server", "nats-server", "-c", conf, "-l", log, NULL);
		_exit(127);
	}
}

/* What the server has to say, and whether it is still there. */
static inline void hub_explain(void)
{
	AUTO_BUF struct buf text = { 0 };
	int status = 0;
	char log[96];

	snprintf(log, sizeof(log), "%s/log", hub.dir);
	(void)!file_read(AT_FDCWD, log, 1 << 20, &text, NULL);
	if (waitpid(hub.pid, &status, WNOHANG))
		fprintf(stderr, "nats-server has ended, status %d\n", status);
	fprintf(stderr, "its log: %s\n", text.p ? text.p : "empty");
}

static inline void hub_start(void)
{
	int r;

	hub_run();
	if ((r = bucket_create(&hub.options, 10000)))
		hub_explain();
	T_NEED(!r, "the directory could not be made");
}

static inline void hub_kill(void)
{
	kill(hub.pid, SIGKILL);
	waitpid(hub.pid, NULL, 0);
}

static inline void hub_make(void)
{
	struct err e = { 0 };

	snprintf(hub.dir, sizeof(hub.dir), "/tmp/grid-net-XXXXXX");
	T_NEED(mkdtemp(hub.dir), "mkdtemp");
	hub.options = (struct hubd_options){ .dir = hub.dir, .port = free_port() };
	T_NEED(!hubd_prepare(&hub.options, &hub.addr, &e), "%s", e.msg);
	hub_start();
}

static inline void hub_remove(void)
{
	struct err e = { 0 };

	hub_kill();
	T_CHECK(!tree_remove(AT_FDCWD, hub.dir, &e), "%s", e.msg);
}

/* What main() of a program with several cases does: `NAME [CASE]`. */
struct net_case {
	const char *name;
	void (*run)(void);
};

static inline int cases_run(const char *program, const struct net_case *cases, size_t n, const char *chosen)
{
	signal(SIGPIPE, SIG_IGN);
	log_init(program, false);
	maker_start();
	for (size_t i = 0; i < n; i++)
		if (!chosen || !strcmp(chosen, cases[i].name)) {
			void (*const a_case)(void) = cases[i].run;

			T_RUN(a_case);
		}
	return T_END();
}

/* One process' loop. */

struct side {
	sd_event *event;
	struct grid *grid;
	bool up, open, over, refused;
	unsigned ups;
	char why[ERR_MSG_MAX];
	struct session *session;
	uint32_t last_stream;
};

static inline void on_state(void *userdata, bool is_up, const char *why)
{
	struct side *s = userdata;

	s->up = is_up;
	s->ups += is_up;
	if (!is_up && getenv("GRID_NET_VERBOSE"))
		fprintf(stderr, "hub down: %s\n", why);
}

static inline void on_ready(void *userdata, struct session *session)
{
	struct side *s = userdata;

	(void)session;
	s->open = true;
}

static inline void on_closed(void *userdata, struct session *session, const char *why)
{
	struct side *s = userdata;

	(void)session;
	s->over = true;
	s->session = NULL;
	snprintf(s->why, sizeof(s->why), "%s", why);
}

static inline void on_stream(void *userdata, struct session *session, uint32_t id)
{
	struct side *s = userdata;

	(void)session;
	s->last_stream = id;
}

static inline struct session_callbacks callbacks(struct side *s)
{
	return (struct session_callbacks){ on_ready, on_stream, on_closed, s };
}

static struct grid_rekey test_rekey = GRID_REKEY;

static inline void side_init(struct side *s)
{
	struct hub_options o = { .addr = hub.addr, .reconnect_ms = 100 };
	struct err e = { 0 };

	*s = (struct side){ 0 };
	T_NEED(sd_event_new(&s->event) >= 0, "event");
	T_NEED(!grid_new(s->event, &o, &(struct hub_callbacks){ on_state, NULL, s }, &s->grid, &e), "%s", e.msg);
	grid_set_rekey(s->grid, &test_rekey);
}

static inline void side_deinit(struct side *s)
{
	grid_free(s->grid);
	sd_event_unref(s->event);
}

#define UNTIL(s, cond)                                                           \
	({                                                                       \
		uint64_t end_ = log_now_ms() + DEADLINE_S * 1000;                \
		while (!(cond) && log_now_ms() < end_)                           \
			T_NEED(sd_event_run((s)->event, 100000) >= 0, "loop");   \
		T_NEED(cond, "%s after %d s (%s)", #cond, DEADLINE_S, (s)->why); \
	})

static inline void run_for(struct side *s, uint64_t ms)
{
	for (uint64_t end = log_now_ms() + ms; log_now_ms() < end;)
		sd_event_run(s->event, 5000);
}

/* A node: whatever arrives on a stream goes back, encrypted with nothing but a changed bit. */

struct echo {
	struct side side;
	struct key key;
};

static inline void echo_thread(int fd)
{
	static uint8_t bytes[65536];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			bytes[i] ^= 0x5a;
		for (ssize_t at = 0, w; at < n; at += w)
			if ((w = write(fd, bytes + at, (size_t)(n - at))) < 0)
				_exit(1);
	}
	_exit(n < 0);
}

/* The other end of the returned descriptor is in a process that sends everything back. */
static inline int echo_new(void)
{
	int pair[2];

	T_NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int fd = 3; fd < 256; fd++)
			if (fd != pair[1])
				close(fd);
		echo_thread(pair[1]);
	}
	close(pair[1]);
	return pair[0];
}

/* The other end waits until something is there to be read, writes LAST_WORDS bytes and ends without having read it: ECONNRESET. */
enum { LAST_WORDS = 1 << 20 };

static inline int rude_new(void)
{
	static uint8_t bytes[LAST_WORDS];
	int pair[2];

	T_NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
	if (!fork()) {
		struct pollfd p = { .fd = pair[1], .events = POLLIN };

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int fd = 3; fd < 256; fd++)
			if (fd != pair[1])
				close(fd);
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(i * 2654435761u >> 24);
		_exit(poll(&p, 1, -1) != 1 || write(pair[1], bytes, sizeof(bytes)) != sizeof(bytes));
	}
	close(pair[1]);
	return pair[0];
}

/* What a node has at the end of stream 0; the others send back what they get. */
static int (*node_end)(void) = echo_new;

static inline int on_accept(void *userdata, struct session *session, const uint8_t peer[static 32])
{
	struct side *s = userdata;
	struct session_callbacks cb = callbacks(s);
	struct err e = { 0 };
	uint32_t id;

	(void)peer;
	if (s->refused)
		return -EACCES;
	session_set_callbacks(session, &cb);
	T_NEED(!session_attach(session, 0, node_end(), &e), "%s", e.msg);
	for (int i = 1; i < N_STREAMS; i++)
		T_NEED(!session_open_stream(session, echo_new(), &id, &e) && id == 2u * (unsigned)i, "stream %u: %s", id, e.msg);
	return 0;
}

struct node {
	pid_t pid;
	char hub_key[KEY_TEXT_SIZE];
	uint8_t key[32];
};

static inline void node_run(int report, bool refuse)
{
	struct side s;
	struct node n = { .pid = getpid() };
	struct key key = KEY_NONE;
	struct err e = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	side_init(&s);
	s.refused = refuse;
	T_NEED(!key_new(KEY_NODE, &key) && !grid_listen(s.grid, &key, on_accept, &s, &e), "%s", e.msg);
	UNTIL(&s, s.up);
	run_for(&s, 50); /* the subscription has reached the hub */
	memcpy(n.key, key.pub.bytes, 32);
	snprintf(n.hub_key, sizeof(n.hub_key), "%s", hub_key(grid_hub(s.grid)));
	T_NEED(write(report, &n, sizeof(n)) == sizeof(n), "report");
	sd_event_loop(s.event);
	_exit(0);
}

static inline struct node node_new(bool refuse)
{
	struct node n;
	int pipe_fd[2];

	T_NEED(!pipe(pipe_fd), "pipe");
	if (!fork())
		node_run(pipe_fd[1], refuse);
	T_NEED(read(pipe_fd[0], &n, sizeof(n)) == sizeof(n), "the node did not start");
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	return n;
}

static inline void node_kill(const struct node *n)
{
	kill(n->pid, SIGKILL);
	waitpid(n->pid, NULL, 0);
}

/* A client's streams: written and checked by a child each, so that the loop only carries. */

static inline uint8_t byte_at(int stream, size_t at)
{
	return (uint8_t)(at * 2654435761u >> 13 ^ (unsigned)stream * 57 ^ at >> 8);
}

static inline void writer(int fd, int stream, size_t total)
{
	static uint8_t bytes[65536];

	for (size_t at = 0; at < total; at += sizeof(bytes)) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = byte_at(stream, at + i);
		for (size_t done = 0; done < sizeof(bytes);) {
			ssize_t n = write(fd, bytes + done, sizeof(bytes) - done);

			if (n < 0)
				_exit(2);
			done += (size_t)n;
		}
	}
	shutdown(fd, SHUT_WR);
	_exit(0);
}

static inline void reader(int fd, int stream, size_t total)
{
	static uint8_t bytes[65536];
	size_t at = 0;
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		for (ssize_t i = 0; i < n; i++, at++)
			if (bytes[i] != (byte_at(stream, at) ^ 0x5a))
				_exit(3);
	_exit(n < 0 ? 4 : at == total ? 0 : 5);
}

static inline bool has_ended(pid_t pid)
{
	siginfo_t info = { 0 };

	return !waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid;
}

static inline int traffic_new(int stream, size_t total, pid_t pid[2])
{
	int pair[2];

	T_NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair"); /* a server that is started must not hold it open */
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int fd = 3; fd < 256; fd++)
			if (fd != pair[1])
				close(fd);
		if (i)
			reader(pair[1], stream, total);
		writer(pair[1], stream, total);
	}
	close(pair[1]);
	return pair[0];
}

static inline struct session *dial(struct side *s, const struct node *n, const uint8_t *expected)
{
	struct session_callbacks cb = callbacks(s);
	struct key key = KEY_NONE;
	struct err e = { 0 };

	T_NEED(!key_new(KEY_USER, &key), "key");
	s->open = s->over = false;
	T_NEED(!session_dial(s->grid, n->hub_key, &key, expected ? expected : n->key, &cb, &s->session, &e), "%s", e.msg);
	return s->session;
}
