#include "storage/archive.h"

#include "test/t.h"

#include <stdio.h>

/* What is heard, as text. */
static void heard_entry(struct buf *b, const struct archive_entry *en)
{
	buf_addf(b, "%c '%.*s'>'%.*s' %o %u:%u %llu @%lld.%u", (int)en->kind, (int)en->name.n, en->name.p, (int)en->link.n,
		 en->link.n ? en->link.p : "", en->mode, en->uid, en->gid, (unsigned long long)en->size, (long long)en->mtime_s, en->mtime_ns);
	for (size_t i = 0; i < en->n_xattrs; i++)
		buf_addf(b, " %.*s=%.*s", (int)en->xattrs[i].name.n, en->xattrs[i].name.p, (int)en->xattrs[i].value.n, en->xattrs[i].value.p);
	buf_add(b, S("\n"));
}

static int on_begin(void *ctx, const struct archive_entry *en, struct err *e)
{
	(void)e;
	heard_entry(ctx, en);
	return 0;
}

static int on_content(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	(void)e;
	buf_add_bytes(ctx, p, n);
	return 0;
}

static int on_end(void *ctx, const struct archive_entry *en, struct err *e)
{
	(void)en;
	(void)e;
	buf_add(ctx, S(".\n"));
	return 0;
}

static const struct archive_ops ops = { on_begin, on_content, on_end };

static int read_in_steps(struct str all, size_t step, struct buf *ret, struct err *e)
{
	struct archive a;
	int r = 0;

	archive_init(&a, &ops, ret);
	for (size_t at = 0; at < all.n && !r; at += step)
		r = archive_feed(&a, (const uint8_t *)all.p + at, all.n - at < step ? all.n - at : step, e);
	r = r ?: archive_finish(&a, e);
	archive_deinit(&a);
	return r;
}

static void entry_add(struct buf *b, const struct archive_entry *en, const char *content)
{
	archive_put_head(b, en);
	buf_add(b, str_c(content));
	archive_put_fill(b, strlen(content));
}

/* What is written is read again as it was, wherever it is cut. */
static void what_is_written_is_read(void)
{
	static char long_name[300], deep[ARCHIVE_NAME_MAX];
	const struct archive_entry rows[] = {
		{ .kind = ARCHIVE_DIR, .mode = 0755, .mtime_s = 1700000000 },
		{ .kind = ARCHIVE_FILE, .name = S("a"), .mode = 04755, .uid = 1000, .gid = 65535, .size = 5, .mtime_s = 1, .mtime_ns = 5 },
		{ .kind = ARCHIVE_FILE, .name = { long_name, sizeof(long_name) }, .size = 5, .mtime_ns = 999999999 },
		{ .kind = ARCHIVE_FILE, .name = { deep, sizeof(deep) }, .size = 5, .mtime_s = -5 },
		{ .kind = ARCHIVE_SYMLINK, .name = S("link"), .link = { deep, sizeof(deep) }, .mode = 0777, .mtime_s = 1ll << 34 },
		{ .kind = ARCHIVE_SYMLINK, .name = S("out"), .link = S("/etc/../../passwd") },
		{ .kind = ARCHIVE_HARDLINK, .name = S("again"), .link = S("a") },
		{ .kind = ARCHIVE_FIFO, .name = S("dir/fifo") },
		{ .kind = ARCHIVE_FILE,
		  .name = S("x"),
		  .n_xattrs = 2,
		  .xattrs = { { S("user.a"), S("line\nand = more") }, { S("security.capability"), S("\1\0\2") } } },
	};
	static const size_t steps[] = { 1, 7, 512, 1 << 20 };
	AUTO_BUF struct buf all = { 0 }, want = { 0 };
	struct err e = { 0 };

	memset(long_name, 'n', sizeof(long_name));
	for (size_t i = 0; i < sizeof(deep); i++)
		deep[i] = i % 2 ? '/' : 'd';
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		entry_add(&all, &rows[i], rows[i].size ? "hello" : "");
		heard_entry(&want, &rows[i]);
		buf_add(&want, rows[i].size ? S("hello.\n") : S(".\n"));
	}
	archive_put_end(&all);
	buf_add(&all, S("whatever comes behind it"));
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		AUTO_BUF struct buf got = { 0 };

		T_CHECK(!read_in_steps(buf_str(&all), steps[i], &got, &e), "in steps of %zu: %s", steps[i], e.msg);
		T_CHECK(str_eq(buf_str(&got), buf_str(&want)), "in steps of %zu: %.3000s", steps[i], got.p);
	}
	/* less than all of it never passes for all */
	size_t whole = all.len - strlen("whatever comes behind it");
	for (size_t n = 0; n < whole; n += n % 512 == 511 ? 1 : 73) {
		AUTO_BUF struct buf got = { 0 };

		T_CHECK(read_in_steps((struct str){ all.p, n }, 4096, &got, &e) == -EBADMSG, "%zu of %zu bytes", n, whole);
	}
}

