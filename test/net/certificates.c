/* Certificates of published names, from a real ACME server (test/lab/acme.py) by the real uacme to the real HAProxy (gateway_lab.h). */
#include "gateway_lab.h"

#include "gateway/acmed.h"

#include <openssl/ssl.h>

#define SERVER_DIR "/run/zos/server"
#define DIRECTORY "https://127.0.0.1:14000/directory"
#define FIRST "blog.apps.example.org"
enum { LONG_S = 3600, SHORT_S = 24 };

static pid_t acme, server;
static bool has_ca = true;

static void server_start(int seconds)
{
	const char *built = getenv("ZOS_BUILD");
	char text[16], word[8] = "", path[PATH_MAX];
	int fds[2];

	T_NEED(built && snprintf(path, sizeof(path), "%s/../../test/lab/acme.py", built) < (int)sizeof(path) && !pipe(fds), "the ACME server");
	snprintf(text, sizeof(text), "%d", seconds);
	server = fork();
	if (!server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], STDOUT_FILENO);
		execlp("python3", "python3", path, SERVER_DIR, "127.0.0.1", "14000", text, FIRST "=127.0.0.1", "www.example.org=127.0.0.1", NULL);
		_exit(127);
	}
	close(fds[1]);
	T_NEED(read(fds[0], word, sizeof(word) - 1) > 0, "the ACME server starts");
	close(fds[0]);
}

static void farm_say(bool with_acme)
{
	AUTO_FREE struct farm *farm = calloc(1, sizeof(*farm));
	struct key_pub node = { .role = KEY_NODE };
	AUTO_BUF struct buf ca = { 0 };
	struct err e = { 0 };

	T_NEED(farm && !file_read(AT_FDCWD, SERVER_DIR "/ca.pem", 8192, &ca, &e), "%s", e.msg);
	farm->gateways[0] = (struct farm_gateway){ .node = node, .domain = "apps.example.org" };
	if (with_acme) {
		farm->gateways[0].acme = DIRECTORY;
		farm->gateways[0].acme_ca = has_ca ? ca.p : NULL;
		farm->gateways[0].acme_email = "host@example.org";
	}
	farm->n_gateways = 1;
	lab.p->ops->configure(lab.p, &node, farm);
}

static void acme_lab(int seconds)
{
	struct err e = { 0 };

	T_NEED(!dir_make(ACMED_DIR, 0700, &e) && !dir_make(ACMED_CA_DIR, 0755, &e) && !dir_make(SERVER_DIR, 0755, &e) &&
		       !chown(ACMED_DIR, 912, 912) && !chown(ACMED_CA_DIR, 912, 912),
	       "%s", e.msg);
	server_start(seconds);
	acme = program("acme");
	farm_say(true);
}

static void acme_lab_end(void)
{
	stop(&acme);
	stop(&server);
}

/* What a visitor of NAME over TLS gets: the page, the certificate's serial number, the group. "" in SERIAL: no connection. */
struct visit {
	char page[512], serial[64], group[32];
};

/* A connection to NAME whose chain holds, over FD (-1 = none could be made); NULL: there is none. */
static SSL *tls_open(const char *name, int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;

	T_NEED(ctx && SSL_CTX_load_verify_locations(ctx, SERVER_DIR "/ca.pem", NULL) == 1 && (ssl = SSL_new(ctx)), "a TLS client");
	SSL_CTX_free(ctx);
	SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	SSL_set1_host(ssl, name);
	SSL_set_tlsext_host_name(ssl, name);
	SSL_set_fd(ssl, fd);
	if (fd >= 0 && SSL_connect(ssl) == 1)
		return ssl;
	SSL_free(ssl);
	return NULL;
}

/* What comes for TEXT, in one piece. */
static const char *said_tls(SSL *ssl, const char *text)
{
	static char answer[ANSWER_MAX];
	int n = SSL_write(ssl, text, (int)strlen(text)) > 0 ? SSL_read(ssl, answer, (int)sizeof(answer) - 1) : 0;

	answer[n > 0 ? n : 0] = '\0';
	return answer;
}

static struct visit visit_tls(const char *name)
{
	static const char get[] = "GET / HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n";
	struct visit ret = { 0 };
	char text[256];
	int fd = visit_begin(443), n = 0, got;
	SSL *ssl = tls_open(name, fd);

