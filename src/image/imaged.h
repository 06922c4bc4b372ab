/* imaged: pulls, verifies, converts and caches images for the engine, as zos.Image.Pull on a Unix socket.
 *
 * This process reads its own clients and the lines of its own children, nothing from outside. Each pull is a child that may block;
 * the same pull asked for twice is one child; a child whose last client has gone is ended. */
#pragma once
#include "image/cache.h"
#include "svc/daemon.h"

enum {
	IMAGED_PULLS_MAX = 256,    /* waiting and running */
	IMAGED_CLIENTS_MAX = 64,   /* of one pull */
	IMAGED_OWNER_PULLS_MAX = 64, /* of one owner, waiting and running */
	IMAGED_OWNER_RUNS_MAX = 4, /* running: slots are left for others, however slow a registry is */
};

struct imaged_options {
	const char *socket, *cache, *mkfs;
	uint64_t limit_bytes; /* what the layers may take; 0 = image_limit_default() */
	uint32_t stall_s;     /* a pull that moves nothing for so long is ended */
};

struct pull;
struct imaged {
	sd_event *event;
	sd_varlink_server *server;
	struct imaged_options o;
	struct cache cache;
	struct pull *pulls;      /* oldest first */
	unsigned slots;          /* a set: those in use */
};
#define IMAGED_NONE { 0 }

/* Arguments of its calls. */
extern const struct json_table imaged_pull_table, imaged_push_table, imaged_prune_table, imaged_release_table;

/* Listens, then enters the sandbox. */
MUST_CHECK int imaged_init(struct imaged *d, sd_event *event, const struct imaged_options *o, struct err *e);
void imaged_deinit(struct imaged *d);
