/* console: what whoever stands in front of the machine sees. It follows the engine (zos.Console.Watch) and the network
 * cards, draws the screen, and writes a block of lines to the serial line when what they say has changed. It reads no
 * input at all. */
#pragma once
#include "console/screen.h"
#include "console/sink.h"

#include <systemd/sd-varlink.h>

enum {
	CONSOLE_TICK_MS = 10000,  /* times go on; a screen whose size changed is found */
	CONSOLE_BLOCK_MS = 10000, /* between two blocks on the serial line */
	CONSOLE_SETTLE_MS = 1000, /* changes that come together are one block */
	CONSOLE_DRAW_MS = 200,    /* ... and one drawing */
	CONSOLE_AGAIN_MS = 1000,  /* to look for an engine that is gone */
};

struct console {
	sd_event *event;
	const char *engine; /* its socket, borrowed */
	sd_varlink *link;   /* NULL = not connected */
	sd_event_source *tick, *draw, *block, *again, *cards;
	int cards_fd;
	struct sink screen, serial;
	struct screen shown;
	sd_json_variant *said; /* what the snapshot's texts point into */
	struct snapshot snapshot;
	struct buf told;  /* the last block, without times */
	uint64_t told_ms; /* 0 = never */
};
#define CONSOLE_NONE { .cards_fd = -1, .screen = SINK_NONE, .serial = SINK_NONE, .snapshot = SNAPSHOT_NONE }

/* SCREEN_FD and SERIAL_FD are borrowed; either may be no terminal, and SERIAL_FD may be the same terminal as the
 * screen, which is then left to the screen. RET is to be released whatever is returned. */
MUST_CHECK int console_init(struct console *ret, sd_event *event, const char *engine, int screen_fd, int serial_fd, struct err *e);
void console_deinit(struct console *c);
