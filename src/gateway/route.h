/* A published name as the engine hands it to who steers HAProxy, and what is told of it: the arguments and replies of zos.Gateway.Publish. */
#pragma once
#include "api/deployment.h"
#include "gateway/cert.h"
#include "gateway/gateway.h"

#include <systemd/sd-json.h>

struct route {
	char id[GATEWAY_ID_SIZE];
	char fqdn[GATEWAY_FQDN_MAX + 1];
	char device[16];               /* that its backends are reached by; "" = the card */
	bool tls_passthrough;
	struct endpoint backends[GATEWAY_BACKENDS_MAX];
	size_t n_backends;
	char *bundle;                  /* owned: its certificate and key (cert.h); NULL = none */
	char cert_id[CERT_ID_LEN + 1]; /* of that */
	/* What was seen. */
	bool is_ready;                 /* a challenge for the name is answered */
	bool is_known;                 /* each backend was asked */
	unsigned n_up;
};

struct routes {
	char thumbprint[CERT_THUMBPRINT_LEN + 1]; /* with which challenges are answered; "" = they are the backends' */
	struct route list[GATEWAY_ROUTES_MAX];
	size_t n;
};
void routes_deinit(struct routes *r); /* wipes */
/* R gets a copy of BUNDLE; NULL = none. */
void route_set_bundle(struct route *r, const char *bundle);
/* An id of a workload. */
bool route_id_ok(struct str s);
/* Returns owned; NULL of NULL. A copy of a secret is wiped when it goes. */
char *text_copy(const char *text);
void wipe_free(char **p);

/* Returns owned: {"thumbprint", "routes": [...]}; -ENOMEM. */
MUST_CHECK int routes_build(const struct routes *r, sd_json_variant **ret);
/* RET is to be released whatever is returned. -EBADMSG. */
MUST_CHECK int routes_decode(sd_json_variant *v, struct routes *ret, struct err *e);

/* How each of R does: {"routes": [{id, known, ready, up}]}. Returns owned. */
MUST_CHECK int routes_report(const struct routes *r, sd_json_variant **ret);
/* Of one of them. */
struct route_report {
	const char *id; /* borrowed from the report */
	bool is_known, is_ready;
	uint64_t n_up;
};
/* FN for each; nothing when one of them is not what it should be: -EBADMSG. */
MUST_CHECK int routes_report_each(sd_json_variant *v, void (*fn)(void *ctx, const struct route_report *one), void *ctx, struct err *e);
