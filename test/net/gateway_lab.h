/* A gateway with a real HAProxy: its programs as PID 1 starts them, in a network namespace of their own, under the provider that the engine has.
 * Backends and visitors are sockets in the same namespace. */
#pragma once
#include "gateway/gateway.h"

#include "base/file.h"
#include "base/parse.h"
#include "sys/netlink.h"
#include "test/t.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { WAIT_MS = 30000, WORKS = 4, ANSWER_MAX = 4096 };

static struct {
	sd_event *event;
	struct provider *p;
	pid_t web, steer;
	struct { /* what the provider has remembered */
		char name[64], value[16384];
	} kept[WORKS];
	struct work works[WORKS];
	int ended[WORKS], result[WORKS];
	struct err why[WORKS];
	unsigned changes;
} lab;

static inline pid_t program(const char *what)
{
	const char *built = getenv("ZOS_BUILD"); /* no path in the program: it is the same from any checkout */
	char path[PATH_MAX];
	pid_t pid;

	T_NEED(built && snprintf(path, sizeof(path), "%s/gateway", built) < (int)sizeof(path), "ZOS_BUILD is where the programs are");
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl(path, path, what, "/proc/self/ns/net", NULL);
	_exit(127);
}

static inline void stop(pid_t *pid)
{
	if (*pid > 0) {
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
	}
	*pid = 0;
}

static inline void on_done(void *engine, struct work *w, int r, const struct err *e)
{
	size_t i = (size_t)(w - lab.works);

	(void)engine;
	lab.ended[i]++;
	lab.result[i] = r;
	lab.why[i] = *e;
}

static inline void on_changed(void *engine, struct work *w)
{
	(void)engine;
	(void)w;
	lab.changes++;
}

static inline void on_again(void *engine, struct work *w)
{
	(void)engine;
	(void)w;
}

static inline int remember(void *engine, const char *name, struct str value, struct err *e)
{
	size_t i = 0;

	(void)engine;
	(void)e;
	while (i < WORKS - 1 && lab.kept[i].name[0] && strcmp(lab.kept[i].name, name))
		i++;
	snprintf(lab.kept[i].name, sizeof(lab.kept[i].name), "%s", name);
	snprintf(lab.kept[i].value, sizeof(lab.kept[i].value), STR_FMT, STR_ARG(value));
	return 0;
}

static inline int recall(void *engine, const char *name, struct buf *ret, struct err *e)
{
	(void)engine;
	(void)e;
	for (size_t i = 0; i < WORKS; i++)
		if (!strcmp(lab.kept[i].name, name)) {
			buf_add(ret, str_c(lab.kept[i].value));
			return 0;
		}
	return PROVIDER_ABSENT;
}

/* The engine's part, as one that is started makes it. */
static inline void provider_make(void)
{
	static const struct gateway_options o = { .socket = GATEWAY_SOCKET, .acme_socket = GATEWAY_ACME_SOCKET };
	struct err e = { 0 };

	T_NEED(!gateway_provider_new(lab.event, &o, &lab.p, &e), "%s", e.msg);
	lab.p->done = on_done;
	lab.p->changed = on_changed;
	lab.p->again = on_again;
	lab.p->remember = remember;
	lab.p->recall = recall;
}

static inline void lab_make(void)
{
	struct err e = { 0 };
	int fd;

	T_NEED(!unshare(CLONE_NEWNET | CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) && !dir_make("/run/zos", 0755, &e) &&
		       !mount("zos", "/run/zos", "tmpfs", 0, NULL),
	       "a place of its own: %s", e.msg);
	T_NEED(!netlink_open(&fd, &e) && !netlink_up(fd, "lo", &e), "a network namespace: %s", e.msg);
	close(fd);
	T_NEED(!file_poke(AT_FDCWD, "/proc/sys/net/ipv4/ip_unprivileged_port_start", S("80"), &e), "%s", e.msg);
	T_NEED(!dir_make("/run/zos/gateway-web", 0755, &e) && !dir_make(GATEWAY_STEER_DIR, 0700, &e) && !chown("/run/zos/gateway-web", 909, 909) &&
		       !chown(GATEWAY_STEER_DIR, 911, 911),
	       "%s", e.msg);
	T_NEED(sd_event_new(&lab.event) >= 0, "a loop");
	provider_make();
	lab.web = program("web");
	lab.steer = program("steer");
}

static inline void lab_end(void)
{
	stop(&lab.steer);
	stop(&lab.web);
	gateway_provider_free(lab.p);
	sd_event_unref(lab.event);
}

static inline void role_give(const char *domain)
{
	struct farm *farm = calloc(1, sizeof(*farm));
	struct key_pub node = { .role = KEY_NODE };

	T_NEED(farm, "memory");
	farm->gateways[0] = (struct farm_gateway){ .node = node, .domain = domain };
	farm->n_gateways = 1;
	lab.p->ops->configure(lab.p, &node, farm);
	free(farm);
}

