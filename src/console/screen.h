/* From a snapshot to rows of characters with styles, and from two screens to the bytes that turn one into the other.
 * Pure.
 *
 * The screen has rows of fixed width, filled with spaces. What does not fit into the height goes by rank: rows that
 * tell least first. While there is a diagnosis, the right part of the screen is its code, as large a one as fits. */
#pragma once
#include "console/snapshot.h"

enum { SCREEN_COLS_MAX = 160, SCREEN_ROWS_MAX = 60, SCREEN_COLS_MIN = 40, SCREEN_ROWS_MIN = 8 };
enum { SCREEN_KERNEL_ROWS = 3, SCREEN_KERNEL_FROM = 20 }; /* the lowest rows are the kernel's, on screens of so many */

enum screen_style {
	SCREEN_PLAIN,
	SCREEN_LABEL,
	SCREEN_STRONG,
	SCREEN_GOOD,
	SCREEN_WARN,
	SCREEN_BAD,
	SCREEN_TITLE,
	SCREEN_ALARM,
	SCREEN_CODE, /* dark on light; '^', '_' and '#' stand for the dark upper, lower and whole block */
	SCREEN_STYLES,
};

struct screen_row {
	char text[SCREEN_COLS_MAX + 1]; /* printable ASCII, as wide as the screen */
	uint8_t style[SCREEN_COLS_MAX];
};
struct screen {
	unsigned width, height; /* height 0 = nothing is on the terminal yet */
	struct screen_row rows[SCREEN_ROWS_MAX];
};

/* Sizes outside the limits are brought inside. */
void screen_draw(struct screen *ret, const struct snapshot *s, unsigned width, unsigned height);

/* Appends what turns a terminal that shows BEFORE into one that shows AFTER: the rows that differ, everything when the
 * sizes do. The cursor stays where whoever else writes there (the kernel) has it: in the lowest rows, which scroll by
 * themselves. */
void screen_diff(const struct screen *before, const struct screen *after, struct buf *ret);

/* Appends the same as plain lines for a log, each with PREFIX and "\r\n". */
void screen_block(const struct snapshot *s, const char *prefix, struct buf *ret);

/* Why the node is not on its hub number I, in words for whoever stands in front of it; the nearest cause first. */
const char *screen_why(const struct snapshot *s, size_t i);
