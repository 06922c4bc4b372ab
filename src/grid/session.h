/* Encrypted sessions between two keys through a hub, and the streams in them, as descriptors.
 *
 * A grid is one process' place on a hub; it owns its sessions. A session pointer is good until its `closed` callback has
 * returned or session_close() was called. Every stream is one descriptor of the caller's: what is read from it goes to the
 * other side, what comes is written to it, an end of file travels as a half-close, and the descriptor is closed when both
 * directions have ended. Nothing is ever queued beyond link.h's and mux.h's windows: a slow reader slows its stream.
 * One thread: the one that runs the sd_event. Callbacks never come from within a call into this file, and may call
 * everything but grid_free(). */
#pragma once
#include "grid/hub.h"
#include "ident/tls.h"

enum {
	GRID_SESSIONS_MAX = 128,
	GRID_HALF_OPEN_MAX = 16,     /* of these, how many may be in their handshake as servers */
	GRID_HANDSHAKE_MS = 10000,
	GRID_HANDSHAKE_MIN_MS = 1000, /* so long nobody loses a place in the handshake to who comes later */
	GRID_LINGER_MS = 5000,       /* to say good-bye */
	GRID_UNREAD_MS = 10000,      /* session_pace(): to take something of the answers */
	GRID_UPDATES_MAX = 64,       /* changes of keys that the other side makes unasked in GRID_UPDATES_MS: each costs both sides more */
	GRID_UPDATES_MS = 10000,     /* than the few bytes it takes. At GRID_REKEY that many carry 64 GiB */
};

/* When the keys of a session change: so many bytes after they were new, or so long after when there was a byte at all. */
struct grid_rekey {
	uint64_t bytes, ms;
};
#define GRID_REKEY { .bytes = 1ull << 30, .ms = 3600 * 1000 }

struct grid;
struct session;

struct session_callbacks {
	void (*ready)(void *userdata, struct session *s);                  /* dialling: the handshake is done. May be NULL */
	void (*stream)(void *userdata, struct session *s, uint32_t id);    /* the other side opened one. May be NULL */
	void (*closed)(void *userdata, struct session *s, const char *why); /* a sentence */
	void *userdata;
};

/* PEER is a raw Ed25519 public key that has proved itself. 0 keeps the session, after session_set_callbacks(); a negative
 * number refuses it. */
typedef int grid_accept_fn(void *userdata, struct session *s, const uint8_t peer[static 32]);

/* CB's `writable` is not used. Returns owned. */
MUST_CHECK int grid_new(sd_event *event, const struct hub_options *o, const struct hub_callbacks *cb, struct grid **ret, struct err *e);
void grid_free(struct grid *g); /* breaks all sessions off, without callbacks */
struct hub *grid_hub(struct grid *g); /* borrowed */
void grid_set_rekey(struct grid *g, const struct grid_rekey *r); /* GRID_REKEY otherwise */

MUST_CHECK int grid_listen(struct grid *g, const struct key *own, grid_accept_fn *fn, void *userdata, struct err *e);

/* PEER_HUB_KEY (U...) is where the other side listens, EXPECTED its raw public key. `ready` or `closed` follows. */
MUST_CHECK int session_dial(struct grid *g, const char *peer_hub_key, const struct key *own, const uint8_t expected[static 32],
			    const struct session_callbacks *cb, struct session **ret, struct err *e);
void session_set_callbacks(struct session *s, const struct session_callbacks *cb);

/* Both take FD, also on failure. A pipe's user ignores SIGPIPE. Stream 0 is there once the session is ready. */
MUST_CHECK int session_attach(struct session *s, uint32_t id, int fd, struct err *e);
MUST_CHECK int session_open_stream(struct session *s, int fd, uint32_t *ret_id, struct err *e);

/* Stream ID, which has a descriptor, carries calls, each of which is answered: more of what comes waits while answers wait, so that whoever
 * calls and reads nothing costs no more than the windows; after GRID_UNREAD_MS of that the session ends. */
void session_pace(struct session *s, uint32_t id);
/* What has come of such calls without their end, which is a byte of zero, may be N bytes in all; beyond that (and what was under way) the session
 * ends. 0 = any number. */
void session_calls_max(struct session *s, size_t n);

/* What was read from the descriptors is still sent; the descriptors are closed now; no callback follows. */
void session_close(struct session *s);
/* At once, nothing more is sent; the other side hears that no more sessions are taken. No callback follows. */
void session_refuse(struct session *s);

/* ident_tls_export() of an open session: both sides get the same 32 bytes for the same LABEL and CONTEXT. -ENOTCONN, -EPROTO. */
MUST_CHECK int session_export(const struct session *s, const char *label, const void *context, size_t n, uint8_t ret[static 32], struct err *e);

/* How many streams have a descriptor. */
unsigned session_streams(const struct session *s);
struct tls_updates session_updates(const struct session *s);
