/* TLS 1.3 between two keys: mutual raw public keys (RFC 7250), the group X25519MLKEM768 and nothing else.
 *
 * Works on memory: the owner feeds what came from the other side and drains what has to go there. No certificates, no
 * tickets, no early data. After the handshake the negotiated version, group and key are read back and checked, so that a
 * library that was configured otherwise cannot weaken it silently. One owner, one thread. */
#pragma once
#include "ident/key.h"

struct tls;
struct tls_ctx;

enum { TLS_AGAIN = 1, TLS_END = 2 }; /* outcomes: needs bytes from the other side; the other side has finished */
enum { TLS_RECORD_MAX = 16384 };     /* bytes of plain text that fit in one record */

/* OWN is copied; its role letter does not matter here. Returns owned. */
MUST_CHECK int ident_tls_ctx_new(const struct key *own, struct tls_ctx **ret, struct err *e);
void ident_tls_ctx_free(struct tls_ctx *c);

/* A client takes no other server than EXPECTED (32 bytes). Returns owned; borrows the context. */
MUST_CHECK int ident_tls_new_client(struct tls_ctx *c, const uint8_t expected[static 32], struct tls **ret, struct err *e);
/* A server takes any client that proves to hold its key; ident_tls_peer() says which. */
MUST_CHECK int ident_tls_new_server(struct tls_ctx *c, struct tls **ret, struct err *e);
void ident_tls_free(struct tls *t);

MUST_CHECK int ident_tls_feed(struct tls *t, const void *p, size_t n); /* -ENOMEM */
size_t ident_tls_pending(const struct tls *t);                       /* bytes that ident_tls_drain() would give */
size_t ident_tls_drain(struct tls *t, void *ret, size_t n);

/* 0 = done, TLS_AGAIN, or -EPROTO / -EKEYREJECTED with a sentence; there may be an alert to drain then. */
MUST_CHECK int ident_tls_handshake(struct tls *t, struct err *e);

/* The other side's raw key; only after ident_tls_handshake() gave 0. */
void ident_tls_peer(const struct tls *t, uint8_t ret[static 32]);

/* 32 bytes that both sides can derive from this session and nobody else (RFC 8446 section 7.5), for LABEL and CONTEXT; only after the handshake. The
 * group is read back once more: -EPROTO when it is not the one of this file. Secret: wipe it after use. */
MUST_CHECK int ident_tls_export(const struct tls *t, const char *label, const void *context, size_t n, uint8_t ret[static 32], struct err *e);
const char *ident_tls_group(const struct tls *t); /* what was negotiated, as the library names it; NULL before that */

/* Number of bytes (> 0) through *ret_n with result 0, or TLS_AGAIN, TLS_END, -EPROTO. */
MUST_CHECK int ident_tls_read(struct tls *t, void *ret, size_t n, size_t *ret_n, struct err *e);
/* All of it (N <= TLS_RECORD_MAX, one record) or -EPROTO. */
MUST_CHECK int ident_tls_write(struct tls *t, const void *p, size_t n, struct err *e);
/* New keys for what is written from here on, and asks the other side for the same; after the handshake. -EPROTO. */
MUST_CHECK int ident_tls_update(struct tls *t, struct err *e);
/* How often either side has changed its keys. */
struct tls_updates {
	unsigned sent, got;
};
struct tls_updates ident_tls_updates(const struct tls *t);
/* Says that nothing more will be written; TLS_END appears on the other side. */
void ident_tls_finish(struct tls *t);
