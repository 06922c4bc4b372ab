/* The relay: takes datagrams on its ports and passes them on as the pairs say (pairs.h), and hears from the engine which pairs there are.
 *
 * Its sockets are made in the node's namespace while it may still do that; it then lives in one where there is nothing. One owner, the loop's thread. */
#pragma once
#include "relay/pairs.h"

#include <systemd/sd-event.h>
#include <systemd/sd-varlink.h>

#define RELAY_DIR "/run/zos/relay"
#define RELAY_SOCKET RELAY_DIR "/sock"
#define RELAY_TABLE RELAY_DIR "/pairs"

struct relayd;
struct relay_port {
	struct relayd *relayd;
	int fd;
	sd_event_source *source;
};
struct relayd {
	sd_event *event;
	struct relay_pairs *pairs; /* a file, mapped */
	struct relay_port ports[RELAY_PORTS];
	sd_varlink_server *server;
};
#define RELAYD_NONE { .pairs = NULL }

/* For the engine: {node, ask}, the order's signer and its arguments; answers with what CALL_RELAY answers. */
#define RELAY_HOLD "zos.Relay.Hold"
/* {pairs, datagrams, bytes, dropped}: since the node's start. */
#define RELAY_COUNT "zos.Relay.Count"
extern const struct json_table relayd_hold_table;

/* RET is to be released whatever is returned. Needs CAP_NET_ADMIN for buffers of the right size, and does with less without it. */
MUST_CHECK int relayd_ports_open(struct relayd *ret, struct err *e);
/* Takes the pairs of the file at TABLE, made if it is absent; listens on SOCKET. */
MUST_CHECK int relayd_init(struct relayd *d, sd_event *event, const char *table, const char *socket, struct err *e);
void relayd_deinit(struct relayd *d);
