#include "line/reach.h"

#include "test/t.h"

#include <string.h>

static void addresses_are_taken_apart(void)
{
	static const struct {
		const char *url;
		int r;
		const char *host, *port;
	} rows[] = {
		{ "nats://hub.example:4222", 0, "hub.example", "4222" },
		{ "tls://10.0.0.1:443,tls://10.0.0.2:443", 0, "10.0.0.1", "443" },
		{ "nats://[2001:db8::1]:4222", 0, "2001:db8::1", "4222" },
		{ "nats://hub", -EINVAL, "", "" },
		{ "nats://:4222", -EINVAL, "", "" },
		{ "nats://hub:", -EINVAL, "", "" },
		{ "nats://hub:123456789", -EINVAL, "", "" },
		{ "", -EINVAL, "", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char host[256] = "", port[8] = "";
		int r = reach_parse(rows[i].url, host, port);

		T_CHECK(r == rows[i].r && !strcmp(host, rows[i].host) && !strcmp(port, rows[i].port),
			"'%s': %d '%s' '%s'", rows[i].url, r, host, port);
	}
}

int main(void)
{
	T_RUN(addresses_are_taken_apart);
	return T_END();
}
