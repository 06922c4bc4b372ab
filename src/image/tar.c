#include "image/tar.h"

#include "base/parse.h"

static bool is_root(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] != '/')
			return false;
	return name.n > 0;
}

/* "/" to "./", which is the same to everybody. */
static void root_rename(uint8_t *b)
{
	memset(b + USTAR_AT_NAME, 0, USTAR_NAME_LEN);
	memcpy(b + USTAR_AT_NAME, "./", 2);
	ustar_sum_set(b);
}

static bool climbs_out(struct str name)
{
	struct str part;

	while (str_next(&name, '/', &part))
		if (str_eq(part, S("..")))
			return true;
	return false;
}

static int name_check(struct str name, struct err *e)
{
	if (name.n && memchr(name.p, '\0', name.n))
		return err_set(e, -EBADMSG, "a name in the archive holds a NUL byte");
	if (climbs_out(name))
		return err_set(e, -EBADMSG, "the archive holds the name '%.*s', which climbs out", (int)(name.n < 100 ? name.n : 100), name.p);
	if (str_eq(name, S(".wh..wh..opq")) || str_eq(name, S("./.wh..wh..opq")))
		return err_set(e, -EBADMSG, "the layer hides all that is below it, which cannot be kept: build the image from nothing instead");
	return 0;
}

/* The name of an entry in a header of its own. */
static int long_name_check(struct str name, struct err *e)
{
	if (is_root(name))
		return err_set(e, -EBADMSG, "the archive names its root in a way that mkfs.erofs does not survive");
	return name_check(name, e);
}

/* One "KEY=VALUE" of a pax header. */
static int pax_one(struct tar *t, struct str key, struct str value, struct err *e)
{
	if (str_starts(key, S("GNU.sparse.")))
		return err_set(e, -EBADMSG, "the archive holds sparse files: pack the layer without --sparse");
	if (str_eq(key, S("path")))
		return long_name_check(value, e);
	if (str_eq(key, S("linkpath")))
		t->link_climbs = climbs_out(value);
	if (!str_eq(key, S("size")))
		return 0;
	t->has_size = true;
	return parse_u64(value, USTAR_SIZE_MAX, &t->size_override) ? err_set(e, -EBADMSG, "the archive has a bad size in a pax header") : 0;
}

static int pax_decode(struct tar *t, struct err *e)
{
	struct str rest = buf_str(&t->extended), key, value;
	int r;

	while ((r = pax_next(&rest, &key, &value)) == PAX_RECORD)
		if ((r = pax_one(t, key, value, e)))
			return r;
	return r ? err_set(e, r, "the archive has a pax header that cannot be read") : 0;
}

static int extended_done(struct tar *t, struct err *e)
{
	int r = 0;

	if (buf_check(&t->extended))
		r = err_set(e, -ENOMEM, "read a header of the archive: out of memory");
	else if (t->extended_kind == 'x')
		r = pax_decode(t, e);
	else if (t->extended_kind == 'g') /* for all entries: nobody has a use for it in a layer, and a size there would be a trap */
		r = pax_decode(t, e) ?: t->has_size ? err_set(e, -EBADMSG, "the archive has a size in a global header") : 0;
	else if (t->extended_kind == 'K')
		t->link_climbs = climbs_out(ustar_field((const uint8_t *)buf_str(&t->extended).p, t->extended.len));
	else if (t->extended_kind == 'L')
		r = long_name_check(ustar_field((const uint8_t *)buf_str(&t->extended).p, t->extended.len), e);
	t->extended.len = 0;
	t->extended_kind = 0;
	return r;
}

static int extended_begin(struct tar *t, char kind, uint64_t size, struct err *e)
{
	if (size > TAR_EXTENDED_MAX)
		return err_set(e, -EBADMSG, "the archive has a header of %llu bytes: at most %d are taken", (unsigned long long)size,
			       TAR_EXTENDED_MAX);
	t->extended_kind = kind;
	t->extended_left = size;
	t->skip = ustar_padded(size);
	return size ? 0 : extended_done(t, e);
}

