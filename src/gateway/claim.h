/* What the engine hands to who gets certificates, and what is told of them: the arguments and replies of zos.Acme.Get. */
#pragma once
#include "gateway/cert.h"
#include "gateway/gateway.h"
#include "gateway/order.h"
#include "gateway/route.h"

#include <systemd/sd-json.h>

enum { CLAIM_URL_MAX = 256, CLAIM_EMAIL_MAX = 254, CLAIM_CA_MAX = 16384 };

/* A name, and the certificate that the engine has for it. */
struct claim {
	char id[GATEWAY_ID_SIZE];
	char fqdn[GATEWAY_FQDN_MAX + 1];
	bool is_ready;     /* HAProxy answers for it: it can be asked for */
	char *bundle;      /* owned, with its key: cert.h; NULL = none */
};

struct claims {
	char directory[CLAIM_URL_MAX + 1], email[CLAIM_EMAIL_MAX + 1]; /* of the ACME server; "" = none */
	char *ca;      /* owned; NULL = the image's authorities */
	char *account; /* owned: the account's key; NULL = it is to be made */
	struct claim list[GATEWAY_ROUTES_MAX];
	size_t n;
};
void claims_deinit(struct claims *c); /* wipes */
#define AUTO_CLAIMS CLEANUP(claims_deinit)

/* Returns owned; -ENOMEM. */
MUST_CHECK int claims_build(const struct claims *c, sd_json_variant **ret);
/* RET is to be released whatever is returned. -EBADMSG. */
MUST_CHECK int claims_decode(sd_json_variant *v, struct claims *ret, struct err *e);

/* How one of them does. Texts are borrowed from what was read. */
struct claim_report {
	const char *id;
	const char *bundle; /* one that the engine does not have; NULL = none */
	uint64_t until_s;   /* the certificate holds; 0 = there is none */
	const char *why;    /* it could not be had; "" = nothing */
	uint64_t next_s;    /* when it is tried again; 0 = none of these */
};
/* Appends it to LIST. -ENOMEM. */
MUST_CHECK int claim_report_add(const struct claim_report *one, sd_json_variant **list);
/* The account's key and its thumbprint stand beside the list. Returns owned; -ENOMEM. */
MUST_CHECK int claims_report(const char *account, const char *thumbprint, sd_json_variant *list, sd_json_variant **ret);

struct claims_told {
	const char *account, *thumbprint; /* borrowed */
	sd_json_variant *list;            /* borrowed: for claims_told_at() */
	size_t n;
};
/* -EBADMSG. */
MUST_CHECK int claims_told(sd_json_variant *v, struct claims_told *ret, struct err *e);
void claims_told_at(const struct claims_told *t, size_t i, struct claim_report *ret);
