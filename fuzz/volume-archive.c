/* Where the bytes are cut must not matter; what was taken, written again, is the same to who reads it; no name leads out. */
#include "storage/archive.h"

#include <stdlib.h>

struct copy {
	struct buf out; /* an archive of what was taken */
	uint64_t left;  /* bytes of content that must still come */
};

static bool leads_out(struct str name)
{
	struct str part;

	if (!name.n)
		return false;
	while (str_next(&name, '/', &part))
		if (!part.n || str_eq(part, S(".")) || str_eq(part, S("..")))
			return true;
	return false;
}

static int on_begin(void *ctx, const struct archive_entry *en, struct err *e)
{
	struct copy *c = ctx;

	(void)e;
	if (leads_out(en->name) || (en->kind == ARCHIVE_HARDLINK && leads_out(en->link)) || en->uid > ARCHIVE_OWNER_MAX || c->left)
		abort();
	c->left = en->size;
	archive_put_head(&c->out, en);
	return 0;
}

static int on_content(void *ctx, const uint8_t *p, size_t n, struct err *e)
{
	struct copy *c = ctx;

	(void)e;
	if (n > c->left || !n)
		abort();
	c->left -= n;
	buf_add_bytes(&c->out, p, n);
	return 0;
}

static int on_end(void *ctx, const struct archive_entry *en, struct err *e)
{
	struct copy *c = ctx;

	(void)e;
	if (c->left)
		abort();
	archive_put_fill(&c->out, en->size);
	return 0;
}

static const struct archive_ops ops = { on_begin, on_content, on_end };

static int copy(struct str data, size_t step, struct copy *ret)
{
	struct archive a;
	int r = 0;

	archive_init(&a, &ops, ret);
	for (size_t at = 0; at < data.n && !r; at += step)
		r = archive_feed(&a, (const uint8_t *)data.p + at, data.n - at < step ? data.n - at : step, NULL);
	r = r ?: archive_finish(&a, NULL);
	archive_put_end(&ret->out);
	archive_deinit(&a);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str all = { (const char *)data, n };
	struct copy whole = { 0 }, pieces = { 0 }, again = { 0 };
	int r = copy(all, n ? n : 1, &whole);

	if (copy(all, 7, &pieces) != r || !str_eq(buf_str(&whole.out), buf_str(&pieces.out)))
		abort();
	if (!r && (copy(buf_str(&whole.out), 4096, &again) || !str_eq(buf_str(&whole.out), buf_str(&again.out))))
		abort();
	buf_deinit(&whole.out);
	buf_deinit(&pieces.out);
	buf_deinit(&again.out);
	return 0;
}
