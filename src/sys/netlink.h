/* Links, addresses and routes over rtnetlink (rtnetlink(7)), one acknowledged request at a time. */
#pragma once
#include "base/err.h"

#include <net/if.h>
#include <stdint.h>
#include <sys/socket.h>

/* A range of addresses. */
struct netlink_net {
	int family;          /* AF_INET or AF_INET6 */
	uint8_t address[16]; /* network byte order; of IPv4 the first four */
	unsigned prefix;     /* bits: 0 to 32 or to 128 */
};

/* A socket of the calling thread's network namespace: it keeps talking to that one also after the thread has left. Returns owned. */
MUST_CHECK int netlink_open(int *ret_fd, struct err *e);

/* A descriptor that becomes readable when something of GROUPS (RTMGRP_... of rtnetlink(7)) changes. Returns owned. */
MUST_CHECK int netlink_watch(uint32_t groups, int *ret_fd, struct err *e);
void netlink_drain(int fd); /* forgets what was told: whoever wants to know looks anew */

/* The number of the link NAME in FD's namespace. -ENODEV when there is none. */
MUST_CHECK int netlink_index(int fd, const char *name, uint32_t *ret, struct err *e);
/* A pair of virtual Ethernet links: NAME here, PEER in the namespace NETNS_FD. -EEXIST when there is a NAME. */
MUST_CHECK int netlink_add_veth(int fd, const char *name, const char *peer, int netns_fd, struct err *e);
/* A link of KIND ("bridge", "wireguard"), down. -EEXIST when there is a NAME, -EOPNOTSUPP when the kernel has no such kind. */
MUST_CHECK int netlink_add_link(int fd, const char *name, const char *kind, struct err *e);
/* A second card NAME with addresses of its own and the MAC of PARENT, in the namespace NETNS_FD (ipvlan). -EEXIST when there is a NAME. */
MUST_CHECK int netlink_add_ipvlan(int fd, const char *name, const char *parent, int netns_fd, struct err *e);
/* What is tagged VLAN (1 to 4094) on PARENT, as a link NAME that is down. -EEXIST when there is a NAME, -EOPNOTSUPP when the kernel has no such kind. */
MUST_CHECK int netlink_add_vlan(int fd, const char *name, const char *parent, unsigned vlan, struct err *e);
/* Several cards as one, down and without any (bonding.rst of the kernel): one in use after the other, or by LACP with the switch. Errors as of the former. */
enum netlink_bond { NETLINK_ACTIVE_BACKUP = 1, NETLINK_802_3AD = 4 };
MUST_CHECK int netlink_add_bond(int fd, const char *name, enum netlink_bond mode, struct err *e);
/* Into a bridge, or a bond: of that a link that is down. Already in it is fine. */
MUST_CHECK int netlink_enslave(int fd, const char *name, const char *master, struct err *e);
/* The MAC that the card NAME was made with, whichever it has now. -ENODATA when it has none such. */
MUST_CHECK int netlink_permanent_mac(int fd, const char *name, uint8_t ret[static 6], struct err *e);
/* Into another namespace, where it is down and without addresses. -EEXIST when the name is taken there. */
MUST_CHECK int netlink_move(int fd, const char *name, int netns_fd, struct err *e);
MUST_CHECK int netlink_rename(int fd, const char *name, const char *to, struct err *e); /* a link that is down */
MUST_CHECK int netlink_set_mac(int fd, const char *name, const uint8_t mac[static 6], struct err *e);
MUST_CHECK int netlink_set_mtu(int fd, const char *name, uint32_t mtu_bytes, struct err *e);
MUST_CHECK int netlink_remove(int fd, const char *name, struct err *e); /* absent is fine */
MUST_CHECK int netlink_up(int fd, const char *name, struct err *e);
/* ADDRESS in host byte order. Already there is fine. */
MUST_CHECK int netlink_add_address(int fd, const char *name, uint32_t address, unsigned prefix, struct err *e);
MUST_CHECK int netlink_add_default(int fd, const char *name, uint32_t gateway, struct err *e);
/* ADDRESS in network byte order; used at once, without duplicate detection. Already there is fine. */
MUST_CHECK int netlink_add_address6(int fd, const char *name, const uint8_t address[static 16], unsigned prefix, struct err *e);
/* A route to TO straight over the link, which is up. Replaces one to the same range; bits of the address beyond the prefix are -EINVAL. */
MUST_CHECK int netlink_add_route(int fd, const char *name, const struct netlink_net *to, struct err *e);
/* The same by way of GATEWAY, of TO's family, in network byte order; the least METRIC is taken first. */
MUST_CHECK int netlink_add_route_via(int fd, const char *name, const struct netlink_net *to, const uint8_t *gateway, uint32_t metric, struct err *e);
MUST_CHECK int netlink_remove_route(int fd, const char *name, const struct netlink_net *to, struct err *e); /* absent is fine */
/* Whoever asks on the link for the address TO, of a prefix of all its bits, is told that it is here (proxy ARP, proxy neighbour discovery: for
 * the latter also /proc/sys/net/ipv6/conf/NAME/proxy_ndp). There already, or absent, is fine. */
MUST_CHECK int netlink_add_proxy(int fd, const char *name, const struct netlink_net *to, struct err *e);
MUST_CHECK int netlink_remove_proxy(int fd, const char *name, const struct netlink_net *to, struct err *e);
