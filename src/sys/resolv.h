/* Whom the node asks for names: one file for each who knows servers, in a directory, put together in resolv.conf(5).
 *
 * A file is called after its source and what that is worth: "eth0.boot" what the boot configuration says of an uplink, "eth0.dhcp", "eth0.dhcp6" and "eth0.ra" what leases and
 * routers brought, "boot.fallback" and "farm.fallback" who is asked where those do not answer. Whoever changes one puts all together anew, one at a time. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#define RESOLV_SOURCES "/run/zos/dhcp"
#define RESOLV_CONF "/run/zos/resolv.conf"
enum { RESOLV_SERVERS_MAX = 3, RESOLV_SOURCE_MAX_BYTES = 4096, RESOLV_SOURCES_MAX = 64, RESOLV_NAME_SIZE = 64 };

struct resolv_source {
	char name[RESOLV_NAME_SIZE];
	struct str text; /* lines "nameserver ADDRESS" */
};

/* Puts N sources, in any order, together: boot's before leases', each kind in the order of its names, every server once; of more than RESOLV_SERVERS_MAX the first, but the last
 * place is a fall-back's where there is one. With several a silent one is given up after 2 s. Names of no such kind are passed over. Pure; orders SOURCES. */
void resolv_format(struct resolv_source *sources, size_t n, struct buf *ret);

/* In the directory SOURCES, SOURCE has TEXT to say, or nothing ("") any more; then resolv.conf at CONF is as they all have it. */
MUST_CHECK int resolv_put(const char *sources, const char *conf, const char *source, struct str text, struct err *e);
