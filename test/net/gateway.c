/* The gateway with a real HAProxy: its programs as PID 1 starts them, in a network namespace of their own, under the provider that the engine has.
 * Backends and visitors are sockets in the same namespace. */
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

enum { WAIT_MS = 20000, WORKS = 4, ANSWER_MAX = 4096 };

static struct {
	sd_event *event;
	struct provider *p;
	pid_t web, steer;
	struct work works[WORKS];
	int ended[WORKS], result[WORKS];
	struct err why[WORKS];
	unsigned changes;
} lab;

static pid_t program(const char *what)
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

static void stop(pid_t *pid)
{
	if (*pid > 0) {
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
	}
	*pid = 0;
}

static void on_done(void *engine, struct work *w, int r, const struct err *e)
{
	size_t i = (size_t)(w - lab.works);

	(void)engine;
	lab.ended[i]++;
	lab.result[i] = r;
	lab.why[i] = *e;
}

static void on_changed(void *engine, struct work *w)
{
	(void)engine;
	(void)w;
	lab.changes++;
}

static void on_again(void *engine, struct work *w)
{
	(void)engine;
	(void)w;
}

static void lab_make(void)
{
	static const struct gateway_options o = { .socket = GATEWAY_SOCKET };
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
	T_NEED(sd_event_new(&lab.event) >= 0 && !gateway_provider_new(lab.event, &o, &lab.p, &e), "%s", e.msg);
	lab.p->done = on_done;
	lab.p->changed = on_changed;
	lab.p->again = on_again;
	lab.web = program("web");
	lab.steer = program("steer");
}

static void lab_end(void)
{
	stop(&lab.steer);
	stop(&lab.web);
	gateway_provider_free(lab.p);
	sd_event_unref(lab.event);
}

static void role_give(const char *domain)
{
	struct farm *farm = calloc(1, sizeof(*farm));
	struct key_pub node = { .role = KEY_NODE };

	T_NEED(farm, "memory");
	farm->gateways[0] = (struct farm_gateway){ .node = node, .domain = domain };
	farm->n_gateways = 1;
	lab.p->ops->configure(lab.p, &node, farm);
	free(farm);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void turn(void)
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
static pid_t backend(uint16_t port, const char *word)
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
			snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nX-Saw: %s\r\n\r\n%s", strlen(word),
				 strcasestr(bytes, "X-Forwarded-For: 127.0.0.1\r\n") && !strstr(bytes, "6.6.6.6") ? "forwarded" : "nothing", word);
			if (write(conn, answer, strlen(answer)) < 0)
				break;
		}
		_exit(0);
	}
}

static int visit_begin(uint16_t port)
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
static const char *said(int fd, const char *text, const char *end)
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

static const char *page(const char *host)
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

static struct work *work_of(size_t i, const char *name, const char *fqdn, bool tls, const uint16_t *ports, size_t n)
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

static int publish(size_t i)
{
	struct err e = { 0 };
	int r, before = lab.ended[i];

	r = lab.p->ops->apply(lab.p, &lab.works[i], &e);
	T_CHECK(r == PROVIDER_BUSY, "%s", e.msg);
	T_CHECK(UNTIL(lab.ended[i] > before), "it is published in time");
	return lab.result[i];
}

static void withdraw(size_t i)
{
	struct err e = { 0 };
	int before = lab.ended[i];

	T_CHECK(lab.p->ops->remove(lab.p, &lab.works[i], &e) == PROVIDER_BUSY, "%s", e.msg);
	T_CHECK(UNTIL(lab.ended[i] > before) && !lab.result[i], "it is gone in time: %s", lab.why[i].msg);
}

#define PORTS(...) (const uint16_t[]){ __VA_ARGS__ }, ARRAY_LEN(((const uint16_t[]){ __VA_ARGS__ }))

