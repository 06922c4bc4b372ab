/* Numbered streams with credit of their own, inside the TLS of one session. No I/O, no clock. See doc/wire-session.md.
 *
 * Stream 0 is there from the start. Both sides may open more: the server even numbers, the client odd ones, each in
 * order. Plain text goes in (mux_input) and comes out (mux_output); bytes of a stream wait in two queues of bounded size.
 * Anything that a correct peer would not send is an error that ends the session. Owned by its session, one thread. */
#pragma once
#include "base/err.h"
#include "grid/ring.h"

enum mux_type { MUX_OPEN = 1, MUX_DATA, MUX_CREDIT, MUX_EOF, MUX_RESET };
enum {
	MUX_HEAD = 8,             /* bytes: type, 0, length u16, stream u32 */
	MUX_DATA_MAX = 16376,     /* with its head one TLS record */
	MUX_FRAME_MAX = MUX_HEAD + MUX_DATA_MAX,
	MUX_STREAMS_MAX = 32,     /* at once, stream 0 included */
	MUX_FIRST = 32 << 10,     /* bytes that may be sent to a stream that nobody reads yet */
	MUX_WINDOW = 256 << 10,   /* bytes under way once somebody reads */
	MUX_OUT = 64 << 10,       /* bytes waiting to be sent, per stream */
};
enum { MUX_NO_STREAM = 1 };       /* outcome: gone, or never there */

struct mux_frame {
	enum mux_type type;
	uint16_t len; /* payload bytes */
	uint32_t stream;
	uint32_t credit; /* CREDIT only */
};
/* 0 with *ret_used bytes consumed by the head (and by CREDIT's payload), 1 = more bytes needed, or -EBADMSG. */
MUST_CHECK int mux_decode(const void *p, size_t n, struct mux_frame *ret, size_t *ret_used);
size_t mux_encode(uint8_t ret[static MUX_HEAD + 4], const struct mux_frame *f); /* without DATA's payload */

struct mux_stream {
	uint32_t id;
	bool used, reading, is_reset, is_broken, owe_open, owe_reset;
	bool eof_asked, eof_sent; /* our direction */
	bool eof_got;             /* theirs */
	uint64_t may_send;        /* credit left */
	uint64_t may_get;         /* what they may still send */
	uint64_t owe_credit;
	struct ring out, in;
};

struct mux {
	bool is_server;
	uint32_t next_mine, next_theirs;
	struct mux_stream streams[MUX_STREAMS_MAX];
	uint32_t refused[MUX_STREAMS_MAX]; /* opened by them while we were full */
	size_t n_refused, turn;
	uint8_t part[MUX_HEAD + 4]; /* a head that has not arrived whole */
	size_t n_part;
	uint32_t body_stream; /* DATA whose bytes are still arriving */
	size_t body_left;
};

void mux_init(struct mux *m, bool is_server);
void mux_deinit(struct mux *m);

MUST_CHECK int mux_input(struct mux *m, const void *p, size_t n, struct err *e); /* -EPROTO */
/* One frame for one TLS record; its size, or 0. */
MUST_CHECK size_t mux_output(struct mux *m, uint8_t ret[static MUX_FRAME_MAX]);

MUST_CHECK int mux_open(struct mux *m, uint32_t *ret); /* -EMFILE */
/* NULL when there is none. Borrowed until the next call that changes the mux. */
struct mux_stream *mux_find(struct mux *m, uint32_t id);

void mux_attend(struct mux_stream *s);                           /* somebody reads: the window opens */
size_t mux_write(struct mux_stream *s, const void *p, size_t n); /* how much was taken */
void mux_drop(struct mux_stream *s, size_t n);                   /* N bytes were read from s->in */
void mux_eof(struct mux_stream *s);                              /* we write no more */
void mux_reset(struct mux_stream *s);                            /* both directions end now, what waits is lost */
void mux_break(struct mux_stream *s);                            /* what waits is still sent, then a reset; what comes is lost */
void mux_cut(struct mux_stream *s);                              /* the other side is gone: what came can still be read */
bool mux_stream_done(const struct mux_stream *s);                /* both directions have ended and all was read */
void mux_forget(struct mux_stream *s);                           /* makes the place free; done streams only */
