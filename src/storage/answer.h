/* What a run of `disk` or `disk-keys` says: one line of JSON on its standard output. Who reads it trusts nothing in it: a probe has read what
 * strangers wrote, and what it says may be theirs. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "storage/care.h"
#include "storage/escrow.h"
#include "storage/smart.h"

#include <stdbool.h>

enum {
	ANSWER_MAX = 4096,      /* bytes of the line */
	ANSWER_TEXT_MAX = 300,
	ANSWER_UUID_SIZE = 37,
	ANSWER_FARM_SIZE = 60,
};

enum answer_outcome {
	ANSWER_BLANK,      /* nothing is on it */
	ANSWER_FOREIGN,    /* text: what */
	ANSWER_OURS,       /* uuid */
	ANSWER_UNFINISHED, /* our mark from before it was finished */
	ANSWER_DONE,       /* what was to be done is; unlock: is_rotational, key, escrow; mount, check, scrub: care; escrow: escrow */
	ANSWER_FAILED,     /* text: why, and what would help; unlock: escrow */
	ANSWER_OUTCOMES,
};

/* What keeps the key of a disk. */
enum answer_key { ANSWER_KEY_NONE, ANSWER_KEY_DISK, ANSWER_KEY_TPM, ANSWER_KEYS };
extern const char *const answer_key_names[ANSWER_KEYS + 1]; /* ends with NULL */

struct answer {
	enum answer_outcome outcome;
	char text[ANSWER_TEXT_MAX]; /* printable ASCII */
	char uuid[ANSWER_UUID_SIZE];
	bool is_rotational;
	enum answer_key key;
	bool has_care;
	struct care care;
	struct smart smart; /* smart */
	struct escrow escrow;
};

/* -EBADMSG. The outcomes that need text or uuid have it. */
MUST_CHECK int answer_decode(struct str line, struct answer *ret, struct err *e);
/* What is not printable in text becomes '?'. */
MUST_CHECK int answer_encode(const struct answer *a, struct buf *ret);

/* 8-4-4-4-12 lower-case hexadecimal digits: safe as a file's name. */
bool answer_uuid_ok(struct str s);
