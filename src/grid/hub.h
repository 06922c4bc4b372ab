/* One participant's connection to a hub (a NATS server or a cluster of them), driven by sd-event.
 *
 * The hub is trusted with delivery only. Each process shows it a key of its own, made at random: the hub chooses the nonce
 * that key signs, so no identity ever meets it. Messages are at most once: whoever needs more builds it on top (link).
 * libnats has threads; they only touch a private epoll and counters, every callback here runs in the loop's thread.
 * Subjects: n.<key>.i (who listens), n.<key>.d.<session> (who dials), n.<key>.r.<token> (answers). */
#pragma once
#include "grid/addr.h"

#include <systemd/sd-event.h>

enum {
	HUB_SUBJECT_MAX = 160,
	HUB_SUBS_MAX = 80,
	HUB_REQUESTS_MAX = 256,
	HUB_BUFFERED_MAX = 1 << 20, /* bytes waiting for the hub's socket, beyond which hub_publish() says -EAGAIN */
	HUB_PAYLOAD_MAX = 256 << 10,
};

struct hub;

/* Half of the wait before a reconnect is random; a large grid asks for more. */
struct hub_options {
	struct hub_addr addr;
	unsigned reconnect_ms;    /* 0 = 500 */
};

struct hub_callbacks {
	void (*state)(void *userdata, bool is_up, const char *why); /* WHY: why it is down, a sentence; NULL when up */
	void (*writable)(void *userdata);                           /* after hub_publish() said -EAGAIN */
	void *userdata;
};

/* DATA is borrowed for the call. NOBODY: a message published with this subject as its reply found nobody. */
typedef void hub_message_fn(void *userdata, const char *reply, const void *data, size_t n, bool nobody);

/* R: 0, -ETIMEDOUT, -ENOTCONN (the hub went away). STATUS: 0, or what the hub says instead of an answer (404 ...). */
typedef void hub_reply_fn(void *userdata, int r, unsigned status, struct str body);

/* Never blocks; the first attempt to connect is under way when it returns. Returns owned. Not to be freed from a callback. */
MUST_CHECK int hub_new(sd_event *event, const struct hub_options *o, const struct hub_callbacks *cb, struct hub **ret, struct err *e);
void hub_free(struct hub *h); /* waits for libnats, up to two seconds when a connection attempt is under way */

/* The network has changed: where the hub has not been reached yet, the next attempt is due now. */
void hub_nudge(struct hub *h);

const char *hub_key(const struct hub *h); /* U..., what peers call this process by */
bool hub_is_up(const struct hub *h);

/* SUBJECT must lie under n.<key>. Lasts until removed. Returns a number >= 0, or -EMFILE. */
MUST_CHECK int hub_subscribe(struct hub *h, const char *subject, hub_message_fn *fn, void *userdata);
void hub_unsubscribe(struct hub *h, int sub);

/* REPLY may be NULL. 0, -EAGAIN (too much waits: writable() follows), -ENOTCONN, -EMSGSIZE. */
MUST_CHECK int hub_publish(struct hub *h, const char *subject, const char *reply, const void *data, size_t n);

/* Would hub_publish() take a message? When not because too much waits, writable() follows. */
bool hub_has_room(struct hub *h);

/* FN is called exactly once, later, unless this returns -EAGAIN (too many or too much), -ENOTCONN or -EMSGSIZE. */
MUST_CHECK int hub_request(struct hub *h, const char *subject, struct str data, uint64_t timeout_ms, hub_reply_fn *fn, void *userdata);
/* Forgets all requests with this USERDATA without calling them. */
void hub_cancel(struct hub *h, void *userdata);

/* Ends libnats' threads, before the process ends: all hubs are freed. */
void hub_library_close(void);
