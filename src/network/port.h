/* What a private network consists of in the kernel: its namespace with a bridge and a link to the node, and machines' ports on it. All of it
 * done already is fine, and absent when it is to go, too. */
#pragma once
#include "network/segment.h"

MUST_CHECK int bridge_make(const struct segment *g, int netlink, struct err *e);
MUST_CHECK int bridge_remove(const struct segment *g, int netlink, struct err *e);

/* The port of the machine with INDEX in the network whose namespace is NETNS. CONTAINER: path of the machine's own, where the other end becomes
 * NAME; "" = a virtual machine's, which is a tap for TAP_UID. */
struct port {
	const char *netns, *container, *name;
	unsigned index;
	uid_t tap_uid;
	uint64_t bandwidth; /* shape.h */
	const struct card *end;
};
MUST_CHECK int port_make(const struct port *p, struct err *e);
MUST_CHECK int port_remove(const char *netns, unsigned index, struct err *e);

/* A tap device NAME in the calling thread's network namespace, which lasts and which UID may attach to. */
MUST_CHECK int tap_make(const char *name, uid_t uid, struct err *e);
