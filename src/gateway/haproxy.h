/* HAProxy's side: how it is configured at its start, and what it says of itself (its management guide, 9.3 "Unix Socket commands").
 *
 * What TLS client names a name that is published over HTTP is handed on to a frontend that ends TLS with the certificate of that name: through a socket of
 * HAProxy's own, with the visitor's address before it.
 *
 * Its configuration names nobody: two rows of empty backends, web0 and on for HTTP and tls0 and on for TLS that is passed through, and a map of names to
 * backends for each. Names, certificates, and the servers of a backend come and go while it runs, without a restart that somebody would notice. */
#pragma once
#include "gateway/route.h"

#define HAPROXY_DIR "/run/zos/gateway-web"
#define HAPROXY_API HAPROXY_DIR "/api"
#define HAPROXY_CONF HAPROXY_DIR "/conf"
#define HAPROXY_CERTS HAPROXY_DIR "/certs"       /* empty: the list of certificates, which HAProxy keeps in memory under FQDN/ID there */
#define HAPROXY_ACME_MAP HAPROXY_DIR "/acme.map" /* one row: with what the challenges of who gives certificates are answered */
#define HAPROXY_ACME_ROW "thumbprint"

enum haproxy_kind { HAPROXY_WEB, HAPROXY_TLS, HAPROXY_KINDS };
enum {
	HAPROXY_SLOTS = GATEWAY_ROUTES_MAX, /* backends of each kind */
	HAPROXY_SERVERS_MAX = HAPROXY_KINDS * HAPROXY_SLOTS * GATEWAY_BACKENDS_MAX,
	HAPROXY_SERVER_SIZE = 72, /* DEVICE_ADDRESS_PORT */
	HAPROXY_CERTS_MAX = 4096, /* lines about them */
};
extern const char *const haproxy_kind_names[HAPROXY_KINDS]; /* of backends: the slot's number follows */
extern const char *const haproxy_maps[HAPROXY_KINDS];       /* paths */

/* All that it reads at its start, beside maps and lists that are empty. */
void haproxy_conf_format(struct buf *ret);

/* The name that a backend of R has there. */
void haproxy_server_name(const struct route *r, size_t i, char ret[static HAPROXY_SERVER_SIZE]);

/* What it has. */
struct haproxy_server {
	enum haproxy_kind kind;
	unsigned slot;
	char name[HAPROXY_SERVER_SIZE];
	bool is_known, is_up; /* it was asked; it answered */
};
struct haproxy_name {
	enum haproxy_kind kind;
	unsigned slot;
	char fqdn[GATEWAY_FQDN_MAX + 1];
};
struct haproxy_cert {
	char fqdn[GATEWAY_FQDN_MAX + 1], id[CERT_ID_LEN + 1];
	bool is_listed; /* it is used; each of these stands in SEEN without that, too */
};
struct haproxy_seen {
	struct haproxy_server *servers; /* owned */
	size_t n_servers;
	struct haproxy_name *names;     /* owned */
	size_t n_names;
	struct haproxy_cert *certs;     /* owned */
	size_t n_certs;
	char thumbprint[CERT_THUMBPRINT_LEN + 1]; /* "" = none */
};
void haproxy_seen_deinit(struct haproxy_seen *s);
#define AUTO_SEEN CLEANUP(haproxy_seen_deinit)

/* The question, one line, to which the next reads the answer. */
extern const char haproxy_look[];
/* What it answers, or -EBADMSG: nothing is taken for there or absent that was not understood. */
MUST_CHECK int haproxy_seen_parse(struct str answer, struct haproxy_seen *ret, struct err *e);
