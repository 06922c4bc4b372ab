#include "gateway/steer.h"

#include "test/t.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

static struct routes wanted;

static void want(const char *fqdn, const char *device, bool tls, const char *const *backends)
{
	struct route *r = &wanted.list[wanted.n++];

	*r = (struct route){ .tls_passthrough = tls };
	snprintf(r->fqdn, sizeof(r->fqdn), "%s", fqdn);
	snprintf(r->device, sizeof(r->device), "%s", device);
	for (; backends[r->n_backends]; r->n_backends++)
		T_NEED(!endpoint_parse(str_c(backends[r->n_backends]), &r->backends[r->n_backends]), "%s", backends[r->n_backends]);
}

#define BACKENDS(...)             \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define HEAD "1\n# be_id be_name srv_id srv_name srv_addr\n"
/* As HAProxy 3.0 writes a line; OP and RESULT: its state, and that of its last check. */
#define SERVER(slot, name, op, result) "4 " slot " 1 " name " 10.20.1.5 " op " 0 1 1 5 15 " result " 3 6 0 0 0 - 80 - 0 0 - - 0\n"
#define NAME(fqdn, slot) "0x55d0c8b0 " fqdn " " slot "\n"

/* What follows from SAID, and what it leaves seen of the first route. */
static const char *said(const char *answer, int want_r)
{
	static struct buf out;
	AUTO_SEEN struct haproxy_seen seen = { 0 };
	struct err e = { 0 };
	int r;

	out.len = 0;
	T_NEED(!haproxy_seen_parse(str_c(answer), &seen, &e), "%s", e.msg);
	r = steer(&wanted, &seen, &out, &e);
	T_CHECK(r == want_r, "%d: %s", r, e.msg);
	return out.len ? out.p : "";
}

static void a_name_comes_after_its_servers(void)
{
	const char *out;

	wanted.n = 0;
	want("www.example.org", "gl3", false, BACKENDS("10.20.1.5:80"));
	out = said(HEAD, 0);
	T_CHECK(!strcmp(out, "add server web0/gl3_10.20.1.5_80 10.20.1.5:80 check inter 5s fastinter 1s rise 1 fall 2 source 0.0.0.0 interface gl3;"
			     "enable health web0/gl3_10.20.1.5_80;enable server web0/gl3_10.20.1.5_80;"
			     "add map " HAPROXY_DIR "/web.map www.example.org web0;"),
		"first: %s", out);
	T_CHECK(!wanted.list[0].is_known, "nobody knows yet");
	out = said(HEAD SERVER("web0", "gl3_10.20.1.5_80", "2", "0") NAME("www.example.org", "web0"), 0);
	T_CHECK(!out[0] && !wanted.list[0].is_known, "there, and not asked yet: %s", out);
	said(HEAD SERVER("web0", "gl3_10.20.1.5_80", "2", "3") NAME("www.example.org", "web0"), 0);
	T_CHECK(wanted.list[0].is_known && wanted.list[0].n_up == 1, "it answers");
	said(HEAD SERVER("web0", "gl3_10.20.1.5_80", "0", "2") NAME("www.example.org", "web0"), 0);
	T_CHECK(wanted.list[0].is_known && !wanted.list[0].n_up, "it does not");
}

static void what_stays_is_not_touched(void)
{
	const char *out;

	wanted.n = 0;
	want("www.example.org", "gl3", false, BACKENDS("10.20.1.5:80", "10.20.1.6:80"));
	want("b.example.org", "", true, BACKENDS("[2001:db8::5]:443"));
	out = said(HEAD SERVER("web7", "gl3_10.20.1.5_80", "2", "3") SERVER("web7", "gl3_10.20.1.9_80", "2", "3")
			   SERVER("tls0", "card_2001:db8::5_443", "2", "3") NAME("www.example.org", "web7") NAME("b.example.org", "tls0"),
		   0);
	T_CHECK(strstr(out, "add server web7/gl3_10.20.1.6_80"), "the new one, in the name's own backend: %s", out);
	T_CHECK(strstr(out,
		       "set server web7/gl3_10.20.1.9_80 state maint;shutdown sessions server web7/gl3_10.20.1.9_80;del server web7/gl3_10.20.1.9_80;"),
		"the old one goes: %s", out);
	T_CHECK(!strstr(out, "10.20.1.5") && !strstr(out, "tls0") && !strstr(out, " map "), "and nothing else: %s", out);
	T_CHECK(wanted.list[1].is_known && wanted.list[1].n_up == 1 && !wanted.list[0].is_known, "each as it is");
}

