#include "image/tar.h"

#include "test/t.h"

/* A ustar header of its own making; MORE goes to where a long name or a pax header has its content. */
static void header_add(struct buf *b, const char *name, char kind, size_t size)
{
	char h[TAR_BLOCK] = { 0 };
	unsigned sum = 0;

	snprintf(h, 100, "%s", name);
	snprintf(h + 124, 12, "%011zo", size);
	h[156] = kind;
	memcpy(h + 257,
	       "ustar\0"
	       "00",
	       8);
	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum);
	buf_add_bytes(b, h, sizeof(h));
}

static void content_add(struct buf *b, const char *text)
{
	static const char zeros[TAR_BLOCK];
	size_t n = strlen(text);

	buf_add_bytes(b, text, n);
	buf_add_bytes(b, zeros, (TAR_BLOCK - n % TAR_BLOCK) % TAR_BLOCK);
}

static int collect(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	(void)e;
	buf_add_bytes(ctx, p, n);
	return 0;
}

/* Feeds in pieces of STEP bytes. */
static int scan(const struct buf *b, size_t step, struct buf *out, struct err *e)
{
	struct tar t = TAR_INIT(collect, out);
	int r = 0;

	for (size_t at = 0; at < b->len && !r; at += step)
		r = tar_feed(&t, (const uint8_t *)b->p + at, b->len - at < step ? b->len - at : step, e);
	r = r ?: tar_finish(&t, e);
	tar_deinit(&t);
	return r;
}

struct row {
	const char *name;
	char kind;
	const char *content;
	const char *words; /* NULL = taken */
};

static void entries(void)
{
	static const struct row rows[] = {
		{ "a/b", '0', "hello", NULL },
		{ "./", '5', "", NULL },
		{ "/", '5', "", NULL },
		{ "a", '2', "", NULL },
		{ "a..b/..c", '0', "", NULL },
		{ "../a", '0', "", "climbs" },
		{ "a/../b", '5', "", "climbs" },
		{ "a/..", '5', "", "climbs" },
		{ "a", 'S', "", "sparse" },
		{ "a", 'M', "", "kind" },
		{ "a", '5', "content", "content behind" },
		{ ".wh..wh..opq", '0', "", "hides" },
		{ "x", 'x', "20 path=../../etc/x\n", "climbs" },
		{ "x", 'x', "22 GNU.sparse.major=1\n", "sparse" },
		{ "x", 'x', "10 path=ab\n", "cannot be read" },
		{ "x", 'x', "99 path=ab\n", "cannot be read" },
		{ "x", 'x', "10 path=/\n", "does not survive" },
		{ "x", 'x', "9 size=x\n", "bad size" },
		{ "x", 'g', "9 size=1\n", "global" },
		{ "x", 'L', "a/../b", "climbs" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t step = 1; step <= 4096; step *= 8) {
			AUTO_BUF struct buf b = { 0 }, out = { 0 };
			struct err e = { 0 };
			int r;

			header_add(&b, rows[i].name, rows[i].kind, strlen(rows[i].content));
			content_add(&b, rows[i].content);
			header_add(&b, "last", '0', 0);
			r = scan(&b, step, &out, &e);
			T_CHECK(rows[i].words ? r == -EBADMSG && strstr(e.msg, rows[i].words) : !r, "row %zu by %zu gave %d '%s'", i, step, r, e.msg);
			T_CHECK(r || out.len == b.len, "row %zu: %zu of %zu bytes came out", i, out.len, b.len);
			T_CHECK(r || strcmp(rows[i].name, "/") || !strcmp(out.p, "./"), "row %zu: the root is called %s", i, out.p);
		}
	}
}

static void a_pax_size_counts(void)
{
	AUTO_BUF struct buf b = { 0 }, out = { 0 };
	struct err e = { 0 };

	header_add(&b, "x", 'x', 12);
	content_add(&b, "12 size=600\n");
	header_add(&b, "big", '0', 0);
	content_add(&b, "not a header");
	content_add(&b, "nor is this");
	T_CHECK(!scan(&b, 100, &out, &e), "%s", e.msg);
}

static void an_end_is_an_end(void)
{
	AUTO_BUF struct buf b = { 0 }, out = { 0 };
	struct err e = { 0 };

	header_add(&b, "a", '0', 700);
	content_add(&b, "x");
	T_CHECK(scan(&b, 64, &out, &e) == -EBADMSG && strstr(e.msg, "middle"), "%s", e.msg);
	b.len = 0;
	header_add(&b, "a", '0', 3);
	buf_add(&b, S("abc")); /* umoci leaves the last block as it is */
	T_CHECK(!scan(&b, 64, &out, &e), "%s", e.msg);
	b.len = 300;
	T_CHECK(scan(&b, 64, &out, &e) == -EBADMSG, "half a header");
	b.len = 0;
	content_add(&b, "this is text");
	T_CHECK(scan(&b, 64, &out, &e) == -EBADMSG && strstr(e.msg, "not a tar archive"), "%s", e.msg);
}

int main(void)
{
	T_RUN(entries);
	T_RUN(a_pax_size_counts);
	T_RUN(an_end_is_an_end);
	return T_END();
}
