/* bench-session -- what a session costs beside the bare hub: a line "NAME VALUE" each. Node, client and hub are processes of this machine.
 *
 *   handshakes N     a second, one after the other: dialled, both sides proved, closed
 *   latency.ours US  of a byte there and back through a session; latency.peer: of a NATS request and its reply (medians)
 *   rate.ours MB/s   from a node to a client; rate.peer: of NATS messages of 32 KiB from one connection to another
 *   cpu.ours NS      for a byte, of both ends together, without the hub; cpu.peer: the same of the bare connections */
#include "test/net/grid_lab.h"

#include <sys/resource.h>

enum { DIALS = 200, PINGS = 2000, WARM = 100, MESSAGE = 32 << 10 };
#define TOTAL ((size_t)256 << 20)

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static double cpu_ns_of(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	T_NEED(!clock_getcpuclockid(pid, &clock) && !clock_gettime(clock, &t), "the processor time of %d", (int)pid);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void latency_tell(const char *who, uint64_t *all, size_t n)
{
	size_t middle = n / 2;

	qsort(all, n, sizeof(*all), by_size);
	printf("latency.%s %.1f\n", who, (double)all[middle] / 1000);
}

/* --- ours --- */

static int source_new(void)
{
	static uint8_t bytes[65536];
	int pair[2];

	T_NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		for (size_t at = 0; at < TOTAL; at += sizeof(bytes))
			for (size_t done = 0; done < sizeof(bytes);) {
				ssize_t n = write(pair[1], bytes + done, sizeof(bytes) - done);

				if (n < 0)
					_exit(1);
				done += (size_t)n;
			}
		_exit(0);
	}
	close(pair[1]);
	return pair[0];
}

static int attached(struct side *s, const struct node *n)
{
	struct err e = { 0 };
	int pair[2];

	dial(s, n, NULL);
	UNTIL(s, s->open);
	T_NEED(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), "socketpair");
	T_NEED(!session_attach(s->session, 0, pair[0], &e), "%s", e.msg);
	return pair[1];
}

static void handshakes(struct side *s, const struct node *n)
{
	uint64_t begin = now_ns();

	for (int i = 0; i < DIALS; i++) {
		dial(s, n, NULL);
		UNTIL(s, s->open || s->over);
		T_NEED(s->open, "%s", s->why);
		session_close(s->session);
		run_for(s, 1);
	}
	printf("handshakes %.0f\n", DIALS / ((double)(now_ns() - begin) / 1e9));
}

static void latency_ours(struct side *s, const struct node *n)
{
	static uint64_t all[PINGS];
	AUTO_FD int fd = attached(s, n);
	char byte = 'x';

	for (int i = -WARM; i < PINGS; i++) {
		uint64_t begin = now_ns();

		T_NEED(write(fd, &byte, 1) == 1, "write: %m");
		while (read(fd, &byte, 1) != 1)
			T_NEED(sd_event_run(s->event, 1000000) >= 0, "loop");
		if (i >= 0)
			all[i] = now_ns() - begin;
	}
	latency_tell("ours", all, PINGS);
	session_close(s->session);
}

static void rate_ours(struct side *s, const struct node *n)
{
	static uint8_t bytes[1 << 18];
	double cpu = cpu_ns_of(getpid()) + cpu_ns_of(n->pid);
	uint64_t begin = now_ns();
	AUTO_FD int fd = attached(s, n);
	size_t got = 0;

	while (got < TOTAL) {
		ssize_t r = read(fd, bytes, sizeof(bytes));

		T_NEED(r || got == TOTAL, "it ended after %zu bytes: %s", got, s->why);
		if (r > 0)
			got += (size_t)r;
		T_NEED(sd_event_run(s->event, r > 0 ? 0 : 1000000) >= 0, "loop");
	}
	printf("rate.ours %.1f\n", (double)TOTAL / 1e6 / ((double)(now_ns() - begin) / 1e9));
	printf("cpu.ours %.2f\n", (cpu_ns_of(getpid()) + cpu_ns_of(n->pid) - cpu) / (double)TOTAL);
	session_close(s->session);
}

static void ours(void)
{
	struct side s;

	hub_make();
	struct node n = node_new(false);
	node_end = source_new;
	struct node source = node_new(false);
	side_init(&s);
	UNTIL(&s, s.up);
	handshakes(&s, &n);
	latency_ours(&s, &n);
	rate_ours(&s, &source);
	side_deinit(&s);
	node_kill(&n);
	node_kill(&source);
	hub_remove();
}

/* --- the bare hub: two plain connections, each in a process of its own --- */

#define NATS(call) T_NEED((call) == NATS_OK, #call)