static void a_name_leads_to_its_backend(void)
{
	pid_t a = backend(8001, "one"), b = backend(8002, "two");
	const char *answer;

	work_of(0, "blog", NULL, false, PORTS(8001));
	T_CHECK(!publish(0), "%s", lab.why[0].msg);
	T_CHECK(UNTIL(lab.works[0].published.is_seen && lab.works[0].published.n_up == 1), "it is seen to answer");
	answer = page("blog.apps.example.org");
	T_CHECK(strstr(answer, "200 OK") && strstr(answer, "\r\n\r\none"), "%s", answer);
	T_CHECK(strcasestr(answer, "X-Saw: forwarded"), "it is told who comes, by us alone: %s", answer);
	T_CHECK(strstr(page("BLOG.apps.example.org:80"), "\r\n\r\none"), "however it is written");
	T_CHECK(strstr(page("other.apps.example.org"), " 404 ") && strstr(page("127.0.0.1"), " 404 "), "other names are nobody's");
	work_of(1, NULL, "www.example.org", false, PORTS(8002));
	T_CHECK(!publish(1), "%s", lab.why[1].msg);
	T_CHECK(strstr(page("www.example.org"), "\r\n\r\ntwo") && strstr(page("blog.apps.example.org"), "\r\n\r\none"), "each to its own");
	withdraw(0);
	T_CHECK(strstr(page("blog.apps.example.org"), " 404 ") && strstr(page("www.example.org"), "\r\n\r\ntwo"), "one goes, the other stays");
	withdraw(1);
	stop(&a);
	stop(&b);
}

/* Whoever is connected stays connected while others come and go, and while their own name gets another backend. */
static void who_is_connected_notices_nothing(void)
{
	pid_t a = backend(8011, "one"), b = backend(8012, "two");
	int fd;

	work_of(0, "blog", NULL, false, PORTS(8011));
	T_CHECK(!publish(0), "%s", lab.why[0].msg);
	fd = visit_begin(80);
	T_CHECK(strstr(said(fd, "GET / HTTP/1.1\r\nHost: blog.apps.example.org\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", "\r\n\r\n"),
		       " 101 "),
		"it is upgraded");
	T_CHECK(strstr(said(fd, "before", "before"), "before"), "and carries");
	work_of(1, NULL, "www.example.org", false, PORTS(8012));
	T_CHECK(!publish(1), "%s", lab.why[1].msg);
	T_CHECK(strstr(said(fd, "meanwhile", "meanwhile"), "meanwhile"), "another name came");
	work_of(0, "blog", NULL, false, PORTS(8011, 8012));
	T_CHECK(!publish(0), "%s", lab.why[0].msg);
	T_CHECK(strstr(said(fd, "still", "still"), "still"), "its own name has one more backend");
	withdraw(1);
	T_CHECK(strstr(said(fd, "after", "after"), "after"), "another name went");
	work_of(0, "blog", NULL, false, PORTS(8012));
	T_CHECK(!publish(0), "%s", lab.why[0].msg);
	T_CHECK(!said(fd, "gone", "gone")[0], "with its backend the connection goes");
	close(fd);
	withdraw(0);
	stop(&a);
	stop(&b);
}

static void a_backend_that_is_silent_is_told(void)
{
	pid_t a = backend(8021, "one"), b;

	work_of(0, "blog", NULL, false, PORTS(8021, 8022));
	T_CHECK(!publish(0), "%s", lab.why[0].msg);
	T_CHECK(UNTIL(lab.works[0].published.is_seen && lab.works[0].published.n_up == 1), "one of two answers");
	T_CHECK(!strcmp(lab.works[0].published.message, "1 of 2 backends do not answer"), "%s", lab.works[0].published.message);
	for (int i = 0; i < 4; i++)
		T_CHECK(strstr(page("blog.apps.example.org"), "\r\n\r\none"), "and is the one that is asked");
	b = backend(8022, "two");
	T_CHECK(UNTIL(lab.works[0].published.n_up == 2) && !lab.works[0].published.message[0], "the other has come");
	stop(&a);
	T_CHECK(UNTIL(lab.works[0].published.n_up == 1) && strstr(page("blog.apps.example.org"), "\r\n\r\ntwo"), "and takes over");
	withdraw(0);
	stop(&b);
}

