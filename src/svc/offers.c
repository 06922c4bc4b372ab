#include "svc/offers.h"

static char folded(char c)
{
	return c == '-' ? '_' : c;
}

static bool is_same(struct str a, struct str b)
{
	bool same = a.n == b.n;

	for (size_t i = 0; same && i < a.n; i++)
		same = folded(a.p[i]) == folded(b.p[i]);
	return same;
}

bool offers_find(struct str table, const char *name, struct str *ret_files)
{
	struct str line, word;

	while (str_next(&table, '\n', &line))
		if (str_next(&line, ' ', &word) && word.n && is_same(word, str_c(name))) {
			*ret_files = line;
			return true;
		}
	return false;
}