static void a_name_goes_before_its_servers(void)
{
	const char *out;

	wanted.n = 0;
	out = said(HEAD SERVER("web0", "gl3_10.20.1.5_80", "2", "3") NAME("www.example.org", "web0"), 0);
	T_CHECK(str_starts(str_c(out), S("del map " HAPROXY_DIR "/web.map www.example.org;set server web0/")), "%s", out);
	want("b.example.org", "gl3", false, BACKENDS("10.20.1.5:80"));
	out = said(HEAD SERVER("web0", "gl3_10.20.1.5_80", "2", "3"), 0);
	T_CHECK(strstr(out, "del server web0/") && strstr(out, "add server web1/"), "its backend is nobody's until they have gone: %s", out);
}

static void passed_through_it_is_another_kind(void)
{
	const char *out;

	wanted.n = 0;
	want("www.example.org", "gl3", true, BACKENDS("10.20.1.5:80"));
	out = said(HEAD SERVER("web0", "gl3_10.20.1.5_80", "2", "3") NAME("www.example.org", "web0"), 0);
	T_CHECK(strstr(out, "del map " HAPROXY_DIR "/web.map www.example.org;") && strstr(out, "del server web0/") &&
			strstr(out, "add server tls0/gl3_10.20.1.5_80") && strstr(out, "add map " HAPROXY_DIR "/tls.map www.example.org tls0;"),
		"%s", out);
}

/* As many as there may be, each with as many backends: it takes several looks, none of which tells half of a name. */
static void much_takes_several_looks(void)
{
	AUTO_BUF struct buf answer = { 0 };
	const char *out;
	size_t n = 0;

	wanted.n = 0;
	for (int i = 0; i < GATEWAY_ROUTES_MAX; i++) {
		char name[32];

		snprintf(name, sizeof(name), "n%d.example.org", i);
		want(name, "gl3", false, BACKENDS("10.20.1.5:80", "10.20.1.6:80", "10.20.1.7:80"));
	}
	out = said(HEAD, 0);
	T_CHECK(strlen(out) < STEER_TEXT_MAX && strlen(out) > STEER_TEXT_MAX / 2, "%zu bytes", strlen(out));
	for (const char *at = out; (at = strstr(at, "add map ")); at++)
		n++;
	T_CHECK(n > 5 && out[strlen(out) - 1] == ';', "%zu names", n);
	for (const char *at = out; (at = strstr(at, "add server ")); at++)
		n += 1000;
	T_CHECK(n / 1000 == 3 * (n % 1000), "three servers for each: %zu", n);
	buf_addf(&answer, HEAD);
	for (int i = 0; i < GATEWAY_ROUTES_MAX; i++)
		buf_addf(&answer, "0x1 other%d.example.org web%d\n", i, i);
	said(answer.p, -ENOSPC);
}

#define ID "0123456789abcdef"
#define CERT HAPROXY_DIR "/www.example.org/" ID

static const char *certs_said(const char *answer)
{
	static struct buf out;
	AUTO_SEEN struct haproxy_seen seen = { 0 };
	struct err e = { 0 };

	out.len = 0;
	T_NEED(!haproxy_seen_parse(str_c(answer), &seen, &e) && !steer_certs(&wanted, &seen, &out), "%s", e.msg);
	return out.len ? out.p : "";
}

static void a_certificate_comes_before_the_old_one_goes(void)
{
	char *bundle = strdup("-----BEGIN X-----\n");
	const char *out;

	wanted.n = 0;
	want("www.example.org", "gl3", false, BACKENDS("10.20.1.5:80"));
	T_CHECK(!certs_said(HEAD)[0], "it has none");
	wanted.list[0].bundle = bundle;
	snprintf(wanted.list[0].cert_id, sizeof(wanted.list[0].cert_id), ID);
	out = certs_said(HEAD HAPROXY_DIR "/www.example.org/fedcba9876543210\n# " HAPROXY_CERTS "\n" HAPROXY_DIR
					  "/www.example.org/fedcba9876543210:1\n");
	T_CHECK(!strcmp(out, "prompt\nnew ssl cert " CERT "\nset ssl cert " CERT " <<\n-----BEGIN X-----\n\ncommit ssl cert " CERT
			     "\nadd ssl crt-list " HAPROXY_CERTS " " CERT "\ndel ssl crt-list " HAPROXY_CERTS " " HAPROXY_DIR
			     "/www.example.org/fedcba9876543210\ndel ssl cert " HAPROXY_DIR "/www.example.org/fedcba9876543210\nquit"),
		"%s", out);
	out = certs_said(HEAD "# transaction\n*" CERT "\n# filename\n" CERT "\n");
	T_CHECK(!strncmp(out, "prompt\ndel ssl cert " CERT "\nnew ssl cert " CERT "\n",
			 strlen("prompt\ndel ssl cert " CERT "\nnew ssl cert " CERT "\n")),
		"half a one is made anew: %s", out);
	T_CHECK(!certs_said(HEAD CERT "\n" CERT ":1\n")[0], "what is there stays");
	wanted.n = 0;
	out = certs_said(HEAD CERT "\n" CERT ":1\n");
	T_CHECK(!strcmp(out, "prompt\ndel ssl crt-list " HAPROXY_CERTS " " CERT "\ndel ssl cert " CERT "\nquit"), "with its name it goes: %s", out);
	free(bundle);
}

