#include "cli/table.h"

#include "base/cleanup.h"
#include "base/str.h"
#include "test/t.h"

#define KEY "NCYTOUVIQ2B7GZ4YHDJRF4VWKPSPLHQT6GSWE2IJFGTY6KQZGDKAAAAA"

static const struct out_column columns[] = { { "NODE" }, { "STATE", .is_state = true }, { "SAYS" } };
enum { COLUMNS = ARRAY_LEN(columns) };

static char *printed(const char *const *rows, size_t n_rows, int width, bool has_colours)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	T_NEED(f, "memory");
	table_print(f, columns, COLUMNS, rows, n_rows, width, has_colours);
	T_NEED(!fclose(f), "memory");
	return text;
}

static void wants(const char *const *rows, size_t n_rows, int width, bool has_colours, const char *want)
{
	AUTO_FREE char *text = printed(rows, n_rows, width, has_colours);

	T_CHECK(!strcmp(text, want), "%d wide:\n%swanted:\n%s", width, text, want);
}

static void all_of_it_where_nobody_says_how_wide(void)
{
	static const char *const rows[] = { "a", "ok", "nothing", KEY, "failed", "" };

	wants(rows, 1, 0, false, "NODE  STATE  SAYS\na     ok     nothing\n");
	wants(rows, 2, 0, false,
	      "NODE                                                      STATE   SAYS\n"
	      "a                                                         ok      nothing\n" KEY "  failed  \n");
}

static void the_widest_gives_way(void)
{
	static const char *const rows[] = { KEY, "ok", "all is as it should be" };

	wants(rows, 1, 40, false, "NODE              STATE  SAYS\nNCYTOUVIQ2B7GZ4…  ok     all is as it s…\n");
	wants(rows, 1, 1, false, "NODE      STATE  SAYS\nNCYTOUV…  ok     all is …\n");
}

static void a_character_is_one_wide_however_many_bytes(void)
{
	static const char *const rows[] = { "déjà", "ok", "é", "abcd", "ok", "e" };

	wants(rows, 2, 0, false, "NODE  STATE  SAYS\ndéjà  ok     é\nabcd  ok     e\n");
}

static void states_have_colours_and_strangers_none(void)
{
	static const char *const rows[] = { "ok", "ok", "\033[31mred\n", "a", "failed", "", "b", "unknown", "" };

	wants(rows, 3, 0, true, "NODE  STATE    SAYS\nok    \033[32mok\033[0m       ?[31mred?\na     \033[31mfailed\033[0m   \nb     unknown  \n");
	wants(rows, 3, 0, false, "NODE  STATE    SAYS\nok    ok       ?[31mred?\na     failed   \nb     unknown  \n");
}

int main(void)
{
	T_RUN(all_of_it_where_nobody_says_how_wide);
	T_RUN(the_widest_gives_way);
	T_RUN(a_character_is_one_wide_however_many_bytes);
	T_RUN(states_have_colours_and_strangers_none);
	return T_END();
}
