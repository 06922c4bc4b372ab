#include "init/lastwords.h"

#include "base/cleanup.h"
#include "test/t.h"

static void heads_are_read(void)
{
	static const struct {
		const char *text;
		bool ok;
		const char *reason, *lines;
		uint64_t count, part;
	} rows[] = {
		{ "Panic#2 Part1\n<0>[ 1.0] end\n", true, "Panic", "<0>[ 1.0] end\n", 2, 1 },
		{ "Oops#1 Part12\n", true, "Oops", "", 1, 12 },
		{ "Panic#2 Part1", false, "", "", 0, 0 }, /* nothing behind it */
		{ "Panic#x Part1\n", false, "", "", 0, 0 },
		{ "Panic#1 Piece1\n", false, "", "", 0, 0 },
		{ "Panic#1\n", false, "", "", 0, 0 },
		{ "#1 Part1\n", false, "", "", 0, 0 },
		{ "ThisIsAReasonOfMoreThanThirtyOneLetters#1 Part1\n", false, "", "", 0, 0 },
		{ "", false, "", "", 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct lastwords got = { 0 };

		T_CHECK(lastwords_parse(str_c(rows[i].text), &got) == rows[i].ok, "'%s'", rows[i].text);
		T_CHECK(!strcmp(got.reason, rows[i].reason) && got.count == rows[i].count && got.part == rows[i].part, "'%s': %s %llu %llu",
			rows[i].text, got.reason, (unsigned long long)got.count, (unsigned long long)got.part);
		T_CHECK(!rows[i].ok || str_eq(got.lines, str_c(rows[i].lines)), "'%s': lines", rows[i].text);
	}
}

static void older_lines_come_first(void)
{
	static const struct lastwords in_order[] = {
		{ .count = 1, .part = 2 }, { .count = 1, .part = 1 }, { .count = 2, .part = 10 }, { .count = 2, .part = 9 }
	};

	for (size_t i = 0; i < ARRAY_LEN(in_order); i++)
		for (size_t k = 0; k < ARRAY_LEN(in_order); k++) {
			int got = lastwords_order(&in_order[i], &in_order[k]);

			T_CHECK((got < 0) == (i < k) && (got > 0) == (i > k), "%zu and %zu: %d", i, k, got);
		}
}

static void lines_lose_their_heads(void)
{
	static const struct {
		const char *line, *text;
		bool is_why;
	} rows[] = {
		{ "<0>[   12.345678] Kernel panic - not syncing: sysrq triggered crash", "Kernel panic - not syncing: sysrq triggered crash", true },
		{ "<4>[    1.000000] Call Trace:", "Call Trace:", false },
		{ "[    1.000000] BUG: unable to handle page fault", "BUG: unable to handle page fault", true },
		{ "<4>[    1.000000]  <TASK>", " <TASK>", false },
		{ "<4", "<4", false },
		{ "[", "[", false },
		{ "", "", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str got = lastwords_text(str_c(rows[i].line));

		T_CHECK(str_eq(got, str_c(rows[i].text)), "'%s': '" STR_FMT "'", rows[i].line, STR_ARG(got));
		T_CHECK(lastwords_is_why(got) == rows[i].is_why, "'%s'", rows[i].line);
	}
}

int main(void)
{
	T_RUN(heads_are_read);
	T_RUN(older_lines_come_first);
	T_RUN(lines_lose_their_heads);
	return T_END();
}
