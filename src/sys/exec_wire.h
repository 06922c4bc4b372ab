/* What the two ends of an exec session say to each other, in one stream: doc/exec.md. A pure codec.
 *
 * One end is the caller (the client, and the runner on its way), the other serves: it has the program. The same frames travel from the
 * client to the runner and from the runner into a virtual machine; START alone is the runner's own. */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

enum {
	EXEC_HEAD = 4,
	EXEC_DATA_MAX = 16384,    /* bytes of a frame's payload */
	EXEC_WINDOW = 64 << 10,   /* bytes of input under way before CREDIT allows more */
	EXEC_WORD_MAX = 200,      /* bytes of FAILED */
	EXEC_ARGS_MAX = 256,
	EXEC_SESSIONS_MAX = 8,    /* at once in one machine */
	EXEC_STATUS_FAILED = 125, /* the program never ran */
};

enum exec_type {
	EXEC_STDIN = 1,  /* bytes, within the window */
	EXEC_EOF = 2,    /* nothing: no more input */
	EXEC_RESIZE = 3, /* u16 rows, u16 columns */
	EXEC_SIGNAL = 4, /* u32, 1 to 64 */
	EXEC_HANGUP = 5, /* nothing: the caller is gone */
	EXEC_START = 6,  /* struct exec_program */
	EXEC_OUT = 16,   /* bytes */
	EXEC_ERR = 17,   /* bytes */
	EXEC_CREDIT = 18, /* u32: so many bytes of input were taken */
	EXEC_EXIT = 19,  /* u32, 0 to 255; the last frame */
	EXEC_FAILED = 20, /* printable ASCII: it never ran, and why; the last frame */
	EXEC_TOTAL = 21, /* u64: so many bytes of OUT will come in all */
};
enum exec_from { EXEC_FROM_CALLER, EXEC_FROM_RUNNER, EXEC_FROM_SERVER, EXEC_FROM_ARCHIVE }; /* who may say what; the last: doc/volume-archive.md */

struct exec_program { /* borrowed; texts are never NULL */
	bool tty;
	uint32_t rows, cols;                     /* of the terminal; 0 = not known */
	const char *user, *workdir, *term;       /* "" = the machine's own; none */
	const char *argv[EXEC_ARGS_MAX + 1];     /* ends with NULL */
};

struct exec_frame {
	enum exec_type type;
	struct str data;  /* STDIN, OUT, ERR, START, FAILED: borrowed from the ear until its next take */
	uint32_t a, b;    /* rows and columns; signal; credit; status; low and high half of the total */
};

/* All append one frame. DATA of any length becomes as many frames as it takes. */
void exec_put_data(struct buf *ret, enum exec_type type, struct str data);
void exec_put(struct buf *ret, enum exec_type type, uint32_t a, uint32_t b);
void exec_put_failed(struct buf *ret, const char *sentence); /* made printable, cut */
MUST_CHECK int exec_put_start(struct buf *ret, const struct exec_program *p, struct err *e); /* -E2BIG */
/* The frame as it was taken. */
void exec_put_frame(struct buf *ret, const struct exec_frame *f);

/* From START's data, into which RET then points. -EBADMSG. */
MUST_CHECK int exec_start_decode(struct str data, struct exec_program *ret);

struct exec_ear {
	enum exec_from from;
	uint8_t bytes[EXEC_HEAD + EXEC_DATA_MAX];
	size_t n;       /* bytes of a frame that has not arrived whole */
	bool taken;     /* the frame in BYTES was handed out */
	bool over;      /* EXIT or FAILED was heard, or nonsense */
};

/* Bytes up to the end of the head, or of the frame, that is arriving. Who reads no more than that at once leaves what comes behind HANGUP to the
 * next session. */
size_t exec_ear_wants(const struct exec_ear *ear);

enum { EXEC_EAR_MORE = 0, EXEC_EAR_FRAME = 1 };
/* Takes bytes off the front of *P, up to the end of one frame. MORE when all are taken, FRAME with *RET, -EBADMSG for what FROM never
 * says, and for ever after it and after the last frame. */
MUST_CHECK int exec_ear_take(struct exec_ear *ear, struct str *p, struct exec_frame *ret);
