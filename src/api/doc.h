/* The signed documents that travel: what they hold, how they are signed, opened and checked. doc/documents.md describes them.
 *
 * xxx_open() takes the envelope apart, verifies every signature, decodes strictly and checks that the signer is who the document
 * says. The opened struct owns what its texts point into: release it with xxx_deinit(), whatever open returned. */
#pragma once
#include "base/endpoint.h"
#include "api/json.h"
#include "api/pool.h"
#include "ident/dsse.h"

#define API_TYPE_ORDER "application/vnd.zos.order+json"
#define API_TYPE_LOGIN "application/vnd.zos.login+json"
#define API_TYPE_FARM "application/vnd.zos.farm+json"
#define API_TYPE_APPROVAL "application/vnd.zos.approval+json"
#define API_TYPE_RECORD "application/vnd.zos.node+json"
#define API_TYPE_DEPLOYMENT "application/vnd.zos.deployment+json"

enum {
	ORDER_NONCE_LEN = 32,     /* hex digits */
	ORDER_LIFE_MAX_S = 600,   /* an order that says it lives longer is refused */
	CLOCK_SLACK_S = 120,      /* how far two clocks may be apart */
	FARM_HUBS_MAX = 8,
	FARM_ALLOW_MAX = 256,
	FARM_REGISTRIES_MAX = 16,
	FARM_OPEN_MAX = 16,
	FARM_TIME_MAX = 4,
	FARM_DNS_MAX = 3, /* resolv.conf(5): more are not asked */
	FARM_GATEWAYS_MAX = 32,
	FARM_RELAYS_MAX = 16,
	FARM_ADDRESSES_MAX = 64,
};

/* What every document shares once it is open. */
struct doc {
	struct dsse envelope;
	sd_json_variant *body;
};
void doc_deinit(struct doc *d);
/* What documents of other files are opened with: all signatures hold and it is JSON; one alone signed it; it has not expired, and does not
 * live longer than an order may. WHAT begins the sentence. -EBADMSG, -EKEYREJECTED; -ETIME. */
MUST_CHECK int doc_open(sd_json_variant *envelope, const char *type, struct doc *ret, struct err *e);
MUST_CHECK int doc_signed_by_only(const struct doc *d, const struct key_pub *k, const char *what, struct err *e);
MUST_CHECK int doc_lives(int64_t expires_s, int64_t now_s, const char *what, struct err *e);

/* One call on one node, once: signed by its caller. */
struct order {
	struct doc doc;
	struct key_pub caller; /* who signed it */
	const char *method;
	sd_json_variant *arguments;
	struct key_pub node;
	int64_t expires_s;
	const char *nonce;
};
#define AUTO_ORDER CLEANUP(order_deinit)
/* Checks that exactly one signature stands under it, that it is for NODE and lives at NOW_S. Nonces are the caller's to check.
 * -EBADMSG, -EKEYREJECTED, -EXDEV (another node), -ETIME (expired, or it would live too long). */
MUST_CHECK int order_open(sd_json_variant *envelope, const struct key_pub *node, int64_t now_s, struct order *ret, struct err *e);
void order_deinit(struct order *o);
/* Appends the envelope. */
MUST_CHECK int order_sign(const struct key *caller, const struct key_pub *node, const char *method, sd_json_variant *arguments, int64_t expires_s,
			  struct buf *ret);

/* "The TLS key of this session is mine": binds an identity to a session without signing anything a peer chose. */
struct login {
	struct doc doc;
	struct key_pub user, node;
	const char *tls_key; /* 64 hex digits */
	int64_t expires_s;
};
#define AUTO_LOGIN CLEANUP(login_deinit)
MUST_CHECK int login_open(sd_json_variant *envelope, const struct key_pub *node, const uint8_t tls_key[static 32], int64_t now_s, struct login *ret,
			  struct err *e);
void login_deinit(struct login *l);
MUST_CHECK int login_sign(const struct key *user, const struct key_pub *node, const uint8_t tls_key[static 32], int64_t expires_s, struct buf *ret);

/* Of a machine's links, in bytes a second. */
#define BANDWIDTH_MIN (16ull << 10) /* a packet that is not cut must pass at once (sys/qdisc.h) */
#define BANDWIDTH_MAX (1ull << 37)  /* a terabit */

struct farm_hub { /* rows with one key are servers of one hub */
	const char *url, *key, *ca; /* who signed its certificate; NULL = one of the image's authorities */
};
struct farm_allow {
	struct key_pub key;
	uint64_t cpu_milli, memory_bytes; /* 0 = what the node has */
};
struct farm_registry {
	const char *host, *ca; /* host[:port]; PEM, NULL = the image's own list */
	bool plain;            /* speaks HTTP, and may */
};
struct farm_open {
	const char *range; /* a.b.c.d/n: a private range that machines and image pulls may reach */
};

struct farm_time {
	const char *server; /* a host name or an address, of either family */
	uint64_t port;      /* 0 = that of NTP, or of NTS */
	bool nts;           /* it proves who it is (RFC 8915) */
};

