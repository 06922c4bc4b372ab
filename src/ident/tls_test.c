#include "ident/tls.h"

#include "test/t.h"

#include <openssl/ssl.h>

static void shuttle(struct tls *from, struct tls *to)
{
	uint8_t piece[4096];
	size_t n;

	while ((n = ident_tls_drain(from, piece, sizeof(piece))))
		T_NEED(!ident_tls_feed(to, piece, n), "feed");
}

struct outcome {
	int client, server;
	struct err client_err, server_err;
};

static struct outcome shake(struct tls *client, struct tls *server)
{
	struct outcome o = { TLS_AGAIN, TLS_AGAIN, { 0 }, { 0 } };

	for (int i = 0; i < 4; i++) {
		if (o.client >= 0)
			o.client = ident_tls_handshake(client, &o.client_err);
		shuttle(client, server);
		if (o.server >= 0)
			o.server = ident_tls_handshake(server, &o.server_err);
		shuttle(server, client);
	}
	return o;
}

struct pair {
	struct key server_key, client_key;
	struct tls_ctx *server_ctx, *client_ctx;
	struct tls *server, *client;
};

static struct pair pair_new(const uint8_t *expected)
{
	struct pair p = { 0 };
	struct err e = { 0 };

	T_NEED(!key_new(KEY_NODE, &p.server_key) && !key_new(KEY_USER, &p.client_key), "keys");
	T_NEED(!ident_tls_ctx_new(&p.server_key, &p.server_ctx, &e) && !ident_tls_ctx_new(&p.client_key, &p.client_ctx, &e), "%s", e.msg);
	T_NEED(!ident_tls_new_server(p.server_ctx, &p.server, &e), "%s", e.msg);
	T_NEED(!ident_tls_new_client(p.client_ctx, expected ? expected : p.server_key.pub.bytes, &p.client, &e), "%s", e.msg);
	return p;
}

static void pair_free(struct pair *p)
{
	ident_tls_free(p->client);
	ident_tls_free(p->server);
	ident_tls_ctx_free(p->client_ctx);
	ident_tls_ctx_free(p->server_ctx);
	key_wipe(&p->server_key);
	key_wipe(&p->client_key);
}

static void both_know_each_other(void)
{
	CLEANUP(pair_free) struct pair p = pair_new(NULL);
	struct outcome o = shake(p.client, p.server);
	uint8_t seen[32], text[16];
	struct err e = { 0 };
	size_t n = 0;

	T_NEED(!o.client && !o.server, "%s %s", o.client_err.msg, o.server_err.msg);
	ident_tls_peer(p.server, seen);
	T_CHECK(!memcmp(seen, p.client_key.pub.bytes, 32), "the server saw another client");
	ident_tls_peer(p.client, seen);
	T_CHECK(!memcmp(seen, p.server_key.pub.bytes, 32), "the client saw another server");
	T_CHECK(!ident_tls_write(p.client, "hello", 5, &e), "%s", e.msg);
	shuttle(p.client, p.server);
	T_CHECK(!ident_tls_read(p.server, text, sizeof(text), &n, &e) && n == 5 && !memcmp(text, "hello", 5), "%s", e.msg);
	T_CHECK(ident_tls_read(p.server, text, sizeof(text), &n, &e) == TLS_AGAIN, "nothing more");
	ident_tls_finish(p.client);
	shuttle(p.client, p.server);
	T_CHECK(ident_tls_read(p.server, text, sizeof(text), &n, &e) == TLS_END, "the end is seen");
}

static void another_server_is_refused(void)
{
	struct key other = { 0 };

	T_NEED(!key_new(KEY_NODE, &other), "key");
	CLEANUP(pair_free) struct pair p = pair_new(other.pub.bytes);
	struct outcome o = shake(p.client, p.server);

	T_CHECK(o.client == -EKEYREJECTED && o.server < 0, "client %d server %d: %s", o.client, o.server, o.client_err.msg);
	T_CHECK(strstr(o.client_err.msg, "another key"), "%s", o.client_err.msg);
	key_wipe(&other);
}

static void a_changed_record_is_noticed(void)
{
	CLEANUP(pair_free) struct pair p = pair_new(NULL);
	struct outcome o = shake(p.client, p.server);
	uint8_t record[256], text[16];
	struct err e = { 0 };
	size_t n;

	T_NEED(!o.client && !o.server && !ident_tls_write(p.client, "hello", 5, &e), "%s", o.client_err.msg);
	n = ident_tls_drain(p.client, record, sizeof(record));
	record[n - 1] ^= 1;
	T_NEED(!ident_tls_feed(p.server, record, n), "feed");
	T_CHECK(ident_tls_read(p.server, text, sizeof(text), &n, &e) == -EPROTO && e.msg[0], "a flipped bit passed");
}

static bool says(struct tls *from, struct tls *to, const char *what)
{
	char text[32];
	struct err e = { 0 };
	size_t n = 0;

	if (ident_tls_write(from, what, strlen(what), &e))
		return false;
	shuttle(from, to);
	return !ident_tls_read(to, text, sizeof(text), &n, &e) && n == strlen(what) && !memcmp(text, what, n);
}