	if (ssl) {
		X509 *cert = SSL_get1_peer_certificate(ssl);
		BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
		char *hex = BN_bn2hex(number);

		snprintf(ret.serial, sizeof(ret.serial), "%s", hex);
		snprintf(ret.group, sizeof(ret.group), "%s", SSL_get0_group_name(ssl));
		OPENSSL_free(hex);
		BN_free(number);
		X509_free(cert);
		snprintf(text, sizeof(text), get, name);
		SSL_write(ssl, text, (int)strlen(text));
		while (n < (int)sizeof(ret.page) - 1 && (got = SSL_read(ssl, ret.page + n, (int)sizeof(ret.page) - 1 - n)) > 0)
			n += got;
	}
	SSL_free(ssl);
	if (fd >= 0)
		close(fd);
	return ret;
}

static bool has_tls(const char *name)
{
	return visit_tls(name).serial[0];
}

/* A line of what the server saw. */
static size_t seen(const char *line)
{
	AUTO_BUF struct buf text = { 0 };
	struct str rest, one;
	struct err e = { 0 };
	size_t n = 0;

	if (file_read(AT_FDCWD, SERVER_DIR "/seen", 1 << 20, &text, &e))
		return 0;
	rest = buf_str(&text);
	while (str_next(&rest, '\n', &one))
		n += str_starts(one, str_c(line));
	return n;
}

static void a_name_gets_a_certificate(void)
{
	pid_t a = backend(8001, "one");
	struct visit got;

	acme_lab(LONG_S);
	work_of(0, "blog", NULL, false, PORTS(8001));
	work_of(1, NULL, "tls.example.org", true, PORTS(8001));
	T_CHECK(!publish(0) && !publish(1), "%s", lab.why[0].msg);
	T_CHECK(UNTIL(has_tls(FIRST)), "it has HTTPS: %s", lab.works[0].published.cert_message);
	got = visit_tls(FIRST);
	T_CHECK(strstr(got.page, "\r\n\r\none") && strcasestr(got.page, "X-Saw: forwarded") && strcasestr(got.page, "X-By: https"),
		"its page, and who comes is told by us: %s", got.page);
	T_CHECK(!strcmp(got.group, "X25519MLKEM768"), "%s", got.group);
	T_CHECK(seen("account mailto:host@example.org") == 1 && seen("order") == 1 && seen("issued") == 1, "once each");
	T_CHECK(lab.works[0].published.cert_until_s > (uint64_t)time(NULL) && !lab.works[0].published.cert_message[0], "it is told until when");
	T_CHECK(!has_tls("other.example.org"), "nobody's name has none");
	T_CHECK(strstr(page(FIRST), "\r\n\r\none") && strcasestr(page(FIRST), "X-By: http\r\n"), "HTTP is as before");
	withdraw(0);
	T_CHECK(!has_tls(FIRST), "with the name its certificate goes");
	T_CHECK(strstr(lab.kept[1].value, FIRST "\n-----BEGIN PRIVATE KEY-----"), "it is kept until its workload is gone: %.40s", lab.kept[1].value);
	withdraw(1);
	lab.p->ops->forget(lab.p, &lab.works[0]);
	T_CHECK(!strcmp(lab.kept[1].name, lab.works[0].id) && !lab.kept[1].value[0], "and then not");
	acme_lab_end();
	stop(&a);
}

/* Whatever dies, and with the ACME server away: what there is goes on. */
static void it_outlives_all(void)
{
	pid_t a = backend(8001, "one");
	char serial[64];

	acme_lab(LONG_S);
	work_of(0, "blog", NULL, false, PORTS(8001));
	T_CHECK(!publish(0) && UNTIL(has_tls(FIRST)), "it has HTTPS: %s", lab.works[0].published.cert_message);
	memcpy(serial, visit_tls(FIRST).serial, sizeof(serial));
	stop(&server);
	stop(&lab.web);
	lab.web = program("web");
	T_CHECK(UNTIL(has_tls(FIRST)) && !strcmp(visit_tls(FIRST).serial, serial), "HAProxy");
	stop(&lab.steer);
	T_CHECK(!strcmp(visit_tls(FIRST).serial, serial), "who steers it");
	lab.steer = program("steer");
	stop(&acme);
	acme = program("acme");
	gateway_provider_free(lab.p);
	provider_make();
	farm_say(true);
	lab.works[0].published = (struct gateway_result){ 0 };
	T_CHECK(!publish(0), "%s", lab.why[0].msg);
	T_CHECK(!strcmp(visit_tls(FIRST).serial, serial), "the engine, and who gets certificates");
	T_CHECK(UNTIL(lab.works[0].published.cert_until_s), "what is kept is looked at");
	stop(&lab.web); /* as a restart of the node: all at once */
	stop(&lab.steer);
	lab.web = program("web");
	lab.steer = program("steer");
	T_CHECK(UNTIL(has_tls(FIRST)) && !strcmp(visit_tls(FIRST).serial, serial), "all of them");
	T_CHECK(seen("issued") == 1, "and none was asked for again");
	farm_say(false);
	T_CHECK(!publish(0) && UNTIL(!has_tls(FIRST)) && strstr(page(FIRST), "\r\n\r\none"), "turned off it has HTTP alone");
	withdraw(0);
	acme_lab_end();
	stop(&a);
}

