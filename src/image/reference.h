/* An image reference, as people write it: [host[:port]/]repository[:tag][@sha256:digest].
 *
 * The grammar is that of the OCI distribution specification; a first part without a dot, a colon or the name localhost is no
 * host, and a reference without a host means Docker Hub. */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum { REFERENCE_HOST_MAX = 255, REFERENCE_REPOSITORY_MAX = 255, REFERENCE_TAG_MAX = 128, DIGEST_LEN = 71, DIGEST_HEX_LEN = 64 };

/* What stands in the place of a host for images that an owner pushed to the node: local/NAME@sha256:... */
#define REFERENCE_LOCAL "local"

struct reference {
	char host[REFERENCE_HOST_MAX + 1]; /* host[:port] to connect to */
	char repository[REFERENCE_REPOSITORY_MAX + 1];
	char tag[REFERENCE_TAG_MAX + 1];   /* "" when only the digest is given; "latest" when neither is */
	char digest[DIGEST_LEN + 1];       /* "sha256:<64 hex>" or "" */
};

/* -EBADMSG with a sentence. */
MUST_CHECK int reference_parse(struct str text, struct reference *ret, struct err *e);

bool reference_is_local(const struct reference *r);

/* "sha256:" and 64 lower-case hex digits: the only kind taken. */
bool digest_ok(struct str s);
