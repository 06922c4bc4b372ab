#include "gateway/haproxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

const char *const haproxy_kind_names[] = { [HAPROXY_WEB] = "web", [HAPROXY_TLS] = "tls" };
const char *const haproxy_maps[] = { [HAPROXY_WEB] = HAPROXY_DIR "/web.map", [HAPROXY_TLS] = HAPROXY_DIR "/tls.map" };

/* Whoever comes says first what they want, and soon. Idle connections to backends are kept, slow and silent ones are not. */
static const char conf_head[] = "global\n"
				"	stats socket " HAPROXY_API " level admin\n"
				"	stats timeout 10s\n"
				"	maxconn 8192\n"
				"	maxsslconn 2048\n" /* 60 KB each at most */
				"	ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets\n"
				"	ssl-default-bind-curves X25519MLKEM768:X25519:secp256r1:secp384r1\n"
				"	ssl-default-bind-ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
				"ECDHE-ECDSA-CHACHA20-POLY1305\n";

static const char conf_defaults[] = "defaults\n"
				    "	timeout connect 5s\n"
				    "	timeout client 60s\n"
				    "	timeout server 60s\n"
				    "	timeout client-fin 10s\n"
				    "	timeout server-fin 10s\n"
				    "	timeout http-request 10s\n"
				    "	timeout http-keep-alive 30s\n"
				    "	timeout queue 5s\n"
				    "	timeout tunnel 1h\n"
				    "	timeout check 5s\n"
				    "	retries 2\n"
				    "	option redispatch\n"
				    "	balance leastconn\n";

/* What a stranger says of themselves is not passed on as if it were known. */
static const char conf_http[] = "	mode http\n"
				"	option forwardfor\n"
				"	http-request del-header Forwarded\n"
				"	http-request del-header X-Forwarded-For\n"
				"	http-request set-header X-Forwarded-Proto %s\n"
				"	http-request set-var(txn.to) req.hdr(host),host_only,lower,map(" HAPROXY_DIR "/web.map)\n"
				"%s"
				"	use_backend %%[var(txn.to)] if { var(txn.to) -m found }\n"
				"	default_backend nobody\n";

static const char conf_web[] = "frontend web\n"
			       "	bind :80\n"
			       "	bind [::]:80 v6only\n";

/* The answer to any challenge is the challenge and the account's thumbprint (RFC 8555, section 8.1), so that nothing has to be told for one. */
static const char conf_challenge[] = "	acl is_challenge path_reg ^/\\.well-known/acme-challenge/[A-Za-z0-9_-]{1,128}$\n"
				     "	http-request return status 200 content-type application/octet-stream lf-string "
				     "%[path,field(4,/)].%[str(" HAPROXY_ACME_ROW "),map(" HAPROXY_ACME_MAP ")] "
				     "if is_challenge { var(txn.to) -m found } { str(" HAPROXY_ACME_ROW "),map(" HAPROXY_ACME_MAP ") -m found }\n";

static const char conf_https[] = "backend https\n"
				 "	mode tcp\n"
				 "	server here unix@" HAPROXY_DIR "/tls send-proxy-v2\n"
				 "frontend https\n"
				 "	bind unix@" HAPROXY_DIR "/tls accept-proxy ssl crt-list " HAPROXY_CERTS " strict-sni alpn h2,http/1.1\n";

static const char conf_nobody[] = "backend nobody\n"
				  "	mode http\n"
				  "	http-request return status 404 content-type text/plain string \"Nobody has published this name here.\\n\"\n";

/* The name is read from a TLS client's first words, which nobody has opened. */
static const char conf_tls[] =
	"frontend tls\n"
	"	mode tcp\n"
	"	bind :443\n"
	"	bind [::]:443 v6only\n"
	"	tcp-request inspect-delay 5s\n"
	"	tcp-request content set-var(sess.to) req.ssl_sni,lower,map(" HAPROXY_DIR "/tls.map) if { req.ssl_hello_type 1 }\n"
	"	tcp-request content accept if { var(sess.to) -m found }\n"
	"	tcp-request content accept if { req.ssl_hello_type 1 } { req.ssl_sni,lower,map(" HAPROXY_DIR "/web.map) -m found }\n"
	"	tcp-request content reject if { req.ssl_hello_type 1 }\n"
	"	tcp-request content reject if WAIT_END\n"
	"	use_backend %[var(sess.to)] if { var(sess.to) -m found }\n"
	"	default_backend https\n";

