/* A hub that means harm: `hostile_net [MOOD]`. Between a client and the real hub stands a proxy that reads NATS' frames and drops, delays,
 * repeats, reorders, corrupts or forges what belongs to sessions. SEED and ROUNDS are taken from the environment; the seed is printed.
 *
 * Whatever it does: the bytes that arrive are the first of those that were sent, and the session goes on or ends, in bounded time. */
#include "grid/frame.h"
#include "grid_lab.h"

#include <zlib.h>

enum { BYTES = 2 << 20, HELD_MS = 50 };

/* Per mille of the messages. */
static const struct mood {
	const char *name;
	unsigned drop, delay, repeat, reorder, corrupt, forge;
	bool may_end; /* the session need not survive it */
} moods[] = {
	{ .name = "honest" },
	{ .name = "drop", .drop = 50 },
	{ .name = "delay", .delay = 30 },
	{ .name = "repeat", .repeat = 100 },
	{ .name = "reorder", .reorder = 50 },
	{ .name = "corrupt", .corrupt = 50 },
	{ .name = "forge", .forge = 100, .may_end = true },
	{ .name = "all", .drop = 20, .delay = 10, .repeat = 20, .reorder = 20, .corrupt = 20, .forge = 10, .may_end = true },
};

/* One direction of one connection, a process of its own. */
struct way {
	int in, out;
	const struct mood *mood;
	uint64_t random;
	struct buf buf, held;
};

static unsigned roll(struct way *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (unsigned)(w->random >> 20);
}

static bool happens(struct way *w, unsigned per_mille)
{
	return roll(w) % 1000 < per_mille;
}

static void put(struct way *w, const void *p, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t r = write(w->out, (const char *)p + at, n - at);

		if (r <= 0)
			_exit(0);
		at += (size_t)r;
	}
}

static void held_flush(struct way *w)
{
	put(w, w->held.p, w->held.len);
	w->held.len = 0;
}

/* With a check sum that fits, as only somebody who means it makes. */
static void forge(uint8_t *msg, size_t n)
{
	uLong sum;

	memset(msg + 4, 0, 4);
	sum = crc32_z(0, msg, n);
	for (int i = 0; i < 4; i++)
		msg[4 + i] = (uint8_t)(sum >> (8 * i));
}

/* HEAD bytes of line, then N of payload and the line's end. */
static void message(struct way *w, char *p, size_t head, size_t n)
{
	const struct mood *m = w->mood;
	uint8_t *payload = (uint8_t *)p + head;
	size_t all = head + n + 2;
	bool is_forged = happens(w, m->forge);

	if (happens(w, m->drop))
		return;
	if (happens(w, m->delay))
		nanosleep(&(struct timespec){ .tv_nsec = (long)(roll(w) % 40) * 1000000 }, NULL);
	if (n && (is_forged || happens(w, m->corrupt)))
		payload[roll(w) % (n < 80 ? n : 80)] ^= (uint8_t)(1 + roll(w) % 255);
	if (is_forged && n >= FRAME_HEAD)
		forge(payload, n);
	if (!w->held.len && happens(w, m->reorder)) {
		buf_add_bytes(&w->held, p, all);
		return;
	}
	put(w, p, all);
	if (happens(w, m->repeat))
		put(w, p, all);
	if (w->held.len && happens(w, 500))
		held_flush(w);
}

/* True when a whole line, or a whole message, was taken from the buffer. */
static bool step(struct way *w)
{
	char *end = w->buf.len ? memmem(w->buf.p, w->buf.len, "\r\n", 2) : NULL, *word;
	size_t head, n;
	bool is_ours;

	if (!end)
		return false;
	head = (size_t)(end - w->buf.p) + 2;
	if (strncmp(w->buf.p, "MSG ", 4) && strncmp(w->buf.p, "PUB ", 4) && strncmp(w->buf.p, "HMSG ", 5) && strncmp(w->buf.p, "HPUB ", 5)) {
		put(w, w->buf.p, head);
		buf_drop(&w->buf, head);
		return true;
	}
	for (word = end; word[-1] != ' '; word--)
		;
	n = strtoul(word, NULL, 10);
	if (w->buf.len < head + n + 2)
		return false;
	is_ours = w->buf.p[0] != 'H' && !strncmp(w->buf.p + 4, "n.", 2) && !memmem(w->buf.p, head, ".r.", 3);
	if (is_ours)
		message(w, w->buf.p, head, n);
	else
		put(w, w->buf.p, head + n + 2);
	buf_drop(&w->buf, head + n + 2);
	return true;
}

static _Noreturn void way_run(struct way *w)
{
	static char bytes[65536];

	for (;;) {
		struct pollfd p = { .fd = w->in, .events = POLLIN };
		ssize_t n = 0;

		if (poll(&p, 1, HELD_MS) == 0) {
			held_flush(w);
			continue;
		}
		n = read(w->in, bytes, sizeof(bytes));
		if (n <= 0)
			break;
		buf_add_bytes(&w->buf, bytes, (size_t)n);
		while (step(w))
			;
	}
	shutdown(w->out, SHUT_RDWR);
	shutdown(w->in, SHUT_RDWR);
	_exit(0);
}

