/* Whatever HAProxy says, what it is told for it is whole commands of those that there are, on one line. */
#include "gateway/steer.h"

#include <arpa/inet.h>
#include <stdlib.h>

static const char *const commands[] = { "add server ",    "add map ",    "del map ",
					"del server ",    "set map ",    "enable health ",
					"enable server ", "set server ", "shutdown sessions server " };

static bool is_known(struct str command)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (str_starts(command, str_c(commands[i])))
			return true;
	return !command.n;
}

static void want(struct routes *r, const char *fqdn, bool tls)
{
	struct route *one = &r->list[r->n++];

	*one = (struct route){ .device = "gl3", .tls_passthrough = tls, .n_backends = 1, .backends = { { AF_INET, { 10, 20, 1, 5 }, 80 } } };
	memcpy(one->fqdn, fqdn, strlen(fqdn) + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_SEEN struct haproxy_seen seen = { 0 };
	AUTO_BUF struct buf out = { 0 };
	static struct routes wanted;
	struct str rest, command;
	struct err e;

	if (haproxy_seen_parse((struct str){ (const char *)data, n }, &seen, &e))
		return 0;
	wanted.n = 0;
	want(&wanted, "www.example.org", false);
	want(&wanted, "b.example.org", true);
	(void)!steer(&wanted, &seen, &out, &e);
	rest = buf_str(&out);
	if (out.len && (memchr(out.p, '\n', out.len) || out.p[out.len - 1] != ';' || out.len > STEER_TEXT_MAX))
		abort();
	while (str_next(&rest, ';', &command))
		if (!is_known(command))
			abort();
	return 0;
}