/* The first words of a TLS client that wants NAME: as much of them as names it. */
static size_t hello_make(const char *name, uint8_t *ret)
{
	size_t n = strlen(name), at = 0;
	const size_t ext = 4 + 5 + n, body = 2 + 32 + 1 + 4 + 2 + 2 + ext;

	memset(ret, 0, 9 + body);
	ret[0] = 22, ret[1] = 3, ret[2] = 1, ret[3] = (uint8_t)((body + 4) >> 8), ret[4] = (uint8_t)(body + 4);
	ret[5] = 1, ret[7] = (uint8_t)(body >> 8), ret[8] = (uint8_t)body, ret[9] = 3, ret[10] = 3;
	at = 9 + 2 + 32 + 1;
	ret[at + 1] = 2, ret[at + 2] = 0x13, ret[at + 3] = 0x01, ret[at + 4] = 1; /* one cipher; one way to compress: none */
	at += 6;
	ret[at + 1] = (uint8_t)ext, ret[at + 5] = (uint8_t)(n + 5), ret[at + 7] = (uint8_t)(n + 3), ret[at + 10] = (uint8_t)n;
	memcpy(ret + at + 11, name, n);
	return at + 11 + n;
}

static void tls_is_passed_by_its_name(void)
{
	pid_t a = backend(8031, "whatever it is");
	uint8_t hello[512];
	char answer[64] = "";
	size_t n;
	int fd;

	work_of(0, NULL, "tls.example.org", true, PORTS(8031));
	T_CHECK(!publish(0), "%s", lab.why[0].msg);
	n = hello_make("TLS.example.org", hello);
	fd = visit_begin(443);
	T_CHECK(write(fd, hello, n) == (ssize_t)n && read(fd, answer, sizeof(answer) - 1) > 0 && strstr(answer, "HTTP/1.1 200"),
		"the backend has the client's own bytes: '%s'", answer);
	close(fd);
	n = hello_make("other.example.org", hello);
	fd = visit_begin(443);
	T_CHECK(write(fd, hello, n) == (ssize_t)n && read(fd, answer, sizeof(answer)) <= 0, "another name leads nowhere");
	close(fd);
	fd = visit_begin(443);
	T_CHECK(!said(fd, "GET / HTTP/1.1\r\nHost: tls.example.org\r\n\r\n", "x")[0], "and what is no TLS neither");
	close(fd);
	T_CHECK(strstr(page("tls.example.org"), " 404 "), "it is published for TLS alone");
	withdraw(0);
	stop(&a);
}

/* HAProxy, or who steers it, dies: all names are back, with nobody's help. */
static void what_dies_comes_back(void)
{
	pid_t a = backend(8041, "one");

	work_of(0, "blog", NULL, false, PORTS(8041));
	T_CHECK(!publish(0) && strstr(page("blog.apps.example.org"), "\r\n\r\none"), "it is there");
	stop(&lab.web);
	lab.web = program("web");
	T_CHECK(UNTIL(strstr(page("blog.apps.example.org"), "\r\n\r\none")), "a new HAProxy is told again");
	stop(&lab.steer);
	T_CHECK(strstr(page("blog.apps.example.org"), "\r\n\r\none"), "nobody needs the other for what is there");
	lab.steer = program("steer");
	work_of(1, NULL, "www.example.org", false, PORTS(8041));
	T_CHECK(!publish(1) && strstr(page("www.example.org"), "\r\n\r\none"), "and a new one goes on");
	withdraw(1);
	withdraw(0);
	stop(&a);
}

static struct work *kept;

static bool is_wanted(void *engine, const char *id)
{
	(void)engine;
	return kept && !strcmp(kept->id, id);
}