static int hub_connect(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(hub.options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd >= 0 && !connect(fd, (void *)&a, sizeof(a)) ? fd : -1;
}

static _Noreturn void proxy_run(int listener, const struct mood *mood, uint64_t seed)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	for (uint64_t turn = 1;; turn++) {
		int client = accept(listener, NULL, NULL), server = hub_connect();

		for (int i = 0; i < 2; i++)
			if (!fork()) {
				struct way w = { .in = i ? server : client,
						 .out = i ? client : server,
						 .mood = mood,
						 .random = (seed + turn * 2 + (uint64_t)i) * 0x9e3779b97f4a7c15u | 1 };

				prctl(PR_SET_PDEATHSIG, SIGKILL);
				close(listener);
				way_run(&w);
			}
		close(client);
		close(server);
	}
}

/* The proxy; the client's hub address leads to it from now on. */
static pid_t proxy_new(const struct mood *mood, uint64_t seed)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	T_NEED(!bind(fd, (void *)&a, n) && !listen(fd, 16) && !getsockname(fd, (void *)&a, &n), "listen");
	pid = fork();
	if (!pid)
		proxy_run(fd, mood, seed);
	close(fd);
	snprintf(hub.addr.url, sizeof(hub.addr.url), "nats://127.0.0.1:%u", ntohs(a.sin_port));
	return pid;
}

static const char *outcome(struct side *s, const struct mood *mood, uint64_t seed)
{
	struct err e = { 0 };
	pid_t pid[2];
	int status = -1;

	T_NEED(!session_attach(s->session, 0, traffic_new(0, BYTES, pid), &e), "%s", e.msg);
	for (uint64_t end = log_now_ms() + DEADLINE_S * 1000; !s->over && !has_ended(pid[1]) && log_now_ms() < end;)
		sd_event_run(s->event, 100000);
	T_CHECK(s->over || has_ended(pid[1]), "%s, seed %llu: neither done nor ended", mood->name, (unsigned long long)seed);
	if (!s->over && !has_ended(pid[1])) {
		kill(pid[1], SIGKILL);
		session_close(s->session);
		run_for(s, 100);
	}
	T_CHECK(waitpid(pid[1], &status, 0) == pid[1] && (!WIFEXITED(status) || WEXITSTATUS(status) != 3), "%s, seed %llu: a wrong byte arrived",
		mood->name, (unsigned long long)seed);
	kill(pid[0], SIGKILL);
	waitpid(pid[0], NULL, 0);
	return status ? s->why : "all came";
}

static void round_run(const struct mood *mood, uint64_t seed)
{
	struct side s;
	struct node n;
	pid_t proxy;
	const char *how;
	uint64_t begin = log_now_ms();

	hub_make();
	n = node_new(false);
	proxy = proxy_new(mood, seed);
	side_init(&s);
	dial(&s, &n, NULL);
	UNTIL(&s, s.open || s.over);
	how = s.open ? outcome(&s, mood, seed) : s.why;
	fprintf(stderr, "# %s, SEED=%llu: %s, %llu ms\n", mood->name, (unsigned long long)seed, how, (unsigned long long)(log_now_ms() - begin));
	T_CHECK(mood->may_end || !strcmp(how, "all came"), "%s, seed %llu: %s", mood->name, (unsigned long long)seed, how);
	side_deinit(&s);
	kill(proxy, SIGKILL);
	waitpid(proxy, NULL, 0);
	node_kill(&n);
	hub_remove();
}

static const struct mood *chosen;

static void what_arrives_is_what_was_sent(void)
{
	const char *seed_text = getenv("SEED"), *rounds = getenv("ROUNDS");
	uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : random_u64() >> 32;

	for (long i = 0, n = rounds ? strtol(rounds, NULL, 10) : 1; i < n; i++) {
		pid_t pid = fork();
		int status = -1;

		if (!pid) { /* ends without the leak check: libnats forgets the half message in a connection that it destroys */
			round_run(chosen, seed + (uint64_t)i * 1000);
			_exit(t_bad != 0);
		}
		T_CHECK(waitpid(pid, &status, 0) == pid && !status, "repeat it with: SEED=%llu make net T=hostile-%s",
			(unsigned long long)(seed + (uint64_t)i * 1000), chosen->name);
	}
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	log_init("hostile-net", false);
	maker_start();
	for (size_t i = 0; i < ARRAY_LEN(moods); i++)
		if (argc < 2 || !strcmp(argv[1], moods[i].name)) {
			chosen = &moods[i];
			T_RUN(what_arrives_is_what_was_sent);
		}
	return T_END();
}
