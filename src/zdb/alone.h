/* A store that a person serves: with hooks, in the background, with a log of its own, as they ask for. */
#pragma once
#include "zdb/server.h"

struct alone {
	const char *admin, *hook, *logfile; /* NULL = none */
	struct store_options store;
	struct server_options server;
	uint64_t max_bytes; /* of the default namespace; 0 = no limit */
	uint32_t instance;
	bool is_protected, in_background;
};

/* Serves until a signal ends it. In the background this returns at once in the process that was started, when clients can come. */
MUST_CHECK int alone_serve(const struct alone *a, struct err *e);
