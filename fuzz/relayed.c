/* Datagrams of strangers at the ports of a pair that is in use: they divert nothing, and pass only if their mac holds. The first byte is the port. */
#include "relay/pairs.h"

#include <stdlib.h>
#include <sys/socket.h>

static const struct endpoint known[2] = { { .family = AF_INET, .address = { 192, 0, 2, 11 }, .port = 1 },
					  { .family = AF_INET6, .address = { 0x20, 1, 0xd, 0xb8 }, .port = 2 } };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct relay_pairs p;
	const struct relay_hop stranger = { .at = { .family = AF_INET, .address = { 203, 0, 113, 1 }, .port = 9 } };
	struct relay_hop to = { 0 };
	size_t port = n ? data[0] % 4 : 0;
	struct str datagram = { n ? (const char *)data + 1 : "", n ? n - 1 : 0 };
	int r;

	p = (struct relay_pairs){ .list[0] = { .until_ms = 2 } };
	for (size_t k = 0; k < 2; k++) {
		struct relay_end *x = &p.list[0].ends[k];

		*x = (struct relay_end){ .has_asked = true, .at = known[k], .heard_ms = 1 };
		memset(x->public_key, (int)k + 1, sizeof(x->public_key));
	}
	r = relay_pairs_take(&p, port, &stranger, datagram, 1, &to);
	if (r == RELAY_PASS && (port > 1 || !endpoint_eq(&to.at, &known[port ^ 1]) || !relay_mac_ok(p.list[0].ends[port ^ 1].public_key, datagram)))
		abort();
	for (size_t k = 0; k < 2; k++)
		if (!endpoint_eq(&p.list[0].ends[k].at, &known[k]) && (r != RELAY_PASS || k != port))
			abort();
	return 0;
}
