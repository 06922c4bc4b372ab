/* Where packets go to: an address and a port, and the text of both: 192.0.2.1:51820 or [2001:db8::1]:51820. */
#pragma once
#include "base/cleanup.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { ENDPOINT_TEXT_SIZE = 56 };

struct endpoint {
	int family;          /* AF_INET, AF_INET6; 0 = none */
	uint8_t address[16]; /* network byte order; of IPv4 the first four, the rest is zero */
	uint16_t port;       /* host byte order */
};

/* -EINVAL: neither form, port 0, an address written otherwise than endpoint_format() writes it, or an IPv4 address inside an IPv6 one. */
MUST_CHECK int endpoint_parse(struct str s, struct endpoint *ret);
void endpoint_format(char ret[static ENDPOINT_TEXT_SIZE], const struct endpoint *at);
bool endpoint_eq(const struct endpoint *a, const struct endpoint *b);

/* Whether another machine may say that it is there: no loopback, link-local, multicast, broadcast or unspecified address, on which this machine or its
 * neighbours would hear what is meant for the other. */
bool endpoint_is_far(const struct endpoint *at);
