/* The client's side of the OCI distribution protocol, as far as pulling needs it: HTTPS, for everybody or for one user; plain HTTP only where
 * the farm says so, and never with a password.
 *
 * Blocks; used by the process of one pull, for one repository. Everything is checked against its digest while it streams in.
 * Codes: -ENOENT no such thing, -EACCES the registry wants to know who asks, -EBADMSG other bytes than asked for, -EIO the rest. */
#pragma once
#include "base/buf.h"
#include "image/manifest.h"

#define REGISTRY_CA_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

enum registry_auth { REGISTRY_ANYBODY, REGISTRY_BASIC, REGISTRY_BEARER };
struct registry_login {
	const char *user, *password; /* borrowed; NULL = ask as anybody */
};

struct registry_trust {
	const char *ca; /* borrowed: PEM, the only trust anchor; "" = the bundle */
	bool is_plain;  /* HTTP */
};

struct registry {
	void *curl;
	const struct reference *reference; /* borrowed */
	struct registry_trust trust;
	struct registry_login login;
	enum registry_auth auth;           /* what it asked for */
	char token[8192];
	void (*progress)(void *ctx, uint64_t bytes); /* more content came */
	void *ctx;
};

MUST_CHECK int registry_init(struct registry *ret, const struct reference *reference, const struct registry_trust *trust,
			     const struct registry_login *login, struct err *e);
void registry_deinit(struct registry *g);

/* The manifest or index under NAME, a tag or a digest, into RET, and its digest. */
MUST_CHECK int registry_manifest(struct registry *g, const char *name, struct buf *ret, char digest[static DIGEST_LEN + 1], struct err *e);

/* A blob into memory, or into the file FD, from its beginning. */
MUST_CHECK int registry_blob(struct registry *g, const struct descriptor *d, struct buf *ret, struct err *e);
MUST_CHECK int registry_blob_file(struct registry *g, const struct descriptor *d, int fd, struct err *e);

/* Reads the challenge of a WWW-Authenticate header: the URL to ask for a token. -EBADMSG. */
MUST_CHECK int registry_challenge(struct str header, const char *repository, struct buf *ret_url);
