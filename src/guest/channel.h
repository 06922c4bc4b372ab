/* The guest's end of the channel to its runner: doc/guest-channel.md. Ports are files that appear a moment after the device. */
#pragma once
#include "sys/guest_wire.h"

enum { CHANNEL_WAIT_MS = 10000 };

/* Opens port NUMBER as soon as it is there and the runner is connected. */
MUST_CHECK int channel_open(unsigned number, int flags, int *ret_fd, struct err *e);

/* Waits for the config; RET points into ROOM. */
MUST_CHECK int channel_config(int fd, struct buf *room, struct guest_config *ret, struct err *e);

/* The number of the next signal the runner asks for: >0, or negative. */
int channel_signal(int fd);

void channel_ready(int fd);
void channel_failed(int fd, const char *sentence);
void channel_exit(int fd, unsigned status, bool oom);