/* Both sides derive the same, for one label and one context; nobody derives it for another, or in another session. */
static void a_key_is_exported(void)
{
	CLEANUP(pair_free) struct pair p = pair_new(NULL);
	CLEANUP(pair_free) struct pair q = pair_new(NULL);
	struct outcome o = shake(p.client, p.server);
	uint8_t a[32], b[32];
	struct err e = { 0 };

	T_NEED(!o.client && !o.server, "%s%s", o.client_err.msg, o.server_err.msg);
	o = shake(q.client, q.server);
	T_NEED(!o.client && !o.server, "%s%s", o.client_err.msg, o.server_err.msg);
	T_CHECK(ident_tls_group(p.client) && !strcmp(ident_tls_group(p.client), "X25519MLKEM768"), "%s", ident_tls_group(p.client));
	T_NEED(!ident_tls_export(p.client, "EXPERIMENTAL label", "context", 7, a, &e), "%s", e.msg);
	T_CHECK(!ident_tls_export(p.server, "EXPERIMENTAL label", "context", 7, b, &e) && !memcmp(a, b, sizeof(a)), "both the same: %s", e.msg);
	T_CHECK(!ident_tls_update(p.client, &e) && says(p.client, p.server, "new keys"), "%s", e.msg);
	T_CHECK(!ident_tls_export(p.server, "EXPERIMENTAL label", "context", 7, b, &e) && !memcmp(a, b, sizeof(a)), "with other keys, too: %s",
		e.msg);
	T_CHECK(!ident_tls_export(p.server, "EXPERIMENTAL label", "contexT", 7, b, &e) && memcmp(a, b, sizeof(a)), "another context");
	T_CHECK(!ident_tls_export(p.server, "EXPERIMENTAL label", "context", 0, b, &e) && memcmp(a, b, sizeof(a)), "an empty one");
	T_CHECK(!ident_tls_export(p.server, "EXPERIMENTAL labels", "context", 7, b, &e) && memcmp(a, b, sizeof(a)), "another label");
	T_CHECK(!ident_tls_export(q.client, "EXPERIMENTAL label", "context", 7, b, &e) && memcmp(a, b, sizeof(a)), "another session");
}

static bool updates_are(const struct tls *t, unsigned sent, unsigned got)
{
	struct tls_updates u = ident_tls_updates(t);

	return u.sent == sent && u.got == got;
}

static void keys_change_in_both_directions(void)
{
	CLEANUP(pair_free) struct pair p = pair_new(NULL);
	struct outcome o = shake(p.client, p.server);
	struct err e = { 0 };

	T_NEED(!o.client && !o.server, "%s%s", o.client_err.msg, o.server_err.msg);
	for (unsigned i = 0; i < 5; i++) {
		T_CHECK(says(p.client, p.server, "before") && says(p.server, p.client, "and back"), "round %u", i);
		T_CHECK(updates_are(p.client, i, i) && updates_are(p.server, i, i), "round %u: other updates than asked for", i);
		T_CHECK(!ident_tls_update(p.client, &e), "%s", e.msg);
		T_CHECK(says(p.client, p.server, "with new keys"), "round %u", i);
		T_CHECK(updates_are(p.client, i + 1, i) && updates_are(p.server, i, i + 1), "round %u: the client's keys", i);
		T_CHECK(says(p.server, p.client, "with new keys too"), "round %u", i);
		T_CHECK(updates_are(p.client, i + 1, i + 1) && updates_are(p.server, i + 1, i + 1), "round %u: the server's keys", i);
	}
}

/* Clients that are not ours, straight from the library: what they leave out decides. */
static const struct stranger {
	const char *name;
	const char *groups;
	bool has_key, raw, tls12;
	bool welcome;
} strangers[] = {
	{ "as ours", "X25519MLKEM768", true, true, false, true },         { "offers only X25519", "X25519", true, true, false, false },
	{ "offers only MLKEM768", "MLKEM768", true, true, false, false }, { "shows no key", "X25519MLKEM768", false, true, false, false },
	{ "speaks TLS 1.2", "X25519", true, true, true, false },
};

static SSL *stranger_new(const struct stranger *s, const struct key *key, SSL_CTX *ctx)
{
	static const unsigned char rpk[] = { TLSEXT_cert_type_rpk };
	EVP_PKEY *pkey = key_evp(key);

	SSL_CTX_set_max_proto_version(ctx, s->tls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
	SSL_CTX_set1_groups_list(ctx, s->groups);
	SSL_CTX_set1_server_cert_type(ctx, rpk, 1);
	SSL_CTX_set1_client_cert_type(ctx, rpk, 1);
	if (s->has_key)
		SSL_CTX_use_PrivateKey(ctx, pkey);
	EVP_PKEY_free(pkey);
	SSL *ssl = SSL_new(ctx);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_connect_state(ssl);
	return ssl;
}

static void strangers_are_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
		CLEANUP(pair_free) struct pair p = pair_new(NULL);
		SSL_CTX *ctx = SSL_CTX_new(TLS_method());
		SSL *ssl = stranger_new(&strangers[i], &p.client_key, ctx);
		int r = TLS_AGAIN;
		struct err e = { 0 };

		for (int round = 0; round < 4; round++) {
			uint8_t piece[8192];
			int n;

			SSL_do_handshake(ssl);
			while ((n = BIO_read(SSL_get_wbio(ssl), piece, sizeof(piece))) > 0)
				T_NEED(!ident_tls_feed(p.server, piece, (size_t)n), "feed");
			if (r >= 0)
				r = ident_tls_handshake(p.server, &e);
			while ((n = (int)ident_tls_drain(p.server, piece, sizeof(piece))) > 0)
				BIO_write(SSL_get_rbio(ssl), piece, n);
		}
		T_CHECK(strangers[i].welcome ? r == 0 : r == -EPROTO, "%s: %d %s", strangers[i].name, r, e.msg);
		SSL_free(ssl);
		SSL_CTX_free(ctx);
	}
}

int main(void)
{
	T_RUN(both_know_each_other);
	T_RUN(another_server_is_refused);
	T_RUN(a_changed_record_is_noticed);
	T_RUN(a_key_is_exported);
	T_RUN(keys_change_in_both_directions);
	T_RUN(strangers_are_refused);
	return T_END();
}
