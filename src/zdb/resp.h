/* RESP2, the protocol of redis: commands in, replies out. Pure; what a client sends is bounded here. */
#pragma once
#include "base/buf.h"
#include "zdb/record.h"

enum {
	RESP_WORDS_MAX = 1024,           /* of a command */
	RESP_WORD_MAX = RECORD_PAYLOAD_MAX,
	RESP_COMMAND_MAX = RECORD_PAYLOAD_MAX + (64 << 10), /* bytes of one command */
	RESP_INLINE_MAX = 64 << 10,
};

struct resp_command {
	struct str words[RESP_WORDS_MAX]; /* borrowed from what was parsed */
	size_t n; /* 0: an empty line, which is no command and has no answer */
};

/* The command at the front of IN, and how many bytes it has. RESP_MORE: it is not all there, and can be no sooner than when there are RET_BYTES.
 * -EBADMSG: what is there is none and nothing behind it can be trusted; RET_WHY says what. */
enum { RESP_MORE = 1 };
MUST_CHECK int resp_parse(struct str in, struct resp_command *ret, size_t *ret_bytes, const char **ret_why);

void resp_simple(struct buf *b, const char *text); /* +OK */
void resp_error(struct buf *b, const char *text);  /* -Key not found */
void resp_number(struct buf *b, int64_t n);
void resp_bulk(struct buf *b, struct str s);
void resp_bulk_head(struct buf *b, size_t n); /* N bytes and "\r\n" are to follow */
void resp_nil(struct buf *b);
void resp_array(struct buf *b, size_t n); /* N replies are to follow */
