/* What the gateway provider holds: its published names, for provider.c (who steers HAProxy) and certs.c (who gets certificates). */
#pragma once
#include "gateway/claim.h"

#include <systemd/sd-varlink.h>

struct published { /* one that was applied, and is not removed yet */
	struct published *next;
	struct work *work;
	bool is_waiting;  /* done() is owed, */
	bool is_told;     /* ... once what was told last is so */
	bool is_leaving;
	bool is_ready;    /* a challenge for it is answered */
	bool is_recalled; /* what was kept of it was asked for */
	char *bundle;     /* owned: its certificate and key; NULL = none */
};

/* One that an engine before this one published: it stays as it is until this one has come to it, or does not want it. */
struct inherited {
	struct inherited *next;
	struct route route;
};

/* Who gets certificates. */
struct certs {
	sd_event_source *timer; /* the next call */
	sd_varlink *link;
	bool is_on;             /* the farm says so; with the next */
	char directory[CLAIM_URL_MAX + 1], email[CLAIM_EMAIL_MAX + 1];
	char *ca, *account;     /* owned; NULL = none */
	char thumbprint[CERT_THUMBPRINT_LEN + 1]; /* of the account's key; "" = it is not known yet */
};

struct gateways {
	struct provider provider;
	struct gateway_options o;
	sd_event *event;
	sd_event_source *timer; /* the next call */
	sd_varlink *link;
	struct published *all;
	struct inherited *inherited;
	bool (*is_wanted)(void *engine, const char *id);
	bool is_listing;        /* who steers is being asked for them: nothing is told before that */
	unsigned n_tries;       /* calls in a row that did not get through */
	bool has_role;
	char domain[GATEWAY_FQDN_MAX + 1]; /* "" = none */
	struct certs certs;
};

struct published *published_find(struct gateways *g, const char *id);
/* Who steers HAProxy is told anew, in MS milliseconds. */
void gateways_steer(struct gateways *g, uint64_t ms);

/* certs.c */
MUST_CHECK int certs_init(struct gateways *g, struct err *e);
void certs_deinit(struct gateways *g);
/* IS: what the farm says of this node; NULL = it is no gateway. */
void certs_configure(struct gateways *g, const struct farm_gateway *is);
/* What is to be got has changed: who gets it is told soon. */
void certs_changed(struct gateways *g);
/* R gets the certificate of the workload ID, of which P is what is known; NULL = it was not applied yet. */
void certs_fill(struct gateways *g, const char *id, struct published *p, struct route *r);
/* The workload ID is gone for good. */
void certs_forget(struct gateways *g, const char *id);
