/* Clients of a store: one epoll loop. All commands that came in one turn are carried out, then what they wrote is made safe at once, then all
 * are answered (doc/zdb.md). One thread. */
#pragma once
#include "zdb/command.h"

enum {
	SERVER_CLIENTS_MAX = 16384,
	SERVER_TURN_BYTES = 1 << 20,         /* read from one client in a turn */
	SERVER_OUT_BYTES = 1 << 20,          /* of answers that wait for a client; more commands are not taken from it until they are gone */
	SERVER_IN_TOTAL_BYTES = 512 << 20,   /* of commands that are not whole yet, all clients together */
	SERVER_OUT_TOTAL_BYTES = 1024 << 20, /* of answers that wait, all together */
	SERVER_TIDY_MS = 5,                  /* between two steps of a compaction or a checkpoint */
	SERVER_TIDY_LOOK_MS = 1000,          /* between two looks for one, while something is written */
	SERVER_STALL_MS = 60000,             /* after which one that takes no answers is closed */
};

enum server_sync {
	SERVER_SYNC_ALWAYS, /* an answer says that it is on the disk */
	SERVER_SYNC_INTERVAL,
	SERVER_SYNC_NONE,
};

struct server_beside { /* something else that the loop looks at when FD can be read; RUN NULL = nothing */
	int fd;
	void (*run)(void *ctx);
	void *ctx;
};

struct server_options {
	const char *listen, *port, *socket; /* an address and a port, or the path of a Unix socket; NULL = not that */
	int listeners[2]; /* some that are there already (takes) */
	size_t n_listeners;
	uint64_t in_total_bytes, out_total_bytes; /* SERVER_IN_TOTAL_BYTES and SERVER_OUT_TOTAL_BYTES, or less */
	enum server_sync sync;
	uint32_t interval_s;
	uint32_t rotate_s; /* a data file is written for so long at most; 0 = until it is full */
	struct server_beside beside;
};

struct server;

/* Takes SHARED's store as it is; S stays the caller's. */
MUST_CHECK int server_new(struct shared *s, const struct server_options *o, struct server **ret, struct err *e);
void server_free(struct server *s);

/* Until STOP_FD can be read. */
MUST_CHECK int server_run(struct server *s, int stop_fd, struct err *e);
