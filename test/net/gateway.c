/* Published names: see gateway_lab.h. */
#include "gateway_lab.h"

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
	pid_t a = backend(8061, "one"), b = backend(8062, "two");

	kept = work_of(0, "blog", NULL, false, PORTS(8061));
	work_of(1, NULL, "www.example.org", false, PORTS(8062));
	work_of(2, NULL, "old.example.org", false, PORTS(8062));
	T_CHECK(!publish(0) && !publish(1) && !publish(2), "three names");
	gateway_provider_free(lab.p);
	provider_make();
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

static const struct lab_case cases[] = {
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
	(void)argc;
	signal(SIGPIPE, SIG_IGN);
	lab_make();
	role_give("apps.example.org");
	return lab_run(cases, ARRAY_LEN(cases), argv);
}
