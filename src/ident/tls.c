/* The client pins the server's key with SSL_add_expected_rpk() and leaves the comparison to the library; the server lets
 * every key pass verification, because any key may knock and authorisation is its caller's, but demands one.
 * tls_check() then reads back what was negotiated: version, group, key type. */
#include "ident/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#ifndef TLS_GROUP /* test/node/orders_test.py sends a client that was built with another one */
#define TLS_GROUP "X25519MLKEM768"
#endif
static const char tls_group[] = TLS_GROUP;

struct tls_ctx {
	SSL_CTX *ssl;
};

struct tls {
	SSL *ssl;
	BIO *in, *out; /* owned by ssl */
	uint8_t peer[32];
	bool is_client, is_done;
	struct tls_updates updates;
	uint8_t expected[32];
};

static int tls_fail(struct err *e, int code, const char *doing)
{
	const char *why = ERR_reason_error_string(ERR_peek_error());

	ERR_clear_error();
	return err_set(e, code, "%s: %s", doing, why ? why : "the TLS library gives no reason");
}

static int accept_any_key(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	/* Nothing but a raw key may pass: a certificate would have been asked for by nobody. */
	if (!X509_STORE_CTX_get0_rpk(store))
		return 0;
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

static bool ctx_configure(SSL_CTX *ssl)
{
	static const unsigned char rpk[] = { TLSEXT_cert_type_rpk };

	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	return SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) && SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) &&
	       SSL_CTX_set_ciphersuites(ssl, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") &&
	       SSL_CTX_dane_enable(ssl) && SSL_CTX_set1_groups_list(ssl, tls_group) && SSL_CTX_set1_sigalgs_list(ssl, "ed25519") &&
	       SSL_CTX_set_num_tickets(ssl, 0) && SSL_CTX_set_max_early_data(ssl, 0) && SSL_CTX_set1_server_cert_type(ssl, rpk, sizeof(rpk)) &&
	       SSL_CTX_set1_client_cert_type(ssl, rpk, sizeof(rpk));
}

int ident_tls_ctx_new(const struct key *own, struct tls_ctx **ret, struct err *e)
{
	EVP_PKEY *key = key_evp(own);
	SSL_CTX *ssl = SSL_CTX_new(TLS_method());
	struct tls_ctx *c = calloc(1, sizeof(*c));
	bool ok = key && ssl && c && ctx_configure(ssl) && SSL_CTX_use_PrivateKey(ssl, key);

	EVP_PKEY_free(key);
	if (!ok) {
		SSL_CTX_free(ssl);
		free(c);
		return tls_fail(e, -EPROTO, "prepare TLS 1.3 with X25519MLKEM768");
	}
	c->ssl = ssl;
	*ret = c;
	return 0;
}

void ident_tls_ctx_free(struct tls_ctx *c)
{
	if (!c)
		return;
	SSL_CTX_free(c->ssl);
	free(c);
}

/* Counted from the messages themselves: what was asked for is not what happened. */
static void on_message(int is_sent, int version, int type, const void *p, size_t n, SSL *ssl, void *arg)
{
	struct tls *t = arg;

	(void)version;
	(void)ssl;
	if (type != SSL3_RT_HANDSHAKE || !n || *(const uint8_t *)p != SSL3_MT_KEY_UPDATE)
		return;
	t->updates.sent += is_sent != 0;
	t->updates.got += !is_sent;
}

static int tls_new(struct tls_ctx *c, struct tls **ret, struct err *e)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (t) {
		t->ssl = SSL_new(c->ssl);
		t->in = BIO_new(BIO_s_mem());
		t->out = BIO_new(BIO_s_mem());
	}
	if (!t || !t->ssl || !t->in || !t->out) {
		if (t) {
			SSL_free(t->ssl);
			BIO_free(t->in);
			BIO_free(t->out);
		}
		free(t);
		return err_set(e, -ENOMEM, "no memory for another TLS session");
	}
	BIO_set_mem_eof_return(t->in, -1);
	SSL_set_bio(t->ssl, t->in, t->out);
	SSL_set_msg_callback(t->ssl, on_message);
	SSL_set_msg_callback_arg(t->ssl, t);
	*ret = t;
	return 0;
}

int ident_tls_new_client(struct tls_ctx *c, const uint8_t expected[static 32], struct tls **ret, struct err *e)
{
	EVP_PKEY *pin = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, expected, 32);
	struct tls *t;
	int r = pin ? tls_new(c, &t, e) : err_set(e, -EINVAL, "the expected key is not an Ed25519 key");

	if (r) {
		EVP_PKEY_free(pin);
		return r;
	}
	SSL_set_connect_state(t->ssl);
	SSL_set_verify(t->ssl, SSL_VERIFY_PEER, NULL);
	t->is_client = true;
	memcpy(t->expected, expected, 32);
	/* expected keys are kept as DANE records, which have to be switched on first; there is no name to match */
	r = SSL_dane_enable(t->ssl, NULL) > 0 ? SSL_add_expected_rpk(t->ssl, pin) : 0;
	EVP_PKEY_free(pin);
	if (r != 1) {
		ident_tls_free(t);
		return tls_fail(e, -EPROTO, "pin the server's key");
	}
	*ret = t;
	return 0;
}

