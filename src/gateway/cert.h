/* A published name's certificate, its key, and the key of the gateway's account with who gives certificates (RFC 8555), by OpenSSL.
 *
 * Keys are of the curve P-256, which all browsers know. A bundle is one text in PEM: the key, the certificate, and those that lead from it to an
 * authority, each as OpenSSL writes it, so that nothing is in there but what was understood. It is what HAProxy takes, and what the engine keeps. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

enum {
	CERT_BUNDLE_MAX = 12288, /* bytes: HAProxy takes 16384 with the command */
	CERT_CHAIN_MAX = 8,      /* certificates */
	CERT_KEY_MAX = 512,      /* bytes of a key in PEM */
	CERT_THUMBPRINT_LEN = 43,
	CERT_ID_LEN = 16,
};

struct cert_times {
	int64_t from_s, until_s; /* the certificate holds between them; Unix seconds */
};

/* A new key, in PEM. What is in RET is to be wiped: buf_wipe(). */
MUST_CHECK int cert_key_make(struct buf *ret, struct err *e);
/* Whether KEY is one that cert_key_make() made: -EBADMSG. RET: the digest by which whoever holds it is known (RFC 7638), base64url. */
MUST_CHECK int cert_thumbprint(struct str key, char ret[static CERT_THUMBPRINT_LEN + 1], struct err *e);
bool cert_thumbprint_ok(struct str s);
/* The request for a certificate of FQDN alone, in PEM. */
MUST_CHECK int cert_request(struct str key, const char *fqdn, struct buf *ret, struct err *e);

/* KEY and CHAIN, PEM that somebody outside sent, as a bundle: the first certificate is KEY's and FQDN's and holds at NOW_S. -EBADMSG. */
MUST_CHECK int cert_bundle_make(struct str key, struct str chain, const char *fqdn, int64_t now_s, struct buf *ret, struct cert_times *ret_times,
				struct err *e);
/* Of a bundle that was made for FQDN: -EBADMSG for anything else. It may have expired. */
MUST_CHECK int cert_bundle_read(struct str bundle, const char *fqdn, struct cert_times *ret, struct err *e);
/* Says whether two bundles are the same: hex. */
void cert_bundle_id(struct str bundle, char ret[static CERT_ID_LEN + 1]);
