#include "svc/uplink.h"

#include "base/err.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/socket.h>

/* A clock outside of this was never set: before this system was written, or past what it may ever see. */
#define CLOCK_MIN_S 1735689600ll /* 2025 */
#define CLOCK_MAX_S 3155760000ll /* 2070 */

/* The kernel's own names of cards, and those of what the boot configuration makes of them (base/cabling.h); machines' links are the engine's and called otherwise. */
static const struct str cards[] = { S("eth"), S("bond"), S("card") };

static bool is_card(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(cards); i++)
		if (str_starts(str_c(name), cards[i]))
			return true;
	return false;
}

static struct uplink *uplink_of(struct uplink list[static UPLINKS_MAX], size_t *n, const char *name)
{
	for (size_t i = 0; i < *n; i++)
		if (!strcmp(list[i].name, name))
			return &list[i];
	if (*n == UPLINKS_MAX)
		return NULL;
	list[*n] = (struct uplink){ 0 };
	snprintf(list[*n].name, sizeof(list[0].name), "%s", name);
	return &list[(*n)++];
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
static void address_add(struct uplink *u, const struct ifaddrs *a)
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

/* "eth0" of "eth0.100". */
static bool is_below(const char *name, const char *vlan)
{
	size_t n = strlen(name);

	return !strncmp(name, vlan, n) && vlan[n] == '.';
}

static void parts_mark(struct uplink list[static UPLINKS_MAX], size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++)
			list[i].is_part |= is_below(list[i].name, list[k].name);
}

int uplink_read(struct uplink ret[static UPLINKS_MAX], size_t *ret_n, struct err *e)
{
	CLEANUP(freep_ifaddrs) struct ifaddrs *all = NULL;
	size_t n = 0;

	if (getifaddrs(&all))
		return err_set(e, -errno, "read the addresses of network cards: %m");
	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		struct uplink *u = is_card(a->ifa_name) ? uplink_of(ret, &n, a->ifa_name) : NULL;

		if (!u || !a->ifa_addr)
			continue;
		u->is_used = a->ifa_flags & IFF_UP;
		u->has_carrier = a->ifa_flags & IFF_LOWER_UP;
		u->is_part = a->ifa_flags & IFF_SLAVE;
		if (a->ifa_addr->sa_family == AF_INET || a->ifa_addr->sa_family == AF_INET6)
			address_add(u, a);
	}
	parts_mark(ret, n);
	*ret_n = n;
	return 0;
}

enum diagnosis_cause uplink_why(const struct uplink *uplinks, size_t n, int64_t time_s, size_t n_hubs)
{
	bool is_used = false, has_carrier = false, has_address = false;

	for (size_t i = 0; i < n; i++) {
		is_used |= uplinks[i].is_used;
		has_carrier |= uplinks[i].has_carrier;
		has_address |= uplinks[i].has_carrier && uplinks[i].addresses[0];
	}
	if (!n)
		return DIAGNOSIS_NO_CARD;
	if (is_used && !has_carrier)
		return DIAGNOSIS_NO_CABLE;
	if (!has_address)
		return DIAGNOSIS_NO_ADDRESS;
	if (time_s < CLOCK_MIN_S || time_s > CLOCK_MAX_S)
		return DIAGNOSIS_CLOCK;
	return n_hubs ? DIAGNOSIS_HUB : DIAGNOSIS_NO_HUB;
}
