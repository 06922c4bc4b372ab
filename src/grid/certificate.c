#include "grid/certificate.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/socket.h>

enum { INFO_MAX = 4096 };

static void ctx_freep(SSL_CTX **c)
{
	SSL_CTX_free(*c);
}
static void ssl_freep(SSL **s)
{
	SSL_free(*s);
}

/* OpenSSL's verdicts in a person's words; the last row stands for all others. */
static const struct verdict {
	long code;
	const char *why;
} verdicts[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED, "has expired: its operator renews it, with --public by starting the hub again" },
	{ X509_V_ERR_CERT_NOT_YET_VALID, "is not valid yet: compare the clocks of this machine and of the hub" },
	{ X509_V_ERR_HOSTNAME_MISMATCH, "is for another name: use the address that the hub's operator gave you" },
	{ X509_V_ERR_IP_ADDRESS_MISMATCH, "is for another address: use the one that the hub's operator gave you" },
	{ X509_V_OK, NULL },
};

static const char *verdict_text(long code, bool has_ca)
{
	for (const struct verdict *v = verdicts; v->why; v++)
		if (v->code == code)
			return v->why;
	return has_ca ? "was signed by another authority than the one you named: take the line of 'zos hub run --public' again"
		      : "was signed by no authority known here: name the hub's own as CA, or as --hub-ca";
}

static SSL_CTX *ctx_make(const struct hub_addr *hub)
{
	SSL_CTX *c = SSL_CTX_new(TLS_client_method());
	BIO *pem = BIO_new_mem_buf(hub->ca, -1);
	X509 *x;

	if (c && !hub->ca[0] && hub_ca_file())
		SSL_CTX_load_verify_file(c, hub_ca_file());
	while (c && pem && hub->ca[0] && (x = PEM_read_bio_X509(pem, NULL, NULL, NULL))) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(c), x);
		X509_free(x);
	}
	BIO_free(pem);
	if (c)
		SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
	return c;
}

/* A nats-server speaks first, in clear: one line of JSON. What follows is the client's to begin, so nothing of TLS is read here. */
static bool info_read(int fd, char ret[static INFO_MAX])
{
	size_t n = 0;

	while (n < INFO_MAX - 1) {
		ssize_t got = recv(fd, ret + n, INFO_MAX - 1 - n, 0);

		if (got <= 0)
			return false;
		n += (size_t)got;
		ret[n] = '\0';
		if (memchr(ret, '\n', n))
			return !strncmp(ret, "INFO ", 5);
	}
	return false;
}

static bool name_expect(SSL *s, const char *host)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(s);

	if (X509_VERIFY_PARAM_set1_ip_asc(p, host))
		return true;
	return SSL_set1_host(s, host) && SSL_set_tlsext_host_name(s, host);
}

void certificate_look(int fd, const char *host, const struct hub_addr *hub, char *ret, size_t n)
{
	CLEANUP(ctx_freep) SSL_CTX *ctx = ctx_make(hub);
	CLEANUP(ssl_freep) SSL *s = ctx ? SSL_new(ctx) : NULL;
	char info[INFO_MAX];

	ret[0] = '\0';
	if (!info_read(fd, info))
		snprintf(ret, n, "what answers at %.80s is no hub: is the port right?", host);
	else if (!strstr(info, "\"tls_required\":true") && !strstr(info, "\"tls_available\":true"))
		snprintf(ret, n, "the hub at %.80s has no certificate: its address begins with nats://", host);
	else if (s && name_expect(s, host) && SSL_set_fd(s, fd) && SSL_connect(s) != 1) {
		long code = SSL_get_verify_result(s);

		if (code != X509_V_OK)
			snprintf(ret, n, "the hub's certificate %s", verdict_text(code, hub->ca[0]));
		else
			snprintf(ret, n, "the hub at %.80s breaks off TLS: is it overloaded, or something in between?", host);
	}
	ERR_clear_error();
}
