/* What a service says of itself: the datagrams of sd_notify(3), as far as init needs them. Pure. */
#pragma once
#include "base/str.h"

enum { NOTIFY_MAX = 4096 };

struct notify {
	bool is_ready, is_stopping;
	struct str status; /* borrowed from the datagram; p NULL when it says nothing */
};

/* Unknown assignments are allowed by the protocol and passed over. -EBADMSG: no text at all, or one with a NUL. */
int notify_parse(struct notify *ret, struct str datagram);