#define THUMB "012345678901234567890123456789012345678901_"

static void challenges_are_answered_as_the_account_says(void)
{
	const char *out;

	wanted.n = 0;
	want("www.example.org", "gl3", false, BACKENDS("10.20.1.5:80"));
	snprintf(wanted.thumbprint, sizeof(wanted.thumbprint), THUMB);
	out = said(HEAD, 0);
	T_CHECK(str_starts(str_c(out), S("add map " HAPROXY_ACME_MAP " thumbprint " THUMB ";")) && !wanted.list[0].is_ready, "%s", out);
	out = said(HEAD SERVER("web0", "gl3_10.20.1.5_80", "2", "3") NAME("www.example.org", "web0") NAME("thumbprint", THUMB), 0);
	T_CHECK(!out[0] && wanted.list[0].is_ready, "it can be asked for: %s", out);
	snprintf(wanted.thumbprint, sizeof(wanted.thumbprint), "_%s", &THUMB[1]);
	out = said(HEAD SERVER("web0", "gl3_10.20.1.5_80", "2", "3") NAME("www.example.org", "web0") NAME("thumbprint", THUMB), 0);
	T_CHECK(str_starts(str_c(out), S("set map " HAPROXY_ACME_MAP " thumbprint _")) && !wanted.list[0].is_ready, "another account: %s", out);
	wanted.thumbprint[0] = '\0';
	out = said(HEAD NAME("thumbprint", THUMB), 0);
	T_CHECK(str_starts(str_c(out), S("del map " HAPROXY_ACME_MAP " thumbprint;")), "none: %s", out);
}

static const struct {
	const char *said, *why; /* NULL: understood */
} answers[] = {
	{ HEAD, NULL },
	{ HEAD SERVER("web0", "gl3_10.20.1.5_80", "2", "3") NAME("www.example.org", "web0"), NULL },
	{ HEAD SERVER("nobody", "x", "2", "3"), NULL },
	{ "", "does not say which servers" },
	{ "Permission denied\n", "does not know: 'Permission denied'" },
	{ HEAD "4 web0 1 a 10.20.1.5 2 0\n", "does not know" },
	{ HEAD SERVER("web0", "a", "x", "3"), "does not know" },
	{ HEAD SERVER("web0", "a", "2", "3") "Unknown map identifier. Please use #<id> or <file>.\n", "does not know: 'Unknown map" },
	{ HEAD NAME("www.example.org", "web999"), "does not know" },
	{ HEAD NAME("www.example.org", "nobody"), "does not know" },
	{ HEAD CERT "\n" CERT ":1\n" NAME("thumbprint", THUMB), NULL },
	{ HEAD NAME("thumbprint", "short"), "does not know" },
	{ HEAD HAPROXY_DIR "/www.example.org/short\n", "does not know" },
	{ HEAD HAPROXY_DIR "/www.example.org\n", "does not know" },
	{ HEAD HAPROXY_DIR "/www.example.org;x/" ID "\n", "does not know" },
};

static void nothing_is_guessed(void)
{
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		AUTO_SEEN struct haproxy_seen seen = { 0 };
		struct err e = { 0 };
		int r = haproxy_seen_parse(str_c(answers[i].said), &seen, &e);

		T_CHECK(answers[i].why ? r == -EBADMSG && strstr(e.msg, answers[i].why) : !r, "row %zu: %d '%s'", i, r, e.msg);
	}
}

/* HAProxy could run Lua, and is linked with it: what it reads at its start asks for nothing of the kind. */
static void the_configuration_runs_nothing(void)
{
	static const char *const never[] = { "lua", "program", "external-check", "agent-check" };
	AUTO_BUF struct buf conf = { 0 };

	haproxy_conf_format(&conf);
	T_NEED(!buf_check(&conf) && strstr(conf.p, "frontend web") && strstr(conf.p, "backend tls255"), "it is whole");
	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		T_CHECK(!strcasestr(conf.p, never[i]), "%s", never[i]);
}

int main(void)
{
	T_RUN(a_name_comes_after_its_servers);
	T_RUN(what_stays_is_not_touched);
	T_RUN(a_name_goes_before_its_servers);
	T_RUN(passed_through_it_is_another_kind);
	T_RUN(much_takes_several_looks);
	T_RUN(a_certificate_comes_before_the_old_one_goes);
	T_RUN(challenges_are_answered_as_the_account_says);
	T_RUN(nothing_is_guessed);
	T_RUN(the_configuration_runs_nothing);
	return T_END();
}
