/* Calls of owners and farmers: each a signed order, which gridd carried here and which is verified here whatever gridd says. */
#pragma once
#include "node/line.h"
#include "node/meet.h"
#include "node/nonces.h"
#include "node/relays.h"
#include "storage/storage.h"

struct serve {
	struct engine *engine;
	struct storage *storage;
	struct nonces nonces;
	struct line line;
	struct meet meet;
	struct relaying relaying;
	sd_varlink_server *server;
};
#define SERVE_NONE { .nonces = NONCES_NONE, .meet = MEET_NONE, .relaying = RELAYING_NONE }

/* Listens on SOCKET; takes orders once its nonces have a file. RET is to be released whatever is returned. */
extern const struct json_table serve_order_table; /* arguments of zos.Order.Call */
MUST_CHECK int serve_init(struct serve *ret, struct engine *engine, struct storage *storage, const char *socket, struct err *e);
void serve_deinit(struct serve *s);
