/* Makes of a node's network cards the uplinks that the boot configuration names: bonds, VLANs, addresses, routes, name servers.
 *
 * Everything is done as far as it goes and done again whenever the kernel tells of a link: a card may come late, go, and come again. What is there already stays as it is. */
#pragma once
#include "base/cabling.h"
#include "sys/supervisor.h"

struct cabler_card {
	char name[CABLING_NAME_SIZE]; /* as it is called now */
	unsigned index;               /* of the link; 0 = it is not there */
};
struct cabler_uplink {
	struct cabler_card cards[CABLING_CARDS_MAX];
	unsigned index;      /* of the link that has the addresses; 0 = not made yet */
	char trouble[ERR_MSG_MAX]; /* what was said last, so that it is said once */
};
struct cabler {
	struct cabling cabling;
	const struct supervisor *supervisor; /* borrowed: loads modules; NULL = those that are needed are there */
	const char *sources, *resolv_conf;   /* borrowed: RESOLV_SOURCES, RESOLV_CONF */
	int netlink;    /* borrowed */
	struct cabler_uplink uplinks[CABLING_UPLINKS_MAX];
};

/* Goes over all uplinks and does what is not done yet. What fails is logged, once, and tried again the next time. Returns how many uplinks are made. */
size_t cabler_step(struct cabler *c);

/* Reads whether the link NAME, which is up, has a carrier: the kernel tells of one at most once a second (net/core/link_watch.c), and the card's appearance has used that
 * up; whoever reads it from /sys makes the kernel look at once (since Linux 6.8). */
void cabler_look(const char *name);