static void a_name_that_leads_elsewhere_hinders_nobody(void)
{
	pid_t a = backend(8001, "one");
	const struct gateway_result *is = &lab.works[1].published;

	acme_lab(LONG_S);
	work_of(1, NULL, "lost.example.org", false, PORTS(8001));
	work_of(0, "blog", NULL, false, PORTS(8001));
	T_CHECK(!publish(1) && !publish(0), "%s", lab.why[0].msg);
	T_CHECK(UNTIL(has_tls(FIRST)), "the other has HTTPS: %s", lab.works[0].published.cert_message);
	T_CHECK(UNTIL(is->cert_message[0]), "this one hears why not");
	T_CHECK(strstr(is->cert_message, "its certificate could not be had: DNS problem: nobody knows lost.example.org; next try at 20"), "%s",
		is->cert_message);
	T_CHECK(!is->message[0] && !is->cert_until_s && !has_tls("lost.example.org") && strstr(page("lost.example.org"), "\r\n\r\none"),
		"it is served over HTTP");
	T_CHECK(seen("order lost.example.org") == 1, "and is not asked for again at once");
	withdraw(0);
	withdraw(1);
	acme_lab_end();
	stop(&a);
}

/* The server that the farm names is not who its authorities know. */
static void a_server_is_believed_by_the_farms_word_alone(void)
{
	pid_t a = backend(8001, "one");

	has_ca = false;
	acme_lab(LONG_S);
	work_of(0, "blog", NULL, false, PORTS(8001));
	T_CHECK(!publish(0), "%s", lab.why[0].msg);
	T_CHECK(UNTIL(lab.works[0].published.cert_message[0]), "it is told");
	T_CHECK(!seen("account") && !has_tls(FIRST), "nothing is sent to it: %s", lab.works[0].published.cert_message);
	has_ca = true;
	farm_say(true);
	T_CHECK(UNTIL(has_tls(FIRST)), "told who signs for it, it is: %s", lab.works[0].published.cert_message);
	withdraw(0);
	acme_lab_end();
	stop(&a);
}

/* Two thirds of its time are over, and the server is away: what there is goes on, whoever is connected notices nothing, and it is renewed once the server is back. */
static void it_is_renewed(void)
{
	pid_t a = backend(8001, "one");
	char first[64], second[64];
	SSL *ssl;
	int fd;

	acme_lab(SHORT_S);
	work_of(0, "blog", NULL, false, PORTS(8001));
	T_CHECK(!publish(0) && UNTIL(has_tls(FIRST)), "it has HTTPS: %s", lab.works[0].published.cert_message);
	memcpy(first, visit_tls(FIRST).serial, sizeof(first));
	fd = visit_begin(443);
	T_NEED(ssl = tls_open(FIRST, fd), "a connection");
	T_CHECK(strstr(said_tls(ssl, "GET / HTTP/1.1\r\nHost: " FIRST "\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"), " 101 "), "upgraded");
	T_CHECK(UNTIL(strcmp(visit_tls(FIRST).serial, first)), "renewed");
	memcpy(second, visit_tls(FIRST).serial, sizeof(second));
	T_CHECK(second[0], "with another");
	T_CHECK(strstr(said_tls(ssl, "after"), "after"), "whoever is connected stays");
	SSL_free(ssl);
	close(fd);
	stop(&server);
	T_CHECK(UNTIL(!visit_tls(FIRST).serial[0]) && UNTIL(lab.works[0].published.cert_message[0]), "it runs out; uacme tries for 15 s");
	T_CHECK(strstr(lab.works[0].published.cert_message, "its certificate could not be renewed: "), "%s", lab.works[0].published.cert_message);
	T_CHECK(lab.works[0].published.is_seen && !lab.works[0].published.message[0], "which is no state of the name's");
	withdraw(0);
	acme_lab_end();
	stop(&a);
}

static const struct lab_case cases[] = {
	{ "had", a_name_gets_a_certificate },
	{ "kept", it_outlives_all },
	{ "lost", a_name_that_leads_elsewhere_hinders_nobody },
	{ "believed", a_server_is_believed_by_the_farms_word_alone },
	{ "renewed", it_is_renewed },
};

int main(int argc, char **argv)
{
	(void)argc;
	signal(SIGPIPE, SIG_IGN);
	lab_make();
	return lab_run(cases, ARRAY_LEN(cases), argv);
}
