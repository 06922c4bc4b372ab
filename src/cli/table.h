/* Tables for people: as wide as the terminal, and no wider. */
#pragma once
#include "base/err.h"

#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 16 };

struct out_column {
	const char *title;
	bool is_state; /* its words have colours */
};

/* ROWS: n_rows * n_columns texts, UTF-8. WIDTH: of the terminal in characters; 0 = any. Where a table is wider, its widest columns are cut, and
 * an ellipsis stands for what is left out. Control characters, which might be a stranger's, become '?'. */
void table_print(FILE *f, const struct out_column *columns, size_t n_columns, const char *const *rows, size_t n_rows, int width, bool has_colours);
