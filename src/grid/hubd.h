/* What makes a nats-server a hub: keys, configuration, the directory's bucket. For the `zos` command; these calls block.
 *
 * Two accounts. `grid` has the participants and no storage: anybody may join it with the public signing key, under their own
 * subjects only. `store` has the bucket; it lends the grid three services (put one's own record, get one, list the keys) and
 * nothing else, so no message of a participant can reach the storage interface, whatever its reply subject says.
 * All secrets stay in the hub's directory. Every server of a cluster has the same hub.keys. */
#pragma once
#include "base/err.h"
#include "grid/hub.h"

enum {
	HUBD_MEMBERS_MAX = 5,
	HUBD_REPLICAS_MAX = 3,    /* of the directory, in a cluster */
	HUBD_RECORD_MAX = 8192,   /* bytes of one directory record */
	HUBD_CONNECTIONS_DEFAULT = 20000,
};
enum { HUBD_MUTE = 1 }; /* outcome, with a sentence: all members run, and yet the cluster counts too few */

struct hubd_options {
	const char *dir;          /* existing, private; keys, configuration and store lie in it */
	const char *listen;       /* NULL = 127.0.0.1 */
	const char *advertise;    /* host name that clients use; NULL = listen */
	uint16_t port;            /* 0 = 4222 */
	uint16_t advertise_port;  /* when clients use another one; 0 = port */
	bool own_ca;              /* tls:// with a certificate of the hub's own authority, unless there is tls_cert */
	const char *tls_cert, *tls_key; /* PEM files; both or none */
	/* A cluster: this member's HOST:PORT for the others, and everybody's, separated by commas. Members share hub.keys, and take only
	 * each other: by certificates of the hub's own authority, on both sides of a route. NULL = a hub of one server. */
	const char *cluster, *peers;
	uint64_t record_ttl_s;    /* a record that nobody renews disappears; 0 = 3600 */
	unsigned max_connections; /* 0 = HUBD_CONNECTIONS_DEFAULT */
};

/* Makes the keys on the first call and reads them later; writes DIR/nats.conf. RET is what clients need. */
MUST_CHECK int hubd_prepare(const struct hubd_options *o, struct hub_addr *ret, struct err *e);

/* With own_ca: 1 = the certificate was made anew, because the old one ends soon or is for another name: the server needs a SIGHUP.
 * 0 = it is good. */
MUST_CHECK int hubd_certify(const struct hubd_options *o, int64_t now_s, struct err *e);

/* The server runs (nats-server -c DIR/nats.conf): waits up to TIMEOUT_MS for it, creates or corrects the bucket. -ECONNREFUSED:
 * it does not answer (yet); -EAGAIN: a cluster without a quorum (yet). HUBD_MUTE: about one cluster in fifteen
 * has a nats-server 2.10 that answers the others nothing in their group after its first start, until it is started again; from outside
 * nobody sees which one it is, so whoever gets this starts their own anew. */
MUST_CHECK int hubd_create_bucket(const struct hubd_options *o, uint64_t timeout_ms, struct err *e);
