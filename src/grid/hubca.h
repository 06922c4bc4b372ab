/* A hub's own certificate authority: one Ed25519 key, whose certificate is a function of it, and a leaf for the server.
 *
 * The authority's certificate is always the same bytes, so whoever holds the seed can make it again, and every server of
 * a cluster has the same. The leaf names the server, is good for HUBCA_LEAF_DAYS and is made anew well before its end. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "ident/key.h"

enum { HUBCA_LEAF_DAYS = 90, HUBCA_RENEW_DAYS = 30 };

/* Appends the authority's certificate: PEM, or its base64 on one line as hub_addr_make() takes it. */
MUST_CHECK int hubca_pem(const struct key *ca, struct buf *ret, struct err *e);
MUST_CHECK int hubca_line(const struct key *ca, struct buf *ret, struct err *e);

/* Appends a new leaf with its authority, and the leaf's secret key, as PEM. NAMES: host names and addresses, up to NULL. */
MUST_CHECK int hubca_leaf(const struct key *ca, const char *const *names, int64_t now_s, struct buf *ret_cert, struct buf *ret_key, struct err *e);

/* True when the first certificate of PEM was signed by CA, has every one of NAMES, and its end is not near. */
bool hubca_leaf_is_good(const struct key *ca, struct str pem, const char *const *names, int64_t now_s);
