/* The network provider: gives each machine a link of its own to the node, an address, and the way out; and makes private networks
 * (segment.h), with a port for each of their machines.
 *
 * A container gets a network namespace with one end of a veth pair in it; a virtual machine gets a tap device. Both ends of a link hold a
 * /31 of 100.127.0.0/16 by the machine's index, which is kept in NETWORK_DIR/<id>/index so that a restart finds it again. */
#pragma once
#include "svc/meeting.h"
#include "svc/provider.h"

#include <systemd/sd-event.h>

#define NETWORK_DIR "/run/zos/network"
enum { NETWORK_MACHINES_MAX = 4096 };

struct network_options {
	const char *dir;         /* NETWORK_DIR, or a test's */
	const char *resolv_conf; /* what dhcp writes */
	uid_t tap_uid;           /* who may attach to taps: the uid of QEMU */
	unsigned imaged_uid;
	unsigned flows_max;      /* connections at a time of each machine to the outside; 0 = one for each MiB of memory, 512 to 16384 */
	const char *filter;      /* the program */
	const char *names_dir;   /* NAMES_DIR; NULL = nobody answers for names in private networks */
	const char *edge_dir;    /* EDGE_DIR; NULL = no names are published */
};

/* Returns owned. */
MUST_CHECK int network_provider_new(sd_event *event, const struct network_options *o, struct provider **ret, struct err *e);
void network_provider_free(struct provider *p);
/* Networks with peers on other nodes can be applied from now on. M is borrowed; what is returned is for whoever meets, and lives as long as P. */
const struct meeting_ends *network_attach(struct provider *p, const struct meetings *m);
/* Whether the kernel has the filters that the farm and the name servers ask for; the loop works on it. */
bool network_filter_is_current(struct provider *p);
