#include "cli/loglines.h"

#include "base/parse.h"

int loglines_since(struct loglines *l, const char *text, int64_t now_s, struct err *e)
{
	uint64_t ago_ms;

	if (!parse_utc(str_c(text), &l->since_s))
		return 0;
	if (parse_duration(str_c(text), &ago_ms) || ago_ms / 1000 > (uint64_t)now_s)
		return err_set(e, -EINVAL, "--since: '%s' is neither a time ago (30s, 10m, 2h, 7d) nor a time (2026-01-31T12:00:00Z)", text);
	l->since_s = now_s - (int64_t)(ago_ms / 1000);
	return 0;
}

static void decide(struct loglines *l, struct buf *ret)
{
	int64_t at_s;

	l->is_shown = parse_utc((struct str){ l->head, l->n_head }, &at_s) || at_s >= l->since_s;
	l->is_decided = true;
	if (l->is_shown)
		buf_add(ret, (struct str){ l->head, l->n_head });
}

void loglines_add(struct loglines *l, struct str text, struct buf *ret)
{
	while (text.n) {
		const char *end = memchr(text.p, '\n', text.n);
		size_t n = end ? (size_t)(end - text.p) + 1 : text.n;

		for (; !l->is_decided && n; text = (struct str){ text.p + 1, text.n - 1 }, n--) {
			l->head[l->n_head++] = *text.p;
			if (l->n_head == LOGLINES_TIME_LEN || *text.p == '\n')
				decide(l, ret);
		}
		if (l->is_shown)
			buf_add(ret, (struct str){ text.p, n });
		text = (struct str){ text.p + n, text.n - n };
		if (end)
			*l = (struct loglines){ .since_s = l->since_s };
	}
}