static int entry_begin(struct tar *t, char kind, uint64_t size, struct err *e)
{
	uint8_t *b = t->block;
	bool ustar = !memcmp(b + USTAR_AT_MAGIC, "ustar\0", 6);
	int r = name_check(ustar_field(b + USTAR_AT_NAME, USTAR_NAME_LEN), e);

	if (!r && ustar)
		r = name_check(ustar_field(b + USTAR_AT_PREFIX, USTAR_PREFIX_LEN), e);
	if (!r && kind == '1')
		r = name_check(ustar_field(b + USTAR_AT_LINK, USTAR_NAME_LEN), e);
	if (!r && kind == '1' && t->link_climbs)
		r = err_set(e, -EBADMSG, "the archive holds a hard link whose other name climbs out");
	t->link_climbs = false;
	if (r)
		return r;
	if (is_root(ustar_field(b + USTAR_AT_NAME, USTAR_NAME_LEN)))
		root_rename(b);
	if (++t->n_entries > TAR_ENTRIES_MAX)
		return err_set(e, -EBADMSG, "the archive has more than %d entries", TAR_ENTRIES_MAX);
	if (t->has_size)
		size = t->size_override;
	t->has_size = false;
	t->skip = kind == '0' || kind == '7' || !kind ? ustar_padded(size) : 0;
	t->fill = t->skip ? t->skip - size : 0;
	if (size && !t->skip)
		return err_set(e, -EBADMSG, "the archive has content behind an entry that is no file");
	return t->entry ? t->entry(t->ctx, ustar_field(b + USTAR_AT_NAME, USTAR_NAME_LEN), kind ? kind : '0', size, e) : 0;
}

static int header_done(struct tar *t, struct err *e)
{
	char kind = (char)t->block[USTAR_AT_TYPE];
	uint64_t size;

	if (ustar_is_zero(t->block)) {
		t->at_end = ++t->n_zero >= 2;
		return 0;
	}
	t->n_zero = 0;
	if (!ustar_sum_ok(t->block) || ustar_number(t->block + USTAR_AT_SIZE, USTAR_SIZE_LEN, &size))
		return err_set(e, -EBADMSG, "the layer is not a tar archive, or it is damaged");
	if (kind && !strchr("01234567xgLK", kind))
		return err_set(e, -EBADMSG,
			       kind == 'S' ? "the archive holds sparse files: pack the layer without --sparse"
					   : "the archive holds an entry of a kind that layers do not have");
	if (kind && strchr("xgLK", kind))
		return extended_begin(t, kind, size, e);
	return entry_begin(t, kind, size, e);
}

/* Content: kept when it is a header's, dropped when it is a file's. */
static int content_feed(struct tar *t, const uint8_t *p, size_t use, struct err *e)
{
	size_t keep = t->extended_left < use ? t->extended_left : use;

	if (t->extended_kind)
		buf_add_bytes(&t->extended, p, keep);
	t->extended_left -= t->extended_kind ? keep : 0;
	t->skip -= use;
	t->is_content = !t->extended_kind;
	return t->sink(t->ctx, p, use, e);
}

int tar_feed(struct tar *t, const uint8_t *p, size_t n, struct err *e)
{
	int r = 0;

	while (n && !t->at_end && !r) {
		size_t use;

		if (t->skip) {
			use = t->skip < n ? (size_t)t->skip : n;
			r = content_feed(t, p, use, e);
			if (!r && !t->skip && t->extended_kind)
				r = extended_done(t, e);
		} else {
			use = n < TAR_BLOCK - t->have ? n : TAR_BLOCK - t->have;
			memcpy(t->block + t->have, p, use);
			t->have = (t->have + use) % TAR_BLOCK;
			t->is_content = false;
			if (!t->have && !(r = header_done(t, e)))
				r = t->sink(t->ctx, t->block, TAR_BLOCK, e);
		}
		p += use;
		n -= use;
	}
	return r;
}

int tar_finish(const struct tar *t, struct err *e)
{
	if (t->have || t->skip > t->fill || t->extended_kind)
		return err_set(e, -EBADMSG, "the archive ends in the middle of an entry");
	return 0;
}

void tar_deinit(struct tar *t)
{
	buf_deinit(&t->extended);
}
