#include "node/view.h"

#include "test/t.h"

#include <stdio.h>

static void only_warnings_are_kept(void)
{
	static const struct {
		const char *line, *text;
		uint64_t at_ms;
	} rows[] = {
		{ "<4>12.345 gridd: it is gone", "it is gone", 12345 },
		{ "<3>0.001 nothing works", "nothing works", 1 },
		{ "<3>1.000 gridd:", "gridd:", 1000 },
		{ "<6>12.345 gridd: it is back", "", 0 },
		{ "<4>12.34 short", "", 0 },
		{ "<4>12 short", "", 0 },
		{ "<4>x.345 none", "", 0 },
		{ "<4>12.345", "", 0 },
		{ "4>12.345 x", "", 0 },
		{ "", "", 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct view_note notes[VIEW_NOTES] = { 0 };

		view_note_add(notes, "gridd", str_c(rows[i].line));
		T_CHECK(!strcmp(notes[0].text, rows[i].text) && notes[0].at_ms == rows[i].at_ms, "'%s': '%s' at %llu", rows[i].line, notes[0].text,
			(unsigned long long)notes[0].at_ms);
	}
}

static void the_newest_stay(void)
{
	static const char *const lines[] = { "<4>5.000 e", "<4>1.000 a", "<4>3.000 c", "<4>4.000 d", "<4>2.000 b" };
	struct view_note notes[VIEW_NOTES] = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		view_note_add(notes, "x", str_c(lines[i]));
	T_CHECK(!strcmp(notes[0].text, "e") && !strcmp(notes[1].text, "d") && !strcmp(notes[2].text, "c"), "%s %s %s", notes[0].text, notes[1].text,
		notes[2].text);
}

static void long_lines_are_cut(void)
{
	struct view_note notes[VIEW_NOTES] = { 0 };
	char line[2 * VIEW_NOTE_MAX];

	memset(line, 'x', sizeof(line));
	memcpy(line, "<4>1.000 ", 9);
	view_note_add(notes, "x", (struct str){ line, sizeof(line) });
	T_CHECK(strlen(notes[0].text) == VIEW_NOTE_MAX - 1, "%zu", strlen(notes[0].text));
}

int main(void)
{
	T_RUN(only_warnings_are_kept);
	T_RUN(the_newest_stay);
	T_RUN(long_lines_are_cut);
	return T_END();
}
