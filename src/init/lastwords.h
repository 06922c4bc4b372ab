/* What a kernel wrote into the machine's pstore when it died, read at the next start. One file is one part of one dump: "Panic#2 Part3", then
 * lines; part 1 holds the last lines (fs/pstore/platform.c of the kernel). Pure. */
#pragma once
#include "base/str.h"

#include <stdint.h>

enum { LASTWORDS_REASON_MAX = 32 };

struct lastwords {
	char reason[LASTWORDS_REASON_MAX]; /* "Panic", "Oops" */
	uint64_t count, part;              /* which dump since that start; which part of it */
	struct str lines;                  /* borrowed */
};

/* False: not such a file. */
bool lastwords_parse(struct str text, struct lastwords *ret);

/* Older lines first: <0, 0, >0 as qsort(3) wants it. */
int lastwords_order(const struct lastwords *a, const struct lastwords *b);

/* A line without its level and time: "<4>[   12.345678] text". */
struct str lastwords_text(struct str line);

/* Whether the line says why the kernel died. */
bool lastwords_is_why(struct str text);
