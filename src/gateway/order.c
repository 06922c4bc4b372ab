#include "gateway/order.h"

#include <stdio.h>
#include <string.h>

int64_t order_renewal_s(const struct cert_times *times)
{
	return times->from_s + (times->until_s - times->from_s) / 3 * 2;
}

bool order_is_due(const struct order_state *o, const struct cert_times *times, uint64_t now_ms, int64_t now_s)
{
	return now_ms >= o->next_ms && (!times || now_s >= order_renewal_s(times));
}

uint64_t order_due_in_ms(const struct order_state *o, const struct cert_times *times, uint64_t now_ms, int64_t now_s)
{
	uint64_t pause = o->next_ms > now_ms ? o->next_ms - now_ms : 0;
	int64_t left_s = times ? order_renewal_s(times) - now_s : 0;
	uint64_t left = left_s > ORDER_PAUSE_MAX_MS / 1000 ? ORDER_PAUSE_MAX_MS : left_s > 0 ? (uint64_t)left_s * 1000 : 0;

	pause = pause > left ? pause : left;
	return pause < ORDER_PAUSE_MAX_MS ? pause : ORDER_PAUSE_MAX_MS;
}

/* What somebody else wrote, for people to read on one line. */
static void printable(struct str s, char ret[static ORDER_WHY_SIZE])
{
	size_t n = s.n < ORDER_WHY_SIZE - 1 ? s.n : ORDER_WHY_SIZE - 1;

	for (size_t i = 0; i < n; i++)
		ret[i] = s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?';
	ret[n] = '\0';
}

void order_failed(struct order_state *o, struct str why, bool is_limited, uint64_t now_ms, uint64_t random)
{
	uint64_t pause = ORDER_PAUSE_MS;

	for (unsigned i = 0; i < o->n_failed && pause < ORDER_PAUSE_MAX_MS; i++)
		pause *= 3;
	if (is_limited && pause < ORDER_LIMITED_MS)
		pause = ORDER_LIMITED_MS;
	if (pause > ORDER_PAUSE_MAX_MS)
		pause = ORDER_PAUSE_MAX_MS;
	o->n_failed++;
	o->next_ms = now_ms + pause - pause / 8 + random % (pause / 4);
	printable(why, o->why);
}

void order_went_well(struct order_state *o)
{
	*o = (struct order_state){ 0 };
}

static bool says(struct str output, const char *words)
{
	return memmem(output.p, output.n, words, strlen(words));
}

bool order_lacks_account(struct str output)
{
	return says(output, "no account associated with");
}

bool order_has_account(struct str output)
{
	return says(output, "Account already exists at");
}

bool order_is_limited(struct str output)
{
	return says(output, "urn:ietf:params:acme:error:rateLimited");
}

/* The text of the last "detail" in what uacme prints of a problem document, one member a line. */
static bool detail_find(struct str output, struct str *ret)
{
	static const char head[] = "\"detail\"";
	struct str line;
	bool is_found = false;

	while (str_next(&output, '\n', &line)) {
		const char *at = line.n ? memmem(line.p, line.n, head, strlen(head)) : NULL;
		const char *end = line.p + line.n, *from;

		if (!at)
			continue;
		at += strlen(head);
		from = memchr(at, '"', (size_t)(end - at));
		if (!from)
			continue;
		while (end > from + 1 && end[-1] != '"')
			end--;
		*ret = (struct str){ from + 1, end > from + 1 ? (size_t)(end - from - 2) : 0 };
		is_found = ret->n;
	}
	return is_found;
}

/* What went wrong first, and not what it led to. */
static struct str first_line(struct str output)
{
	const struct str head = S("uacme: ");
	struct str line = { 0 };

	while (!line.n && str_next(&output, '\n', &line))
		;
	return str_starts(line, head) ? (struct str){ line.p + head.n, line.n - head.n } : line;
}

void order_read_why(struct str output, char ret[static ORDER_WHY_SIZE])
{
	struct str why;

	if (!detail_find(output, &why))
		why = first_line(output);
	printable(why.n ? why : S("uacme does not say why"), ret);
}