static inline uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static inline void turn(void)
{
	T_NEED(sd_event_run(lab.event, 50000) >= 0, "the loop");
}

/* Runs the loop until COND, which may change with it. */
#define UNTIL(cond)                                 \
	({                                          \
		uint64_t end_ = now_ms() + WAIT_MS; \
		while (!(cond) && now_ms() < end_)  \
			turn();                     \
		(cond);                             \
	})

/* A server of 127.0.0.1:PORT: each connection is answered with WORD, as HTTP; "" = it closes them. Its child serves. */
static inline pid_t backend(uint16_t port, const char *word)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	pid_t pid;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	T_NEED(fd >= 0 && !bind(fd, (struct sockaddr *)&at, sizeof(at)) && !listen(fd, 64), "listen on %u: %m", port);
	pid = fork();
	if (pid) {
		close(fd);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		char bytes[ANSWER_MAX], answer[256];
		int conn = accept(fd, NULL, NULL);

		if (conn < 0 || fork()) {
			close(conn);
			continue;
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (ssize_t n; (n = read(conn, bytes, sizeof(bytes) - 1)) > 0;) {
			bytes[n] = '\0';
			if (strcasestr(bytes, "\r\nUpgrade: ")) { /* from here on whatever comes goes back */
				snprintf(answer, sizeof(answer), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n");
				for (n = write(conn, answer, strlen(answer)); n > 0 && (n = read(conn, bytes, sizeof(bytes))) > 0;)
					n = write(conn, bytes, (size_t)n);
				break;
			}
			snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nX-Saw: %s\r\nX-By: %s\r\n\r\n%s", strlen(word),
				 strcasestr(bytes, "X-Forwarded-For: 127.0.0.1\r\n") && !strstr(bytes, "6.6.6.6") ? "forwarded" : "nothing",
				 strcasestr(bytes, "X-Forwarded-Proto: https\r\n") ? "https" : "http", word);
			if (write(conn, answer, strlen(answer)) < 0)
				break;
		}
		_exit(0);
	}
}

static inline int visit_begin(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = 5 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* What comes for TEXT, until END is in it or the other side closes. */
static inline const char *said(int fd, const char *text, const char *end)
{
	static char answer[ANSWER_MAX];
	size_t n = 0;
	ssize_t got = 1;

	answer[0] = '\0';
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return answer;
	while (got > 0 && n < sizeof(answer) - 1 && !strstr(answer, end)) {
		if ((got = read(fd, answer + n, sizeof(answer) - 1 - n)) > 0)
			n += (size_t)got;
		answer[n] = '\0';
	}
	return answer;
}

static inline const char *page(const char *host)
{
	char text[256];
	int fd = visit_begin(80);
	const char *answer;

	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n", host);
	answer = fd < 0 ? "" : said(fd, text, "no such words");
	if (fd >= 0)
		close(fd);
	return answer;
}

static inline struct work *work_of(size_t i, const char *name, const char *fqdn, bool tls, const uint16_t *ports, size_t n)
{
	struct work *w = &lab.works[i];

	w->kind = name ? WORKLOAD_GATEWAY_NAME : WORKLOAD_GATEWAY_FQDN;
	w->deployment = "d";
	w->name = name ? name : fqdn;
	snprintf(w->id, sizeof(w->id), "%016zx", i + 1);
	w->gateway = (struct gateway){ .name = name, .fqdn = fqdn, .tls_passthrough = tls };
	w->n_backends = n;
	for (size_t k = 0; k < n; k++)
		w->backends[k] = (struct endpoint){ AF_INET, { 127, 0, 0, 1 }, ports[k] };
	return w;
}

static inline int publish(size_t i)
{
	struct err e = { 0 };
	int r, before = lab.ended[i];

	r = lab.p->ops->apply(lab.p, &lab.works[i], &e);
	T_CHECK(r == PROVIDER_BUSY, "%s", e.msg);
	T_CHECK(UNTIL(lab.ended[i] > before), "it is published in time");
	return lab.result[i];
}

static inline void withdraw(size_t i)
{
	struct err e = { 0 };
	int before = lab.ended[i];

	T_CHECK(lab.p->ops->remove(lab.p, &lab.works[i], &e) == PROVIDER_BUSY, "%s", e.msg);
	T_CHECK(UNTIL(lab.ended[i] > before) && !lab.result[i], "it is gone in time: %s", lab.why[i].msg);
}

struct lab_case {
	const char *name;
	void (*run)(void);
};

/* The one of CASES that ARGV names. Returns the exit status. */
static inline int lab_run(const struct lab_case *cases, size_t n, char **argv)
{
	for (size_t i = 0; i < n; i++)
		if (argv[1] && !strcmp(argv[1], cases[i].name)) {
			void (*run)(void) = cases[i].run;

			T_RUN(run);
		}
	lab_end();
	return T_END();
}

#define PORTS(...) (const uint16_t[]){ __VA_ARGS__ }, ARRAY_LEN(((const uint16_t[]){ __VA_ARGS__ }))
