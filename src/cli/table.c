#include "cli/table.h"

#include "base/str.h"

enum { GAP = 2, CELL_MIN = 8 }; /* characters */

#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define RED "\033[31m"
#define PLAIN "\033[0m"
#define ELLIPSIS "…"

static const struct {
	const char *word, *colour;
} colours[] = {
	{ "ok", GREEN },        { "ready", GREEN },    { "running", GREEN }, { "passing", GREEN },   { "yes", GREEN },       { "failed", RED },
	{ "failing", RED },     { "lost", RED },       { "gone", RED },      { "degraded", YELLOW }, { "retrying", YELLOW }, { "waiting", YELLOW },
	{ "starting", YELLOW }, { "foreign", YELLOW }, { "trying", YELLOW }, { "unmet", YELLOW },    { "unheard", YELLOW },  { "backoff", YELLOW },
};

static bool is_inside(char c) /* of a character that has begun */
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static int text_width(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += !is_inside(*s);
	return n;
}

static void widths_fit(int *widths, size_t n, int width)
{
	for (;;) {
		int sum = GAP * ((int)n - 1);
		size_t widest = 0;

		for (size_t i = 0; i < n; i++) {
			sum += widths[i];
			if (widths[i] >= widths[widest])
				widest = i;
		}
		if (!width || sum <= width || widths[widest] <= CELL_MIN)
			return;
		widths[widest]--;
	}
}

static const char *colour_of(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(colours); i++)
		if (!strcmp(colours[i].word, word))
			return colours[i].colour;
	return NULL;
}

/* Returns how many characters wide it is. */
static int cell_print(FILE *f, const char *text, int width)
{
	int full = text_width(text), most = full > width ? width - 1 : full, n = 0;

	for (; *text && (n < most || is_inside(*text)); text++) {
		n += !is_inside(*text);
		fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, f);
	}
	if (full > width)
		fputs(ELLIPSIS, f);
	return n + (full > width);
}

static void row_print(FILE *f, const struct out_column *columns, const int *widths, size_t n, const char *const *cells, bool has_colours)
{
	for (size_t i = 0; i < n; i++) {
		const char *colour = has_colours && columns[i].is_state ? colour_of(cells[i]) : NULL;
		int used;

		fputs(colour ?: "", f);
		used = cell_print(f, cells[i], widths[i]);
		fputs(colour ? PLAIN : "", f);
		if (i + 1 < n)
			fprintf(f, "%*s", widths[i] - used + GAP, "");
	}
	fputc('\n', f);
}

void table_print(FILE *f, const struct out_column *columns, size_t n_columns, const char *const *rows, size_t n_rows, int width, bool has_colours)
{
	const char *titles[TABLE_COLUMNS_MAX];
	int widths[TABLE_COLUMNS_MAX];

	BUG_ON(!n_columns || n_columns > TABLE_COLUMNS_MAX);
	for (size_t i = 0; i < n_columns; i++) {
		titles[i] = columns[i].title;
		widths[i] = text_width(titles[i]);
		for (size_t k = 0; k < n_rows; k++) {
			int w = text_width(rows[k * n_columns + i]);

			widths[i] = w > widths[i] ? w : widths[i];
		}
	}
	widths_fit(widths, n_columns, width);
	row_print(f, columns, widths, n_columns, titles, false);
	for (size_t k = 0; k < n_rows; k++)
		row_print(f, columns, widths, n_columns, rows + k * n_columns, has_colours);
}
