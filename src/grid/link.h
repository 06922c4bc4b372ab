/* One session's byte stream over messages that may be lost, doubled, late or out of order. No I/O, no clock.
 *
 * Frames and the time go in, frames come out; the same code runs in the daemons and in the simulation. Each side keeps
 * what the other has not acknowledged (at most a window) and goes back to where the other stands when told of a gap,
 * so a hub may die and come back under a session. Owned by its session, one thread. See doc/wire-session.md. */
#pragma once
#include "grid/frame.h"
#include "grid/ring.h"

enum {
	LINK_WINDOW = 256 << 10,  /* bytes in flight, and bytes held for the reader, at most */
	LINK_ASK_MS = 250,        /* first question after something went unanswered; doubles up to LINK_ASK_MAX_MS */
	LINK_ASK_MAX_MS = 2000,
	LINK_ACK_MS = 50,         /* an acknowledgement waits this long for data to ride on */
	LINK_SYNC_MS = 100,       /* a gap is reported at most this often */
	LINK_IDLE_MS = 10000,     /* sign of life when there is nothing to say */
	LINK_DEAD_MS = 30000,     /* silence that ends the session */
	LINK_ABSENT_MS = 1000,    /* opening: the hub says that nobody is there for this long */
	LINK_GONE_MS = 10000,     /* later: longer than a dialler takes to come back to the hub */
};

enum link_state { LINK_OPENING, LINK_UP, LINK_CLOSED };

/* Why a link is closed; sent in RESET, so the numbers are part of the format. */
enum link_end {
	LINK_END_CLEAN,    /* both sides finished and know it */
	LINK_END_UNKNOWN,  /* the other side has no such session (any more) */
	LINK_END_REFUSED,  /* the other side takes no more sessions now */
	LINK_END_ABORTED,  /* the other side broke it off */
	LINK_END_SILENT,   /* local: nothing heard for LINK_DEAD_MS */
	LINK_END_ABSENT,   /* local: nobody listens there */
	LINK_ENDS,
};
const char *link_end_text(enum link_end end); /* half a sentence: "the other side ..." */

struct link {
	enum link_state state;
	enum link_end end;
	uint64_t session;
	bool is_dialer;

	/* outgoing: bytes [una, una + out.len) are kept; next is what goes out next, top the highest ever sent */
	struct ring out;
	uint64_t una, next, top, peer_limit;
	bool finishing, fin_acked;

	/* incoming: bytes before got have arrived, the last in.len of them are unread */
	struct ring in;
	uint64_t got, told_ack, told_limit;
	bool fin_got;

	bool owe_credit, owe_sync, owe_ask, owe_reset;
	uint64_t ask_wait_ms, ask_at_ms, ack_at_ms, sync_at_ms, heard_ms, said_ms, absent_ms;
	uint64_t doubt_ms; /* since when it may be gone; 0 = not in doubt */
};

/* Takes no memory before bytes come. SESSION is random and not 0. */
void link_init(struct link *l, bool is_dialer, uint64_t session, uint64_t now_ms);
void link_deinit(struct link *l);

/* A message for this session: F decoded from it, DATA its F->len payload bytes. */
void link_input(struct link *l, const struct frame *f, const void *data, uint64_t now_ms);

/* The next message to send, with payload, into RET; its size, or 0 when there is none now. */
MUST_CHECK size_t link_output(struct link *l, uint8_t ret[static FRAME_MAX], uint64_t now_ms);

/* Bytes of the stream: how many were taken, given. */
size_t link_write(struct link *l, const void *p, size_t n);
size_t link_read(struct link *l, void *ret, size_t n);
size_t link_room(const struct link *l);         /* what link_write() would take */
bool link_ended(const struct link *l);          /* all was read and the other side has finished */

void link_finish(struct link *l);               /* nothing more will be written */
void link_abort(struct link *l, enum link_end end); /* closed at once; one RESET goes out */
void link_tick(struct link *l, uint64_t now_ms);    /* at link_due_ms() or later */
void link_kick(struct link *l, uint64_t now_ms);    /* the hub is back: ask where the other stands */
void link_absent(struct link *l, uint64_t now_ms);  /* the hub says that nobody listens there */
void link_doubt(struct link *l, uint64_t now_ms);   /* the hub says that somebody has gone, and not who */

/* When link_tick() wants to be called; UINT64_MAX = never. */
uint64_t link_due_ms(const struct link *l);
