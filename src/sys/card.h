/* One end of a link into a private network: what is set up in the machine, by the node for a container and by guest-init in a virtual
 * machine. */
#pragma once
#include "base/err.h"
#include "base/parse.h"

struct card {
	uint8_t mac[6];
	struct range4 address, range;   /* ADDRESS with its subnet's prefix; the network in all, behind GATEWAY */
	struct range6 address6, range6;
	uint32_t gateway;               /* host byte order */
	uint8_t gateway6[16];
};

/* Makes the link NAME of FD's namespace, which is the calling thread's, what END says, and brings it up. Done already is fine. */
MUST_CHECK int card_apply(int fd, const char *name, const struct card *end, struct err *e);