/* As fast as libnats can: without its thread that sends once a millisecond. */
static natsStatus bare_connect(natsConnection **ret, const char *url)
{
	natsOptions *o = NULL;
	natsStatus r;

	NATS(natsOptions_Create(&o));
	NATS(natsOptions_SetURL(o, url));
	NATS(natsOptions_SetSendAsap(o, true));
	r = natsConnection_Connect(ret, o);
	natsOptions_Destroy(o);
	return r;
}

static void on_request(natsConnection *c, natsSubscription *sub, natsMsg *m, void *ctx)
{
	(void)sub;
	(void)ctx;
	NATS(natsConnection_Publish(c, natsMsg_GetReply(m), natsMsg_GetData(m), natsMsg_GetDataLength(m)));
	natsMsg_Destroy(m);
}

/* Answers requests, and streams TOTAL bytes to who asks for them. */
[[noreturn]] static void bare_node(const char *url, int ready)
{
	static char bytes[MESSAGE];
	natsConnection *c = NULL;
	natsSubscription *echo = NULL, *stream = NULL;
	natsMsg *ask = NULL;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	NATS(bare_connect(&c, url));
	NATS(natsConnection_Subscribe(&echo, c, "echo", on_request, NULL));
	NATS(natsConnection_SubscribeSync(&stream, c, "stream"));
	NATS(natsConnection_Flush(c));
	T_NEED(write(ready, "", 1) == 1, "tell");
	NATS(natsSubscription_NextMsg(&ask, stream, 120000));
	for (size_t at = 0; at < TOTAL; at += MESSAGE)
		NATS(natsConnection_Publish(c, natsMsg_GetReply(ask), bytes, MESSAGE));
	NATS(natsConnection_Flush(c));
	for (;;)
		pause();
}

static void latency_bare(natsConnection *c)
{
	static uint64_t all[PINGS];

	for (int i = -WARM; i < PINGS; i++) {
		uint64_t begin = now_ns();
		natsMsg *m = NULL;

		NATS(natsConnection_Request(&m, c, "echo", "x", 1, 10000));
		natsMsg_Destroy(m);
		if (i >= 0)
			all[i] = now_ns() - begin;
	}
	latency_tell("peer", all, PINGS);
}

static void rate_bare(natsConnection *c, pid_t node)
{
	double cpu = cpu_ns_of(getpid()) + cpu_ns_of(node);
	natsSubscription *sub = NULL;
	uint64_t begin;

	NATS(natsConnection_SubscribeSync(&sub, c, "box"));
	NATS(natsSubscription_SetPendingLimits(sub, -1, -1));
	begin = now_ns();
	NATS(natsConnection_PublishRequestString(c, "stream", "box", "go"));
	for (size_t got = 0; got < TOTAL;) {
		natsMsg *m = NULL;

		NATS(natsSubscription_NextMsg(&m, sub, 30000));
		got += (size_t)natsMsg_GetDataLength(m);
		natsMsg_Destroy(m);
	}
	printf("rate.peer %.1f\n", (double)TOTAL / 1e6 / ((double)(now_ns() - begin) / 1e9));
	printf("cpu.peer %.2f\n", (cpu_ns_of(getpid()) + cpu_ns_of(node) - cpu) / (double)TOTAL);
	natsSubscription_Destroy(sub);
}

static void bare(void)
{
	natsConnection *c = NULL;
	char port[8], url[40], byte;
	pid_t server, node;
	int ready[2];

	snprintf(port, sizeof(port), "%u", free_port());
	snprintf(url, sizeof(url), "nats://127.0.0.1:%s", port);
	server = fork();
	if (!server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("nats-server", "nats-server", "-a", "127.0.0.1", "-p", port, "-l", "/dev/null", NULL);
		_exit(127);
	}
	T_NEED(!pipe(ready), "pipe");
	for (uint64_t end = log_now_ms() + 10000; bare_connect(&c, url) != NATS_OK;)
		T_NEED(log_now_ms() < end, "the bare hub does not serve");
	node = fork(); /* has no connection of ours: it makes its own */
	if (!node)
		execl("/proc/self/exe", "bench-session", "node", url, (char[]){ (char)('0' + ready[1]), '\0' }, NULL);
	T_NEED(read(ready[0], &byte, 1) == 1, "the bare node did not start");
	latency_bare(c);
	rate_bare(c, node);
	natsConnection_Destroy(c);
	kill(node, SIGKILL);
	kill(server, SIGKILL);
	waitpid(node, NULL, 0);
	waitpid(server, NULL, 0);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	log_init("bench-session", false);
	if (argc == 4 && !strcmp(argv[1], "node"))
		bare_node(argv[2], (int)strtol(argv[3], NULL, 10));
	setvbuf(stdout, NULL, _IOLBF, 0);
	maker_start();
	ours();
	bare();
	return EXIT_SUCCESS;
}
