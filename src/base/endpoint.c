#include "base/endpoint.h"

#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

void endpoint_format(char ret[static ENDPOINT_TEXT_SIZE], const struct endpoint *at)
{
	char address[INET6_ADDRSTRLEN] = "";

	(void)inet_ntop(at->family, at->address, address, sizeof(address));
	snprintf(ret, ENDPOINT_TEXT_SIZE, at->family == AF_INET ? "%s:%u" : "[%s]:%u", address, at->port);
}

int endpoint_parse(struct str s, struct endpoint *ret)
{
	char text[ENDPOINT_TEXT_SIZE] = "", again[ENDPOINT_TEXT_SIZE];
	struct endpoint at = { 0 };
	uint64_t port;
	char *colon;

	if (!s.n || s.n >= sizeof(text) || memchr(s.p, '\0', s.n))
		return -EINVAL;
	memcpy(text, s.p, s.n);
	colon = strrchr(text, ':');
	if (!colon || colon == text || parse_u64(str_c(colon + 1), UINT16_MAX, &port) || !port)
		return -EINVAL;
	*colon = '\0';
	at.port = (uint16_t)port;
	at.family = text[0] == '[' ? AF_INET6 : AF_INET;
	if (at.family == AF_INET6) {
		if (colon[-1] != ']')
			return -EINVAL;
		colon[-1] = '\0';
	}
	if (inet_pton(at.family, text + (at.family == AF_INET6), at.address) != 1 ||
	    (at.family == AF_INET6 && (IN6_IS_ADDR_V4MAPPED((struct in6_addr *)at.address) || IN6_IS_ADDR_V4COMPAT((struct in6_addr *)at.address))))
		return -EINVAL;
	endpoint_format(again, &at); /* one spelling each, signs, zeros and all */
	if (strlen(again) != s.n || memcmp(again, s.p, s.n))
		return -EINVAL;
	*ret = at;
	return 0;
}

bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
	return a->family == b->family && a->port == b->port && !memcmp(a->address, b->address, sizeof(a->address));
}

bool endpoint_is_far(const struct endpoint *at)
{
	const struct in6_addr *v6 = (const struct in6_addr *)at->address;
	const uint8_t *v4 = at->address;

	if (at->family == AF_INET)
		return v4[0] && v4[0] != 127 && v4[0] < 224 && !(v4[0] == 169 && v4[1] == 254);
	return at->family == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(v6) && !IN6_IS_ADDR_LOOPBACK(v6) && !IN6_IS_ADDR_LINKLOCAL(v6) &&
	       !IN6_IS_ADDR_MULTICAST(v6);
}