/* A program that says anything at all but "I am broken" is there; one that ends TLS itself is when it does. */
static const char *const conf_kinds[] = {
	[HAPROXY_WEB] = "	mode http\n	option httpchk GET /\n	http-check expect status 100-499\n",
	[HAPROXY_TLS] = "	mode tcp\n	option ssl-hello-chk\n",
};

void haproxy_conf_format(struct buf *ret)
{
	buf_add(ret, str_c(conf_head));
	buf_add(ret, str_c(conf_defaults));
	buf_add(ret, str_c(conf_web));
	buf_addf(ret, conf_http, "http", conf_challenge);
	buf_add(ret, str_c(conf_tls));
	buf_add(ret, str_c(conf_https));
	buf_addf(ret, conf_http, "https", "");
	buf_add(ret, str_c(conf_nobody));
	for (int kind = 0; kind < HAPROXY_KINDS; kind++)
		for (int i = 0; i < HAPROXY_SLOTS; i++)
			buf_addf(ret, "backend %s%d\n%s", haproxy_kind_names[kind], i, conf_kinds[kind]);
}

void haproxy_server_name(const struct route *r, size_t i, char ret[static HAPROXY_SERVER_SIZE])
{
	const struct endpoint *at = &r->backends[i];
	char text[IP6_TEXT_SIZE];
	const uint8_t *a = at->address;

	if (at->family == AF_INET)
		format_ip4(text, (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3]);
	else
		format_ip6(text, a);
	snprintf(ret, HAPROXY_SERVER_SIZE, "%s_%s_%u", r->device[0] ? r->device : "card", text, at->port);
}

void haproxy_seen_deinit(struct haproxy_seen *s)
{
	free(s->servers);
	free(s->names);
	free(s->certs);
	*s = (struct haproxy_seen){ 0 };
}

const char haproxy_look[] = "show servers state; show map " HAPROXY_DIR "/web.map; show map " HAPROXY_DIR "/tls.map; show map " HAPROXY_ACME_MAP
			    "; show ssl cert; show ssl crt-list -n " HAPROXY_CERTS "\n";

/* "web17": false for anything else. */
static bool slot_parse(struct str s, enum haproxy_kind *ret_kind, unsigned *ret)
{
	for (int kind = 0; kind < HAPROXY_KINDS; kind++) {
		struct str head = str_c(haproxy_kind_names[kind]);
		uint64_t n;

		if (!str_starts(s, head) || parse_u64((struct str){ s.p + head.n, s.n - head.n }, HAPROXY_SLOTS - 1, &n))
			continue;
		*ret_kind = (enum haproxy_kind)kind;
		*ret = (unsigned)n;
		return true;
	}
	return false;
}

/* What comes back goes into commands again: a word each. */
static bool is_word(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && !memchr("._:-", s.p[i], 4))
			return false;
	return s.n;
}

/* Columns of "show servers state", version 1 of the format. */
enum { BE_NAME = 1, SRV_NAME = 3, SRV_OP_STATE = 5, SRV_CHECK_RESULT = 11, COLUMNS = 25 };
enum { OP_RUNNING = 2, CHECK_FAILED = 2, CHECK_PASSED = 3 };

static int server_take(struct str line, struct haproxy_seen *ret)
{
	struct haproxy_server *s = &ret->servers[ret->n_servers];
	struct str column[COLUMNS], rest = line;
	uint64_t state, result;
	size_t n = 0;

	while (n < COLUMNS && str_next(&rest, ' ', &column[n]))
		n++;
	if (n != COLUMNS || rest.p)
		return -EBADMSG;
	if (!slot_parse(column[BE_NAME], &s->kind, &s->slot))
		return 0; /* of the configuration's own */
	if (ret->n_servers == HAPROXY_SERVERS_MAX || column[SRV_NAME].n >= sizeof(s->name) || !is_word(column[SRV_NAME]) ||
	    parse_u64(column[SRV_OP_STATE], 9, &state) || parse_u64(column[SRV_CHECK_RESULT], 9, &result))
		return -EBADMSG;
	snprintf(s->name, sizeof(s->name), STR_FMT, STR_ARG(column[SRV_NAME]));
	s->is_known = result >= CHECK_FAILED;
	s->is_up = result >= CHECK_PASSED && state == OP_RUNNING;
	ret->n_servers++;
	return 0;
}

