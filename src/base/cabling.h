/* How a node is on its networks, as words at boot say (doc/boot.md, Uplinks): which cards it uses, bonded and tagged how, with which addresses. Pure.
 *
 * Whatever is doubtful is refused with a sentence for whoever stands before the screen; what was read before stays as it was. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

enum {
	CABLING_UPLINKS_MAX = 16, /* of several machines that start from one medium */
	CABLING_CARDS_MAX = 4, /* of one bond */
	CABLING_ADDRESSES_MAX = 4,
	CABLING_SERVERS_MAX = 3, /* resolv.conf(5): more than three are not asked */
	CABLING_NAME_SIZE = 16, /* of a link */
	CABLING_VLAN_MAX = 4094,
	CABLING_METRIC = 100, /* of the first uplink's routes; each next one has as much more */
	CABLING_TEXT_MAX = 4096, /* bytes: the kernel takes no longer command line */
};

enum cabling_bond { CABLING_ALONE, CABLING_ACTIVE_BACKUP, CABLING_802_3AD, CABLING_BONDS };

struct cabling_card {
	char name[CABLING_NAME_SIZE]; /* the kernel's: eth0; "" = known by its MAC */
	uint8_t mac[6];
};
struct cabling_address {
	int family; /* AF_INET or AF_INET6; 0 = none */
	uint8_t address[16]; /* network byte order; of IPv4 the first four */
	unsigned prefix; /* bits; of a router or a server all */
};
struct cabling_uplink {
	struct cabling_card cards[CABLING_CARDS_MAX];
	struct cabling_address addresses[CABLING_ADDRESSES_MAX]; /* none: by DHCP and routers' word */
	struct cabling_address router, router6;
	struct cabling_address servers[CABLING_SERVERS_MAX]; /* for names */
	size_t n_cards, n_addresses, n_servers;
	enum cabling_bond bond; /* CABLING_ALONE with one card, and only then */
	unsigned vlan; /* 0 = untagged */
};
struct cabling {
	struct cabling_uplink uplinks[CABLING_UPLINKS_MAX]; /* none: each card by DHCP */
	struct cabling_address servers[CABLING_SERVERS_MAX]; /* asked for names where those of the uplinks do not answer */
	size_t n_uplinks, n_servers;
};

/* Adds what TEXT says, words that spaces or line ends separate: "zos.uplink=..." and "zos.dns=...". Other words are refused, or with IS_COMMAND_LINE passed over:
 * there they are somebody else's. -EINVAL, -E2BIG when there are too many of something. */
MUST_CHECK int cabling_read(struct cabling *c, struct str text, bool is_command_line, struct err *e);

/* Whether it says anything at all. */
bool cabling_is_empty(const struct cabling *c);

/* The link of uplink number I: its card by the name it has, else "cardI"; with a bond "bondI"; with a tag "eth0.100". And what is below the tag. */
void cabling_name(const struct cabling *c, size_t i, char ret[static CABLING_NAME_SIZE]);
void cabling_base_name(const struct cabling *c, size_t i, char ret[static CABLING_NAME_SIZE]);

/* What dhcpcd is to do of all that: dhcpcd.conf(5). */
void cabling_dhcpcd(const struct cabling *c, struct buf *ret);

/* Lines "nameserver ADDRESS" of resolv.conf(5). */
void cabling_servers(const struct cabling_address *servers, size_t n, struct buf *ret);
/* "192.0.2.1" */
void cabling_address_format(const struct cabling_address *a, struct buf *ret);
