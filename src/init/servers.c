#include "init/servers.h"

#include <arpa/inet.h>
#include <stdio.h>

static bool is_address(const char *text)
{
	struct in6_addr any;

	return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

void servers_add(struct buf *ret, const char *word, const char *more, const char *list, const char *interface)
{
	struct str rest = { list, list ? strlen(list) : 0 }, one;
	unsigned n = 0;

	while (n < SERVERS_MAX && str_next(&rest, ' ', &one)) {
		char text[INET6_ADDRSTRLEN];

		if (one.n >= sizeof(text))
			continue;
		snprintf(text, sizeof(text), STR_FMT, STR_ARG(one));
		if (!is_address(text))
			continue;
		buf_addf(ret, "%s %s%s%s%s\n", word, text, strncmp(text, "fe80:", 5) ? "" : "%", strncmp(text, "fe80:", 5) ? "" : interface, more);
		n++;
	}
}
