/* Where a hub is and how one knows it: what the farm document and the client's profile say about it.
 *
 * Hubs are told apart by their key: rows with one key are servers of one cluster, rows with different keys are hubs of
 * their own, and a process is on all of them at once. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "ident/key.h"

enum {
	HUBS_MAX = 4, /* that one process is on */
	HUB_URL_MAX = 512,
	HUB_URLS_MAX = 8,
	HUB_KEY_SIZE = KEY_TEXT_LEN + KEY_SEED_LEN + 1,
	HUB_CA_MAX = 4096,
};

struct hub_addr {
	char url[HUB_URL_MAX];  /* nats://host:port or tls://host:port; several, separated by commas, for a cluster */
	char key[HUB_KEY_SIZE]; /* the account, then the seed that signs participants: public on purpose */
	char ca[HUB_CA_MAX];    /* PEM: who signed the hub's certificate; "" = one of the system's authorities */
};

MUST_CHECK int hub_addr_check(const struct hub_addr *a, struct err *e);
MUST_CHECK int hub_addr_parse(const struct hub_addr *a, struct key_pub *ret_account, struct key *ret_signer, struct err *e);

/* CA: PEM, or one certificate as the base64 that stands in its PEM, on one line; NULL and "" = none. -EINVAL, -EMSGSIZE. */
MUST_CHECK int hub_addr_make(struct hub_addr *ret, const char *url, const char *key, const char *ca, struct err *e);

/* Appends the first certificate of PEM as that one line. */
void hub_ca_line(const char *pem, struct buf *ret);

/* Adds A to the N hubs of LIST: another URL of the hub with its key, or a new one. -ENOSPC, -EMSGSIZE. */
MUST_CHECK int hub_addrs_add(struct hub_addr list[static HUBS_MAX], size_t *n, const struct hub_addr *a, struct err *e);

/* Cuts URLS in place. How many, or -EINVAL: each has to start with nats:// or tls:// and end with a port. */
MUST_CHECK int hub_urls_split(char *urls, const char *ret[static HUB_URLS_MAX]);
/* Takes host and port out of the first of URLS: nats://host:port, also [v6]:port. -EINVAL. */
MUST_CHECK int hub_url_parse(const char *urls, char ret_host[static 256], char ret_port[static 8]);

/* The system's certificate authorities in one file, for hubs that name none; NULL = there is none. */
const char *hub_ca_file(void);
