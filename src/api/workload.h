/* What deployment.c asks of each type of workload: to decode and check the one at AT, whose data is at hand; names and kinds of all are known. */
#pragma once
#include "api/deployment.h"

MUST_CHECK int zmachine_open(struct deployment *d, size_t at, struct err *e);
MUST_CHECK int volume_open(struct deployment *d, size_t at, struct err *e);
MUST_CHECK int zmount_open(struct deployment *d, size_t at, struct err *e);
MUST_CHECK int network_open(struct deployment *d, size_t at, struct err *e);
MUST_CHECK int zdb_open(struct deployment *d, size_t at, struct err *e);
MUST_CHECK int gateway_name_open(struct deployment *d, size_t at, struct err *e);
MUST_CHECK int gateway_fqdn_open(struct deployment *d, size_t at, struct err *e);

MUST_CHECK int ip_open(struct deployment *d, size_t at, struct err *e);

/* public.c: whether the `public_ip` of the machine at AT, whose networks are checked, is in the deployment, its alone, and of use to it. */
MUST_CHECK int public_ip_check(const struct deployment *d, size_t at, struct err *e);

/* A field of a table that owners may know. */
#define NOT_YET(field, what) { field, JSON_REFUSED, .want = what " is not done by this version of the node" }

/* {"secret": NAME} in the place of a text. */
extern const struct json_table secret_value_table;
/* Whether all the secrets that the one at AT uses are there. */
MUST_CHECK int secrets_used_check(const struct deployment *d, size_t at, struct err *e);

/* Whether what the machine at AT mounts is in the deployment and goes together; may decide its isolation. */
MUST_CHECK int mounts_check(struct deployment *d, size_t at, struct err *e);

/* A field `networks` of TYPE, struct joins in it. */
#define JOINS_FIELD(type)                \
	{ "networks",                    \
	  JSON_LIST,                     \
	  offsetof(type, networks.list), \
	  .max = ZMACHINE_NETWORKS_MAX,  \
	  .table = &join_table,          \
	  .n_off = offsetof(type, networks.n) }
extern const struct json_table join_table;
/* Whether the networks that the one at AT, a machine or a zdb, joins are in the deployment and go together. */
MUST_CHECK int joins_check(struct deployment *d, size_t at, struct err *e);
/* Once all of those are known: gives those an address that named none. -EBADMSG when there are too few. */
MUST_CHECK int joins_number(struct deployment *d, struct err *e);

/* farm_gateway.c: the table of a farm's gateways, and whether they go together. */
extern const struct json_table farm_gateway_table;
MUST_CHECK int farm_gateways_check(const struct farm *f, struct err *e);

/* For tables: whether it is the text of one. */
bool fqdn_ok(struct str s);
bool card_ok(struct str s);
bool range4_ok(struct str s);
bool range6_ok(struct str s);
bool network_key_ok(struct str s);

/* span.c: the table of a network's peers, and whether those of the one at AT, whose ranges are checked, go together. */
extern const struct json_table network_peer_table;
MUST_CHECK int network_peers_check(const struct deployment *d, size_t at, struct err *e);
/* access.c: the table of a network's devices, and whether those of the one at AT, whose peers are checked, go together. */
extern const struct json_table network_access_table;
MUST_CHECK int network_access_check(const struct deployment *d, size_t at, struct err *e);
/* Whether ADDRESS may be a machine's or a device's; and the first and the last that may. */
bool network_is_host(const struct network *n, uint32_t address);
void network_hosts_format(const struct network *n, char first[static IP4_TEXT_SIZE], char last[static IP4_TEXT_SIZE]);
/* The part of N's range6 that is NODE's where nobody says another. */
struct range6 network_part6(const struct network *n, const struct key_pub *node);
/* Whether R, which stands at the JSON path WHERE, is whole, private, and has a prefix from MIN to MAX. */
MUST_CHECK int range4_check(const struct range4 *r, const char *where, unsigned min, unsigned max, struct err *e);
MUST_CHECK int range6_check(const struct range6 *r, const char *where, unsigned min, unsigned max, struct err *e);

/* farm_relay.c: the same of a farm's relays. */
extern const struct json_table farm_relay_table;
MUST_CHECK int farm_relays_check(const struct farm *f, struct err *e);
/* farm_addresses.c: the same of the public addresses of a farm's nodes. */
extern const struct json_table farm_addresses_table;
MUST_CHECK int farm_addresses_check(const struct farm *f, struct err *e);
