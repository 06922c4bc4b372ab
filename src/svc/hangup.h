/* Ends a stream whose other side may still be sending, so that it hears what was said last.
 *
 * Closing a socket with unread bytes in it resets it, and what was on its way to the other side is lost. */
#pragma once
#include "base/err.h"

#include <systemd/sd-event.h>

/* Takes FD. Says that no more comes, and drops what still arrives until the other side has ended too, or HANGUP_S have passed. */
enum { HANGUP_S = 10 };
void hangup_begin(sd_event *event, int fd);