int ident_tls_new_server(struct tls_ctx *c, struct tls **ret, struct err *e)
{
	struct tls *t;
	int r = tls_new(c, &t, e);

	if (r)
		return r;
	SSL_set_accept_state(t->ssl);
	SSL_set_verify(t->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any_key);
	*ret = t;
	return 0;
}

void ident_tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	free(t);
}

int ident_tls_feed(struct tls *t, const void *p, size_t n)
{
	size_t done;

	return !n || (BIO_write_ex(t->in, p, n, &done) && done == n) ? 0 : -ENOMEM;
}

size_t ident_tls_pending(const struct tls *t)
{
	return BIO_ctrl_pending(t->out);
}

size_t ident_tls_drain(struct tls *t, void *ret, size_t n)
{
	size_t done = 0;

	return n && ident_tls_pending(t) && BIO_read_ex(t->out, ret, n, &done) ? done : 0;
}

const char *ident_tls_group(const struct tls *t)
{
	return SSL_get0_group_name(t->ssl);
}

static int group_check(const struct tls *t, const char *what, struct err *e)
{
	const char *group = ident_tls_group(t);

	if (group && !OPENSSL_strcasecmp(group, tls_group))
		return 0;
	return err_set(e, -EPROTO, "%s: key exchange is %s, not %s", what, group ? group : "unknown", tls_group);
}

/* Believe what was negotiated, not what was configured. */
static int tls_check(struct tls *t, struct err *e)
{
	EVP_PKEY *peer = SSL_get0_peer_rpk(t->ssl);
	size_t n = sizeof(t->peer);

	if (SSL_version(t->ssl) != TLS1_3_VERSION || SSL_session_reused(t->ssl))
		return err_set(e, -EPROTO, "TLS handshake: not a fresh TLS 1.3 session");
	if (group_check(t, "TLS handshake", e))
		return -EPROTO;
	if (!peer || EVP_PKEY_get_id(peer) != EVP_PKEY_ED25519 || !EVP_PKEY_get_raw_public_key(peer, t->peer, &n) || n != 32)
		return err_set(e, -EKEYREJECTED, "TLS handshake: the other side showed no Ed25519 key");
	if (t->is_client && memcmp(t->peer, t->expected, 32))
		return err_set(e, -EKEYREJECTED, "TLS handshake: the other side has another key than expected");
	t->is_done = true;
	return 0;
}

int ident_tls_handshake(struct tls *t, struct err *e)
{
	int r;

	if (t->is_done)
		return 0;
	ERR_clear_error();
	r = SSL_do_handshake(t->ssl);
	if (r == 1)
		return tls_check(t, e);
	r = SSL_get_error(t->ssl, r);
	if (r == SSL_ERROR_WANT_READ || r == SSL_ERROR_WANT_WRITE)
		return TLS_AGAIN;
	if (t->is_client && SSL_get_verify_result(t->ssl) != X509_V_OK) {
		ERR_clear_error();
		return err_set(e, -EKEYREJECTED, "TLS handshake: the other side has another key than expected");
	}
	return tls_fail(e, -EPROTO, "TLS handshake");
}

void ident_tls_peer(const struct tls *t, uint8_t ret[static 32])
{
	BUG_ON(!t->is_done);
	memcpy(ret, t->peer, 32);
}

int ident_tls_export(const struct tls *t, const char *label, const void *context, size_t n, uint8_t ret[static 32], struct err *e)
{
	BUG_ON(!t->is_done);
	ERR_clear_error();
	if (group_check(t, "derive a key from TLS", e))
		return -EPROTO;
	return SSL_export_keying_material(t->ssl, ret, 32, label, strlen(label), context, n, 1) == 1 ? 0
												     : tls_fail(e, -EPROTO, "derive a key from TLS");
}

int ident_tls_read(struct tls *t, void *ret, size_t n, size_t *ret_n, struct err *e)
{
	BUG_ON(!t->is_done);
	ERR_clear_error();
	if (SSL_read_ex(t->ssl, ret, n, ret_n))
		return 0;
	switch (SSL_get_error(t->ssl, 0)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return TLS_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_END;
	}
	return tls_fail(e, -EPROTO, "read from TLS");
}

int ident_tls_write(struct tls *t, const void *p, size_t n, struct err *e)
{
	size_t done;

	BUG_ON(!t->is_done || n > TLS_RECORD_MAX);
	ERR_clear_error();
	if (SSL_write_ex(t->ssl, p, n, &done) && done == n)
		return 0;
	return tls_fail(e, -EPROTO, "write to TLS");
}

int ident_tls_update(struct tls *t, struct err *e)
{
	BUG_ON(!t->is_done);
	ERR_clear_error();
	if (SSL_key_update(t->ssl, SSL_KEY_UPDATE_REQUESTED) && SSL_do_handshake(t->ssl) == 1)
		return 0;
	return tls_fail(e, -EPROTO, "change the keys of TLS");
}

struct tls_updates ident_tls_updates(const struct tls *t)
{
	return t->updates;
}

void ident_tls_finish(struct tls *t)
{
	ERR_clear_error();
	if (t->is_done)
		SSL_shutdown(t->ssl);
	ERR_clear_error();
}
