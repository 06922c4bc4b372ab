/* The daemon that gets certificates for published names, by uacme: a child for each, a few at once, each with a deadline.
 *
 * The engine hands it the names and what it keeps of them: the account's key, and a bundle for each name (cert.h). It makes the account's key where there is
 * none, asks for what is missing or is to be renewed (order.h), and tells the engine what it has got. It keeps nothing itself. uacme has the account's key, and
 * of a name's key no more than the request that it signed. */
#pragma once
#include "gateway/claim.h"
#include "svc/task.h"

#include <systemd/sd-varlink.h>

#define ACMED_DIR "/run/zos/gateway-acme"
#define ACMED_SOCKET ACMED_DIR "/sock"
#define ACMED_CONF ACMED_DIR "/conf"   /* uacme's: private/key.pem is the account's key */
#define ACMED_WORK ACMED_DIR "/work"   /* N.csr is what a child asks for, N-cert.pem what it gets */
#define ACMED_CA_DIR "/run/zos/gateway-ca" /* in place of /etc/ssl/certs there */
#define ACMED_CA_FILE "ca-certificates.crt"
enum { ACMED_JOBS = 4, ACMED_CA_MAX = 1 << 20, ACMED_DEADLINE_MS = 150 * 1000 };

struct acmed_options {
	const char *socket, *program; /* listens there; what runs uacme, with "order" for its first argument. Borrowed */
	struct str ca;                /* of the image, PEM. Borrowed */
};

struct acmed_name {
	struct claim claim;
	struct order_state order;
	int64_t next_s;          /* of the order, for people */
	struct cert_times times; /* of claim.bundle, if any */
	bool is_told;            /* the engine has that bundle */
	bool is_asked;           /* a child is at work for it */
};

struct acmed_job {
	struct acmed *all;
	struct task *task;       /* NULL = nothing is done here */
	char id[GATEWAY_ID_SIZE], fqdn[GATEWAY_FQDN_MAX + 1]; /* "" = the account */
	struct buf key;
};

struct acmed {
	sd_event *event;
	struct acmed_options o;
	sd_varlink_server *server;
	sd_varlink *engine;      /* who hears how it goes; NULL = nobody now */
	char directory[CLAIM_URL_MAX + 1], email[CLAIM_EMAIL_MAX + 1];
	char *ca, *account;      /* as struct claims has them */
	char thumbprint[CERT_THUMBPRINT_LEN + 1];
	bool is_registered;      /* the server knows the account, as far as is known */
	struct order_state registration;
	int64_t registration_s;  /* when it is tried again, for people */
	struct acmed_name names[GATEWAY_ROUTES_MAX];
	size_t n;
	struct acmed_job jobs[ACMED_JOBS];
	sd_event_source *timer;
	sd_json_variant *told;   /* the last report; NULL = none of this call */
};
#define ACMED_NONE { 0 }

/* D is to be released whatever is returned. Its directories are there. */
MUST_CHECK int acmed_init(struct acmed *d, sd_event *event, const struct acmed_options *o, struct err *e);
void acmed_deinit(struct acmed *d);
