/* The 40-byte header in front of every message of a session, as doc/wire-session.md has it.
 *
 * Nothing in it is authenticated: what it says is a hint, clamped by whoever uses it; TLS inside decides. The check sum is
 * against accidents: a library that fills a message which a dying hub cut off with bytes of the next connection, as libnats 3.10
 * does where it reconnects by itself, would have TLS take that for an attack and end. */
#pragma once
#include "base/cleanup.h"

#include <stdint.h>

enum frame_type { FRAME_OPEN = 1, FRAME_DATA, FRAME_CREDIT, FRAME_SYNC, FRAME_FIN, FRAME_RESET };
enum { FRAME_VERSION = 1, FRAME_HEAD = 40, FRAME_DATA_MAX = 32768, FRAME_MAX = FRAME_HEAD + FRAME_DATA_MAX };
enum { FRAME_ASK = 1 }; /* flag: answer this one */

struct frame {
	enum frame_type type;
	uint16_t flags;
	uint32_t len;     /* bytes behind the header; only DATA has any. RESET: the code */
	uint64_t session; /* random, chosen by who opens; never 0 */
	uint64_t offset;  /* DATA: place of the first byte; otherwise where the sender's stream stands */
	uint64_t ack;     /* all bytes before this one have arrived */
	uint64_t limit;   /* bytes from this one on may not be sent yet */
};

/* Writes the header of MSG; DATA's payload stands behind it already (the check sum covers it). */
void frame_encode(uint8_t *msg, const struct frame *f);

/* Decodes a whole message of N bytes; its payload starts at byte FRAME_HEAD. -EBADMSG for anything that
 * frame_encode() would not have written. */
MUST_CHECK int frame_decode(const void *p, size_t n, struct frame *ret);
