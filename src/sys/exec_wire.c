#include "sys/exec_wire.h"

#include "base/rd.h"

enum { START_TTY = 1 };

static void head_put(struct buf *ret, enum exec_type type, size_t n)
{
	buf_add_le(ret, type, 1);
	buf_add_le(ret, 0, 1);
	buf_add_le(ret, n, 2);
}

void exec_put_data(struct buf *ret, enum exec_type type, struct str data)
{
	while (data.n) {
		size_t n = data.n < EXEC_DATA_MAX ? data.n : EXEC_DATA_MAX;

		head_put(ret, type, n);
		buf_add_bytes(ret, data.p, n);
		data = (struct str){ data.p + n, data.n - n };
	}
}

void exec_put(struct buf *ret, enum exec_type type, uint32_t a, uint32_t b)
{
	bool is_size = type == EXEC_RESIZE, is_bare = type == EXEC_EOF || type == EXEC_HANGUP, is_long = type == EXEC_TOTAL;

	head_put(ret, type, is_bare ? 0 : is_long ? 8 : 4);
	if (is_size) {
		buf_add_le(ret, a, 2);
		buf_add_le(ret, b, 2);
	} else if (!is_bare) {
		buf_add_le(ret, a, 4);
	}
	if (is_long)
		buf_add_le(ret, b, 4);
}

void exec_put_failed(struct buf *ret, const char *sentence)
{
	size_t n = strnlen(sentence, EXEC_WORD_MAX);

	if (!n)
		n = strlen(sentence = "it did not start");
	head_put(ret, EXEC_FAILED, n);
	for (size_t i = 0; i < n; i++)
		buf_add_le(ret, sentence[i] < ' ' || sentence[i] > '~' ? '?' : (uint8_t)sentence[i], 1);
}

void exec_put_frame(struct buf *ret, const struct exec_frame *f)
{
	if (f->data.p)
		exec_put_data(ret, f->type, f->data);
	else
		exec_put(ret, f->type, f->a, f->b);
}

static void text_put(struct buf *ret, const char *text)
{
	size_t n = strlen(text) + 1;

	buf_add_le(ret, n, 2);
	buf_add_bytes(ret, text, n);
}

int exec_put_start(struct buf *ret, const struct exec_program *p, struct err *e)
{
	AUTO_BUF struct buf b = { .limit = EXEC_DATA_MAX };
	size_t n = 0, room = 0;

	while (p->argv[n])
		room += strlen(p->argv[n++]) + 3;
	if (room > EXEC_DATA_MAX)
		return err_set(e, -E2BIG, "the command is longer than %d bytes: put it into a script and feed that to a shell", EXEC_DATA_MAX);
	buf_add_le(&b, p->tty ? START_TTY : 0, 2);
	buf_add_le(&b, p->rows, 2);
	buf_add_le(&b, p->cols, 2);
	buf_add_le(&b, n, 2);
	text_put(&b, p->user);
	text_put(&b, p->workdir);
	text_put(&b, p->term);
	for (size_t i = 0; i < n; i++)
		text_put(&b, p->argv[i]);
	if (buf_check(&b))
		return err_set(e, -E2BIG, "the command is longer than %d bytes: put it into a script and feed that to a shell", EXEC_DATA_MAX);
	exec_put_data(ret, EXEC_START, buf_str(&b));
	return 0;
}

static const char *text_take(struct rd *r)
{
	size_t n = rd_le(r, 2);
	const uint8_t *at = rd_take(r, n);

	if (!at || !n || memchr(at, '\0', n) != at + n - 1) {
		r->bad = true;
		return "";
	}
	return (const char *)at;
}

int exec_start_decode(struct str data, struct exec_program *ret)
{
	struct rd r = rd_over(data.p, data.n);
	struct exec_program p = { 0 };
	uint64_t flags = rd_le(&r, 2), n;

	p.tty = flags & START_TTY;
	p.rows = (uint32_t)rd_le(&r, 2);
	p.cols = (uint32_t)rd_le(&r, 2);
	n = rd_le(&r, 2);
	p.user = text_take(&r);
	p.workdir = text_take(&r);
	p.term = text_take(&r);
	if (flags & ~(uint64_t)START_TTY || !n || n > EXEC_ARGS_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < n && !r.bad; i++)
		p.argv[i] = text_take(&r);
	if (rd_done(&r))
		return -EBADMSG;
	*ret = p;
	return 0;
}

