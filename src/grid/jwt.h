/* The tokens NATS takes for operators, accounts and users: claims signed with an nkey. A library for hub and hubd. */
#pragma once
#include "base/buf.h"
#include "ident/key.h"

/* Appends header.claims.signature; CLAIMS is JSON. -ENOBUFS or -ENOMEM. */
MUST_CHECK int jwt_sign(const struct key *issuer, struct str claims, struct buf *ret);

/* Appends the token of the U key USER in ACCOUNT, signed by ISSUER. A scoped ISSUER brings
 * permissions and limits along; with any other the user is FREE of them. */
MUST_CHECK int jwt_user(const struct key *issuer, const char *account, const struct key_pub *user, bool free, struct buf *ret);

/* Base64 with the URL alphabet and no padding (RFC 4648 section 5); appends. */
void format_base64url(struct buf *b, const void *p, size_t n);
