#include "zdb/resp.h"

#include "base/parse.h"

#include <inttypes.h>

enum { NUMBER_MAX = 24 }; /* characters of a length and its line's end */

/* The line at AT, without its end. RESP_MORE, -EBADMSG: longer than MAX. */
static int line_at(struct str in, size_t at, size_t max, struct str *ret)
{
	size_t n = in.n - at < max ? in.n - at : max;
	const char *end = memchr(in.p + at, '\n', n);

	if (!end)
		return n == max ? -EBADMSG : RESP_MORE;
	*ret = (struct str){ in.p + at, (size_t)(end - in.p) - at };
	if (ret->n && ret->p[ret->n - 1] == '\r')
		ret->n--;
	return 0;
}

/* The number behind MARK on the line at AT. */
static int number_at(struct str in, size_t at, char mark, uint64_t max, uint64_t *ret, size_t *ret_next)
{
	struct str line;
	int r;

	if (at < in.n && in.p[at] != mark)
		return -EBADMSG;
	if ((r = line_at(in, at, NUMBER_MAX, &line)))
		return r;
	if (!line.n || parse_u64((struct str){ line.p + 1, line.n - 1 }, max, ret))
		return -EBADMSG;
	*ret_next = (size_t)(line.p - in.p) + line.n;
	*ret_next += in.p[*ret_next] == '\r' ? 2 : 1;
	return 0;
}

static int array(struct str in, struct resp_command *ret, size_t *ret_bytes, const char **ret_why)
{
	uint64_t n, length;
	size_t at;
	int r = number_at(in, 0, '*', RESP_WORDS_MAX, &n, &at);

	*ret_why = "Protocol error: invalid or too large multibulk length";
	*ret_bytes = in.n + 1;
	for (ret->n = 0; !r && ret->n < n; ret->n++) {
		if ((r = number_at(in, at, '$', RESP_WORD_MAX, &length, &at))) {
			*ret_why = "Protocol error: expected a bulk string of at most 8 MiB";
			break;
		}
		if (at + length + 2 > RESP_COMMAND_MAX) {
			*ret_why = "Protocol error: too large a command";
			return -EBADMSG;
		}
		if (in.n < at + length + 2) {
			*ret_bytes = at + length + 2;
			return RESP_MORE;
		}
		ret->words[ret->n] = (struct str){ in.p + at, length };
		at += length;
		if (in.p[at] != '\r' || in.p[at + 1] != '\n') {
			*ret_why = "Protocol error: a bulk string is longer than it says";
			return -EBADMSG;
		}
		at += 2;
	}
	if (!r)
		*ret_bytes = at;
	return r;
}

static int words_of_line(struct str in, struct resp_command *ret, size_t *ret_bytes, const char **ret_why)
{
	struct str line, word;
	int r = line_at(in, 0, RESP_INLINE_MAX, &line);

	*ret_why = "Protocol error: too big inline request";
	*ret_bytes = in.n + 1;
	if (r)
		return r;
	*ret_bytes = line.n + (in.p[line.n] == '\r' ? 2 : 1);
	for (ret->n = 0; str_next(&line, ' ', &word);) {
		if (!word.n)
			continue;
		if (ret->n == RESP_WORDS_MAX) {
			*ret_why = "Protocol error: too many words";
			return -EBADMSG;
		}
		ret->words[ret->n++] = word;
	}
	return 0;
}

int resp_parse(struct str in, struct resp_command *ret, size_t *ret_bytes, const char **ret_why)
{
	if (!in.n) {
		*ret_bytes = 1;
		return RESP_MORE;
	}
	return in.p[0] == '*' ? array(in, ret, ret_bytes, ret_why) : words_of_line(in, ret, ret_bytes, ret_why);
}

static void line(struct buf *b, char mark, const char *text)
{
	buf_add_bytes(b, &mark, 1);
	buf_add(b, str_c(text));
	buf_add(b, S("\r\n"));
}

void resp_simple(struct buf *b, const char *text)
{
	line(b, '+', text);
}

void resp_error(struct buf *b, const char *text)
{
	line(b, '-', text);
}

/* One digit after the other: a printf is felt in every reply. */
static void number(struct buf *b, char mark, uint64_t n, bool is_negative)
{
	char text[NUMBER_MAX + 2], *p = text + sizeof(text);

	*--p = '\n';
	*--p = '\r';
	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	if (is_negative)
		*--p = '-';
	*--p = mark;
	buf_add_bytes(b, p, (size_t)(text + sizeof(text) - p));
}

void resp_number(struct buf *b, int64_t n)
{
	number(b, ':', n < 0 ? -(uint64_t)n : (uint64_t)n, n < 0);
}

void resp_bulk_head(struct buf *b, size_t n)
{
	number(b, '$', n, false);
}

void resp_bulk(struct buf *b, struct str s)
{
	resp_bulk_head(b, s.n);
	buf_add(b, s);
	buf_add(b, S("\r\n"));
}

void resp_nil(struct buf *b)
{
	buf_add(b, S("$-1\r\n"));
}

void resp_array(struct buf *b, size_t n)
{
	number(b, '*', n, false);
}
