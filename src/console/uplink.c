#include "console/uplink.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/socket.h>

/* The kernel's own names of cards, and bonds of them; machines' links are the engine's and called otherwise. */
static const struct str cards[] = { S("eth"), S("bond") };

static bool is_card(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(cards); i++)
		if (str_starts(str_c(name), cards[i]))
			return true;
	return false;
}

static struct snapshot_uplink *uplink_of(struct snapshot *s, const char *name)
{
	for (size_t i = 0; i < s->n_uplinks; i++)
		if (!strcmp(s->uplinks[i].name, name))
			return &s->uplinks[i];
	if (s->n_uplinks == SNAPSHOT_UPLINKS_MAX)
		return NULL;
	s->uplinks[s->n_uplinks] = (struct snapshot_uplink){ 0 };
	snprintf(s->uplinks[s->n_uplinks].name, sizeof(s->uplinks[0].name), "%s", name);
	return &s->uplinks[s->n_uplinks++];
}

static unsigned prefix_of(const struct sockaddr *mask)
{
	const uint8_t *p = mask->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)mask)->sin6_addr.s6_addr
						       : (const uint8_t *)&((const struct sockaddr_in *)mask)->sin_addr;
	unsigned n = 0;

	for (size_t i = 0; i < (mask->sa_family == AF_INET6 ? 16u : 4u); i++)
		n += (unsigned)__builtin_popcount(p[i]);
	return n;
}

/* Link-local addresses come with the cable and say nothing. */
static void address_add(struct snapshot_uplink *u, const struct ifaddrs *a)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a->ifa_addr;
	char text[INET6_ADDRSTRLEN];
	size_t n = strlen(u->addresses);

	if (!a->ifa_netmask || (a->ifa_addr->sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr)))
		return;
	if (!inet_ntop(a->ifa_addr->sa_family,
		       a->ifa_addr->sa_family == AF_INET6 ? (const void *)&six->sin6_addr
							  : (const void *)&((const struct sockaddr_in *)a->ifa_addr)->sin_addr,
		       text, sizeof(text)))
		return;
	snprintf(u->addresses + n, sizeof(u->addresses) - n, "%s%s/%u", n ? " " : "", text, prefix_of(a->ifa_netmask));
}

static void freep_ifaddrs(struct ifaddrs **a)
{
	if (*a)
		freeifaddrs(*a);
}

int uplink_read(struct snapshot *ret, struct err *e)
{
	CLEANUP(freep_ifaddrs) struct ifaddrs *all = NULL;

	if (getifaddrs(&all))
		return err_set(e, -errno, "read the addresses of network cards: %m");
	ret->n_uplinks = 0;
	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		struct snapshot_uplink *u = is_card(a->ifa_name) ? uplink_of(ret, a->ifa_name) : NULL;

		if (!u || !a->ifa_addr)
			continue;
		u->has_carrier = a->ifa_flags & IFF_LOWER_UP;
		if (a->ifa_addr->sa_family == AF_INET || a->ifa_addr->sa_family == AF_INET6)
			address_add(u, a);
	}
	return 0;
}