/* The engine starts anew: it comes to its workloads one by one, and those that it has not come to yet are served meanwhile. */
static void a_new_engine_inherits(void)
{
	static const struct gateway_options o = { .socket = GATEWAY_SOCKET };
	pid_t a = backend(8061, "one"), b = backend(8062, "two");
	struct err e = { 0 };

	kept = work_of(0, "blog", NULL, false, PORTS(8061));
	work_of(1, NULL, "www.example.org", false, PORTS(8062));
	work_of(2, NULL, "old.example.org", false, PORTS(8062));
	T_CHECK(!publish(0) && !publish(1) && !publish(2), "three names");
	gateway_provider_free(lab.p);
	T_NEED(!gateway_provider_new(lab.event, &o, &lab.p, &e), "%s", e.msg);
	lab.p->done = on_done;
	lab.p->changed = on_changed;
	lab.p->again = on_again;
	role_give("apps.example.org");
	lab.p->ops->sweep(lab.p, is_wanted);
	T_CHECK(!publish(1), "the new one has come to one of them");
	T_CHECK(strstr(page("blog.apps.example.org"), "\r\n\r\none") && strstr(page("www.example.org"), "\r\n\r\ntwo"), "one is still as it was");
	T_CHECK(strstr(page("old.example.org"), " 404 "), "and the one that is not wanted any more is gone");
	T_CHECK(!publish(0), "it comes to the other, too");
	withdraw(0);
	T_CHECK(strstr(page("blog.apps.example.org"), " 404 ") && strstr(page("www.example.org"), "\r\n\r\ntwo"), "and that can go");
	withdraw(1);
	stop(&a);
	stop(&b);
}

static void others_names_are_refused(void)
{
	static char disks[DEPLOYMENT_WORKLOADS_MAX][STORAGE_UUID_SIZE];
	struct deployment *d = deployment_new();
	pid_t a = backend(8051, "one");
	struct err e = { 0 };

	work_of(0, "blog", NULL, false, PORTS(8051));
	T_CHECK(!publish(0), "%s", lab.why[0].msg);
	d->name = "other";
	d->n_workloads = 1;
	d->workloads[0] = (struct workload){ .name = "site", .kind = WORKLOAD_GATEWAY_NAME, .gateway = { .name = "shop" } };
	T_CHECK(!lab.p->ops->admit(lab.p, d, NULL, disks, &e), "a free name: %s", e.msg);
	d->workloads[0] = (struct workload){ .name = "site", .kind = WORKLOAD_GATEWAY_FQDN, .gateway = { .fqdn = "www.example.org" } };
	T_CHECK(!lab.p->ops->admit(lab.p, d, NULL, disks, &e), "a name of one's own: %s", e.msg);
	d->workloads[0].gateway.fqdn = "new.apps.example.org";
	T_CHECK(lab.p->ops->admit(lab.p, d, NULL, disks, &e) == -EBADMSG && strstr(e.msg, "gateway's own domain"), "%s", e.msg);
	d->workloads[1] = d->workloads[0];
	d->workloads[0].gateway.fqdn = d->workloads[1].gateway.fqdn = "www.example.org";
	d->n_workloads = 2;
	T_CHECK(lab.p->ops->admit(lab.p, d, NULL, disks, &e) == -EBADMSG && strstr(e.msg, "'www.example.org' is what 'site' publishes"), "%s", e.msg);
	role_give(NULL);
	d->n_workloads = 1;
	T_CHECK(!lab.p->ops->admit(lab.p, d, NULL, disks, &e), "without a domain names of one's own remain: %s", e.msg);
	d->workloads[0] = (struct workload){ .name = "site", .kind = WORKLOAD_GATEWAY_NAME, .gateway = { .name = "shop" } };
	T_CHECK(lab.p->ops->admit(lab.p, d, NULL, disks, &e) == -EBADMSG && strstr(e.msg, "no domain"), "%s", e.msg);
	lab.p->ops->configure(lab.p, NULL, NULL);
	T_CHECK(lab.p->ops->admit(lab.p, d, NULL, disks, &e) == -EBADMSG && strstr(e.msg, "no gateway of its farm"), "%s", e.msg);
	role_give("apps.example.org");
	deployment_free(d);
	withdraw(0);
	stop(&a);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "name", a_name_leads_to_its_backend },
	{ "kept", who_is_connected_notices_nothing },
	{ "silent", a_backend_that_is_silent_is_told },
	{ "tls", tls_is_passed_by_its_name },
	{ "back", what_dies_comes_back },
	{ "whose", others_names_are_refused },
	{ "inherited", a_new_engine_inherits },
};

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	lab_make();
	role_give("apps.example.org");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (argc == 2 && !strcmp(argv[1], cases[i].name)) {
			void (*run)(void) = cases[i].run;

			T_RUN(run);
		}
	lab_end();
	return T_END();
}