/* Who says what, and how long it may be. The runner passes on what callers say. */
static const struct row {
	enum exec_type type;
	unsigned from; /* bits of enum exec_from */
	size_t min, max;
	bool is_data;
} rows[] = {
#define CALLER (1u << EXEC_FROM_CALLER | 1u << EXEC_FROM_RUNNER)
	{ EXEC_STDIN, CALLER, 1, EXEC_DATA_MAX, true },
	{ EXEC_EOF, CALLER, 0, 0, false },
	{ EXEC_RESIZE, CALLER, 4, 4, false },
	{ EXEC_SIGNAL, CALLER, 4, 4, false },
	{ EXEC_HANGUP, CALLER, 0, 0, false },
	{ EXEC_START, 1u << EXEC_FROM_RUNNER, 1, EXEC_DATA_MAX, true },
#define SERVER (1u << EXEC_FROM_SERVER | 1u << EXEC_FROM_ARCHIVE)
	{ EXEC_OUT, SERVER, 1, EXEC_DATA_MAX, true },
	{ EXEC_ERR, SERVER, 1, EXEC_DATA_MAX, true },
	{ EXEC_CREDIT, 1u << EXEC_FROM_SERVER, 4, 4, false },
	{ EXEC_EXIT, SERVER, 4, 4, false },
	{ EXEC_FAILED, SERVER, 1, EXEC_WORD_MAX, true },
	{ EXEC_TOTAL, 1u << EXEC_FROM_ARCHIVE, 8, 8, false },
};

static const struct row *head_check(const struct exec_ear *ear, size_t *ret_bytes)
{
	struct rd r = rd_over(ear->bytes, EXEC_HEAD);
	uint64_t type = rd_le(&r, 1), zero = rd_le(&r, 1), n = rd_le(&r, 2);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].type == type && !zero && rows[i].from & 1u << ear->from && n >= rows[i].min && n <= rows[i].max) {
			*ret_bytes = n;
			return &rows[i];
		}
	return NULL;
}

static bool text_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return true;
}

static bool frame_read(struct exec_ear *ear, const struct row *row, size_t n, struct exec_frame *ret)
{
	struct exec_frame f = { .type = row->type };
	struct rd r = rd_over(ear->bytes + EXEC_HEAD, n);

	if (row->is_data)
		f.data = (struct str){ (const char *)ear->bytes + EXEC_HEAD, n };
	else if (f.type == EXEC_RESIZE) {
		f.a = (uint32_t)rd_le(&r, 2);
		f.b = (uint32_t)rd_le(&r, 2);
	} else if (n) {
		f.a = (uint32_t)rd_le(&r, 4);
		f.b = n == 8 ? (uint32_t)rd_le(&r, 4) : 0;
	}
	if ((f.type == EXEC_SIGNAL && (!f.a || f.a > 64)) || (f.type == EXEC_EXIT && f.a > 255) ||
	    (f.type == EXEC_CREDIT && (!f.a || f.a > EXEC_WINDOW)) || (f.type == EXEC_FAILED && !text_ok(f.data)))
		return false;
	ear->taken = true;
	ear->over = f.type == EXEC_EXIT || f.type == EXEC_FAILED;
	*ret = f;
	return true;
}

static void fill(struct exec_ear *ear, struct str *p, size_t up_to)
{
	size_t n = ear->n < up_to ? up_to - ear->n : 0;

	n = n < p->n ? n : p->n;
	memcpy(ear->bytes + ear->n, p->p, n);
	ear->n += n;
	*p = (struct str){ p->p + n, p->n - n };
}

size_t exec_ear_wants(const struct exec_ear *ear)
{
	if (ear->taken || ear->n < EXEC_HEAD)
		return EXEC_HEAD - (ear->taken ? 0 : ear->n);
	return EXEC_HEAD + ear->bytes[2] + 256u * ear->bytes[3] - ear->n;
}

int exec_ear_take(struct exec_ear *ear, struct str *p, struct exec_frame *ret)
{
	const struct row *row;
	size_t n;

	if (ear->taken) {
		ear->n = 0;
		ear->taken = false;
	}
	if (!p->n)
		return EXEC_EAR_MORE;
	if (ear->over)
		return -EBADMSG;
	fill(ear, p, EXEC_HEAD);
	if (ear->n < EXEC_HEAD)
		return EXEC_EAR_MORE;
	if ((row = head_check(ear, &n))) {
		fill(ear, p, EXEC_HEAD + n);
		if (ear->n < EXEC_HEAD + n)
			return EXEC_EAR_MORE;
		if (frame_read(ear, row, n, ret))
			return EXEC_EAR_FRAME;
	}
	ear->over = true;
	return -EBADMSG;
}
