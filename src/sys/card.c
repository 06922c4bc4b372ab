#include "sys/card.h"

#include "sys/netlink.h"

#include <arpa/inet.h>
#include <string.h>

static int route4(int fd, const char *name, const struct range4 *to, uint32_t gateway, struct err *e)
{
	struct netlink_net net = { .family = AF_INET, .prefix = to->prefix };
	uint32_t wire = htonl(to->address), via = htonl(gateway);

	memcpy(net.address, &wire, sizeof(wire));
	return netlink_add_route_via(fd, name, &net, (const uint8_t *)&via, 0, e);
}

static int route6(int fd, const char *name, const struct range6 *to, const uint8_t gateway[static 16], struct err *e)
{
	struct netlink_net net = { .family = AF_INET6, .prefix = to->prefix };

	memcpy(net.address, to->address, sizeof(net.address));
	return netlink_add_route_via(fd, name, &net, gateway, 0, e);
}

int card_apply(int fd, const char *name, const struct card *end, struct err *e)
{
	int r;

	if ((r = netlink_set_mac(fd, name, end->mac, e)) || (r = netlink_add_address(fd, name, end->address.address, end->address.prefix, e)) ||
	    (r = netlink_add_address6(fd, name, end->address6.address, end->address6.prefix, e)) || (r = netlink_up(fd, name, e)))
		return r;
	if (end->range.prefix < end->address.prefix && (r = route4(fd, name, &end->range, end->gateway, e)))
		return r;
	return end->range6.prefix < end->address6.prefix ? route6(fd, name, &end->range6, end->gateway6, e) : 0;
}