/* Who is asked for names where the servers that leases or the boot configuration name do not answer, or there are none. */
struct farm_dns {
	const char *server; /* an address of either family */
};

/* A node that publishes names (doc/gateway.md), and the public addresses that it does it at. */
struct farm_gateway {
	struct key_pub node;
	const char *domain;             /* whose names it gives out; NULL = none */
	const char *address, *router;   /* IPv4: with its prefix, 198.51.100.7/24, and the way out */
	const char *address6, *router6; /* IPv6, likewise; NULL = none */
	const char *card;               /* of the node, on the network of the addresses */
	const char *acme; /* https URL of the directory of who gives it certificates (RFC 8555); NULL = nobody, and names have no HTTPS */
	const char *acme_ca; /* PEM: who signed that server's own certificate; NULL = one of the image's authorities */
	const char *acme_email; /* whom that server may write to; NULL = nobody */
};

/* A node that passes on what others cannot send each other (doc/network-peers.md, The relay), and where they reach it. */
struct farm_relay {
	struct key_pub node;
	const char *address, *address6; /* IPv4, IPv6; NULL = not by that, but one of them is there */
};

/* The public IPv4 addresses that a node has for its owners' machines (doc/network.md). */
struct farm_addresses {
	struct key_pub node;
	const char *card;        /* of the node, on the network of the addresses */
	sd_json_variant *ranges; /* texts, as api/pool.h takes them */
};

/* What a farm says to its nodes. */
struct farm {
	struct doc doc;
	const char *name;
	struct key_pub farm;
	uint64_t sequence;
	struct farm_hub hubs[FARM_HUBS_MAX];
	struct farm_allow allow[FARM_ALLOW_MAX];
	struct farm_registry registries[FARM_REGISTRIES_MAX];
	struct farm_open open[FARM_OPEN_MAX];
	struct farm_time time[FARM_TIME_MAX];
	struct farm_dns dns[FARM_DNS_MAX];
	struct farm_gateway gateways[FARM_GATEWAYS_MAX];
	struct farm_relay relays[FARM_RELAYS_MAX];
	struct farm_addresses addresses[FARM_ADDRESSES_MAX];
	size_t n_hubs, n_allow, n_registries, n_open, n_time, n_dns, n_gateways, n_relays, n_addresses;
	uint64_t bandwidth; /* bytes a second, each way, that each link of a machine carries at most; 0 = what its owner says */
	bool usb_disks; /* nodes may take disks on USB */
	const char *recovery; /* the public key that disks can be recovered with, base64 (recovery.h); NULL = they cannot */
};
#define AUTO_FARM CLEANUP(farm_deinit)
MUST_CHECK int farm_open(struct str envelope, struct farm *ret, struct err *e);
void farm_deinit(struct farm *f);
/* The row that lets KEY in, or NULL. The farm's own key needs none. */
const struct farm_allow *farm_allow_find(const struct farm *f, const struct key_pub *key);
/* What NODE is as a gateway; NULL = it is none. */
const struct farm_gateway *farm_gateway_find(const struct farm *f, const struct key_pub *node);
/* What NODE is as a relay; NULL = it is none. */
const struct farm_relay *farm_relay_find(const struct farm *f, const struct key_pub *node);
/* What NODE has of public addresses; NULL = none. */
const struct farm_addresses *farm_addresses_find(const struct farm *f, const struct key_pub *node);
/* All of them; empty without F, or a row of NODE's. F is what farm_open() took. */
void farm_pool(const struct farm *f, const struct key_pub *node, struct pool *ret);
/* Where PORT of R is, by FAMILY (AF_INET, AF_INET6); family 0 = nowhere. */
struct endpoint farm_relay_at(const struct farm_relay *r, int family, uint16_t port);

/* "This node is mine": signed by the farm. */
struct approval {
	struct doc doc;
	struct key_pub farm, node;
};
MUST_CHECK int approval_open(sd_json_variant *envelope, struct approval *ret, struct err *e);
void approval_deinit(struct approval *a);
MUST_CHECK int approval_sign(const struct key *farm, const struct key_pub *node, struct buf *ret);

/* A node's entry in the directory. */
struct record {
	struct doc doc;
	struct key_pub node;
	const char *inbox; /* the node's key at the hub: where sessions are opened */
	const char *tls_key; /* 64 hex digits, new at each boot */
	uint64_t sequence;
	int64_t expires_s;
	const char *farm_name, *version, *flavour, *arch;
	const char *seal_key; /* SHA-256 of the key that secrets are sealed to, 64 hex digits; NULL = of a version that takes none */
	struct key_pub farm; /* role 0 = none */
	bool approved; /* an approval by `farm` stands in it and holds */
	bool is_drained; /* by its farm: it takes nothing new */
	sd_json_variant *approval, *capacity;
	uint64_t boot_s; /* Unix seconds */
};
MUST_CHECK int record_open(struct str envelope, int64_t now_s, struct record *ret, struct err *e);
void record_deinit(struct record *r);