/* Another's header, field by field. */
static void block_add(struct buf *b, const char *name, char kind, const char *link, const char *uid, size_t size)
{
	uint8_t h[USTAR_BLOCK] = { 0 };

	snprintf((char *)h, USTAR_NAME_LEN, "%s", name);
	snprintf((char *)h + USTAR_AT_UID, USTAR_ID_LEN, "%s", uid);
	snprintf((char *)h + USTAR_AT_SIZE, USTAR_SIZE_LEN, "%011zo", size);
	h[USTAR_AT_TYPE] = (uint8_t)kind;
	snprintf((char *)h + USTAR_AT_LINK, USTAR_NAME_LEN, "%s", link);
	memcpy(h + USTAR_AT_MAGIC, "ustar\00000", 8);
	ustar_sum_set(h);
	buf_add_bytes(b, h, sizeof(h));
}

static void what_a_volume_cannot_have_is_refused(void)
{
	static const struct {
		const char *name;
		char kind;
		const char *link, *uid;
		const char *content; /* of it, or of an extended header */
		const char *why;     /* NULL = taken */
	} rows[] = {
		{ "a/b", '0', "", "0", "x", NULL },
		{ "./a//./b", '0', "", "0", "x", NULL },
		{ "./", '5', "", "0", "", NULL },
		{ "a/", '0', "", "0", "", NULL }, /* a directory, as before POSIX */
		{ "../a", '0', "", "0", "x", "with '..' in it" },
		{ "a/../../b", '0', "", "0", "x", "with '..' in it" },
		{ "a/..", '5', "", "0", "", "with '..' in it" },
		{ "/etc/passwd", '0', "", "0", "x", "begins with '/'" },
		{ "a", '1', "b", "0", "", NULL },
		{ "a", '1', "../b", "0", "", "with '..' in it" },
		{ "a", '1', "/b", "0", "", "begins with '/'" },
		{ "a", '1', "", "0", "", "to nothing that has a name" },
		{ "a", '2', "/etc/passwd", "0", "", NULL },
		{ "a", '2', "", "0", "", "to nothing that has a name" },
		{ "a", '3', "", "0", "", NULL },
		{ "a", '0', "", "177777", "x", NULL },
		{ "a", '0', "", "200000", "x", "belongs to 65536:0" },
		{ "a", '5', "", "0", "x", "which is no file" },
		{ "a", 'S', "", "0", "x", "of the kind 'S'" },
		{ ".", '0', "", "0", "x", "without a name" },
		{ "pax", 'x', "", "0", "13 path=good\n", NULL },
		{ "pax", 'x', "", "0", "13 path=/bad\n", "begins with '/'" },
		{ "pax", 'x', "", "0", "12 path=a/..\n", "pax header" },
		{ "pax", 'x', "", "0", "15 path=a/../b\n", "with '..' in it" },
		{ "pax", 'x', "", "0", "13 uid=65536\n", "pax header" },
		{ "pax", 'x', "", "0", "22 GNU.sparse.major=1\n", "sparse" },
		{ "pax", 'x', "", "0", "17 mtime=1.5e100\n", "pax header" },
		{ "pax", 'x', "", "0", "99 path=good\n", "pax header" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_BUF struct buf all = { 0 }, got = { 0 };
		struct err e = { 0 };
		size_t n = strlen(rows[i].content);
		int r;

		block_add(&all, rows[i].name, rows[i].kind, rows[i].link, rows[i].uid, n);
		buf_add(&all, str_c(rows[i].content));
		archive_put_fill(&all, n);
		if (rows[i].kind == 'x')
			block_add(&all, "after", '0', "", "0", 0);
		archive_put_end(&all);
		r = read_in_steps(buf_str(&all), 512, &got, &e);
		T_CHECK(rows[i].why ? r == -EBADMSG && strstr(e.msg, rows[i].why) : !r, "row %zu, %s: %d '%s'", i, rows[i].name, r, e.msg);
	}
}

static void gnu_long_names_are_names(void)
{
	AUTO_BUF struct buf all = { 0 }, got = { 0 };
	struct err e = { 0 };

	block_add(&all, "././@LongLink", 'L', "", "0", 12);
	buf_add(&all, S("./long/name\0"));
	archive_put_fill(&all, 12);
	block_add(&all, "././@LongLink", 'K', "", "0", 6);
	buf_add(&all, S("other\0"));
	archive_put_fill(&all, 6);
	block_add(&all, "short", '1', "nowhere", "0", 0);
	block_add(&all, "next", '0', "", "0", 0);
	archive_put_end(&all);
	T_CHECK(!read_in_steps(buf_str(&all), 512, &got, &e), "%s", e.msg);
	T_CHECK(strstr(got.p, "1 'long/name'>'other'") && strstr(got.p, "0 'next'>''"), "%s", got.p);
}

int main(void)
{
	T_RUN(what_is_written_is_read);
	T_RUN(what_a_volume_cannot_have_is_refused);
	T_RUN(gnu_long_names_are_names);
	return T_END();
}
