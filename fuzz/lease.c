/* The servers that a DHCP server or a router names, as dhcpcd hands them on. Whatever they are, what stands in resolv.conf and in the clock's list is at most three
 * lines of one address each. */
#include "base/cleanup.h"
#include "init/servers.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define WORD "nameserver "
#define MORE " iburst"

static bool is_line(struct str line)
{
	struct in6_addr any;
	char text[128];
	char *link;

	if (!str_starts(line, S(WORD)) || line.n >= sizeof(text) || line.n < strlen(WORD MORE))
		return false;
	memcpy(text, line.p + strlen(WORD), line.n - strlen(WORD));
	text[line.n - strlen(WORD)] = '\0';
	if (strcmp(text + line.n - strlen(WORD MORE), MORE) != 0)
		return false;
	text[line.n - strlen(WORD MORE)] = '\0';
	link = strchr(text, '%');
	if (link && (strcmp(link, "%eth0") != 0 || strncmp(text, "fe80:", 5) != 0))
		return false;
	if (link)
		*link = '\0';
	return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_FREE char *list = malloc(n + 1);
	AUTO_BUF struct buf b = { .limit = 4096 };
	struct str rest, line;
	unsigned n_lines = 0;

	if (!list)
		abort();
	memcpy(list, data, n);
	list[n] = '\0';
	servers_add(&b, "nameserver", MORE, list, "eth0");
	if (buf_check(&b))
		abort();
	for (rest = buf_str(&b); str_next(&rest, '\n', &line) && line.n; n_lines++)
		if (!is_line(line))
			abort();
	if (n_lines > SERVERS_MAX)
		abort();
	return 0;
}