/* "/run/zos/gateway-web/www.example.org/0123456789abcdef", and with ":17" behind it where it is listed */
static int cert_take(struct str line, struct haproxy_seen *ret)
{
	struct haproxy_cert *to = &ret->certs[ret->n_certs];
	const struct str head = S(HAPROXY_DIR "/");
	struct str rest = { line.p + head.n, line.n - head.n }, fqdn, id;

	if (!str_next(&rest, '/', &fqdn) || !str_next(&rest, ':', &id) || ret->n_certs == HAPROXY_CERTS_MAX || fqdn.n >= sizeof(to->fqdn) ||
	    !is_word(fqdn) || id.n != CERT_ID_LEN || !is_word(id))
		return -EBADMSG;
	snprintf(to->fqdn, sizeof(to->fqdn), STR_FMT, STR_ARG(fqdn));
	snprintf(to->id, sizeof(to->id), STR_FMT, STR_ARG(id));
	to->is_listed = rest.p;
	ret->n_certs++;
	return 0;
}

static int thumbprint_take(struct str value, struct haproxy_seen *ret)
{
	if (!cert_thumbprint_ok(value))
		return -EBADMSG;
	snprintf(ret->thumbprint, sizeof(ret->thumbprint), STR_FMT, STR_ARG(value));
	return 0;
}

/* "0x55d0c8b0 www.example.org web17" */
static int name_take(struct str line, struct haproxy_seen *ret)
{
	struct haproxy_name *to = &ret->names[ret->n_names];
	struct str address, fqdn;

	if (!str_next(&line, ' ', &address) || !str_next(&line, ' ', &fqdn))
		return -EBADMSG;
	if (str_eq(fqdn, S(HAPROXY_ACME_ROW))) /* no name: those have a dot */
		return thumbprint_take(line, ret);
	if (ret->n_names == HAPROXY_KINDS * HAPROXY_SLOTS || fqdn.n >= sizeof(to->fqdn) || !is_word(fqdn) || !slot_parse(line, &to->kind, &to->slot))
		return -EBADMSG;
	snprintf(to->fqdn, sizeof(to->fqdn), STR_FMT, STR_ARG(fqdn));
	ret->n_names++;
	return 0;
}

static int line_take(struct str line, struct haproxy_seen *ret)
{
	if (!line.n || line.p[0] == '#' || str_eq(line, S("1")) ||
	    line.p[0] == '*') /* between answers; names of columns; the format's version; half a certificate */
		return 0;
	if (str_starts(line, S(HAPROXY_DIR "/")))
		return cert_take(line, ret);
	return str_starts(line, S("0x")) ? name_take(line, ret) : server_take(line, ret);
}

int haproxy_seen_parse(struct str answer, struct haproxy_seen *ret, struct err *e)
{
	bool has_version = false;
	struct str line;
	size_t n_lines = 0;

	*ret = (struct haproxy_seen){ 0 };
	for (size_t i = 0; i < answer.n; i++)
		n_lines += answer.p[i] == '\n';
	if (!(ret->servers = calloc(n_lines + 1, sizeof(*ret->servers))) || !(ret->names = calloc(n_lines + 1, sizeof(*ret->names))) ||
	    !(ret->certs = calloc(n_lines + 1, sizeof(*ret->certs))))
		return err_set(e, -ENOMEM, "read what HAProxy says: out of memory");
	while (str_next(&answer, '\n', &line)) {
		has_version |= str_eq(line, S("1"));
		if (line_take(line, ret))
			return err_set(e, -EBADMSG, "HAProxy says what this version does not know: '%.*s'", (int)(line.n < 80 ? line.n : 80), line.p);
	}
	return has_version ? 0 : err_set(e, -EBADMSG, "HAProxy does not say which servers it has");
}
