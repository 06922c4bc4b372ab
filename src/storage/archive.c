#include "storage/archive.h"

#include "base/parse.h"

#include <inttypes.h>
#include <stdio.h>

#define XATTR_KEY "SCHILY.xattr."
#define TIME_DIGITS 9

void archive_init(struct archive *a, const struct archive_ops *ops, void *ctx)
{
	*a = (struct archive){ .ops = ops, .ctx = ctx };
	a->extended.limit = a->pax.limit = a->long_name.limit = a->long_link.limit = ARCHIVE_EXTENDED_MAX;
}

void archive_deinit(struct archive *a)
{
	struct buf *all[] = { &a->extended, &a->pax, &a->long_name, &a->long_link, &a->name, &a->link };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		buf_deinit(all[i]);
}

static int no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "read the archive: out of memory");
}

/* The parts of TEXT, one '/' between them. */
static int name_clean(struct buf *ret, struct str text, struct err *e)
{
	struct str part;

	ret->len = 0;
	if (text.n && text.p[0] == '/')
		return err_set(e, -EBADMSG, "the archive holds the name '%.*s', which begins with '/': pack it with relative names",
			       ARCHIVE_SHOWN(text));
	if (text.n > ARCHIVE_NAME_MAX || (text.n && memchr(text.p, '\0', text.n)))
		return err_set(e, -EBADMSG, "the archive holds a name of more than %d bytes, or with a NUL in it", ARCHIVE_NAME_MAX);
	while (str_next(&text, '/', &part)) {
		if (str_eq(part, S("..")))
			return err_set(e, -EBADMSG, "the archive holds a name with '..' in it: pack it from within the directory");
		if (part.n && !str_eq(part, S("."))) {
			buf_add(ret, ret->len ? S("/") : S(""));
			buf_add(ret, part);
		}
	}
	return buf_check(ret) ? no_memory(e) : 0;
}

/* "1700000000.123456789", perhaps negative. */
static int time_decode(struct str text, struct archive_entry *en)
{
	bool is_negative = str_starts(text, S("-"));
	struct str whole, digits = { 0 };
	uint64_t s, ns = 0;

	if (is_negative)
		text = (struct str){ text.p + 1, text.n - 1 };
	if (!str_next(&text, '.', &whole) || parse_u64(whole, INT64_MAX / 2, &s))
		return -EBADMSG;
	digits = (struct str){ text.p, text.n < TIME_DIGITS ? text.n : TIME_DIGITS };
	if (digits.n && parse_u64(digits, UINT32_MAX, &ns))
		return -EBADMSG;
	for (size_t i = digits.n; i < TIME_DIGITS; i++)
		ns *= 10;
	en->mtime_s = is_negative ? -(int64_t)s : (int64_t)s;
	en->mtime_ns = is_negative ? 0 : (uint32_t)ns;
	return 0;
}

static int owner_decode(struct str text, uint32_t *ret)
{
	uint64_t v;

	if (parse_u64(text, ARCHIVE_OWNER_MAX, &v))
		return -EBADMSG;
	*ret = (uint32_t)v;
	return 0;
}

/* One record of a pax header. */
static int record_take(struct archive_entry *en, struct str key, struct str value, struct str *ret_name, struct str *ret_link)
{
	if (str_eq(key, S("path")))
		*ret_name = value;
	else if (str_eq(key, S("linkpath")))
		*ret_link = value;
	else if (str_eq(key, S("size")))
		return parse_u64(value, USTAR_SIZE_MAX, &en->size) ? -EBADMSG : 0;
	else if (str_eq(key, S("uid")) || str_eq(key, S("gid")))
		return owner_decode(value, key.p[0] == 'u' ? &en->uid : &en->gid);
	else if (str_eq(key, S("mtime")))
		return time_decode(value, en);
	else if (str_starts(key, S("GNU.sparse.")))
		return -EOPNOTSUPP;
	else if (str_starts(key, S(XATTR_KEY))) {
		if (en->n_xattrs == ARCHIVE_XATTRS_MAX || memchr(key.p, '\0', key.n))
			return -EBADMSG;
		en->xattrs[en->n_xattrs++] = (struct archive_xattr){ { key.p + strlen(XATTR_KEY), key.n - strlen(XATTR_KEY) }, value };
	}
	return 0;
}

static int pax_take(struct archive *a, struct str *ret_name, struct str *ret_link, struct err *e)
{
	struct str rest = buf_str(&a->pax), key, value;
	int r;

	while ((r = pax_next(&rest, &key, &value)) == PAX_RECORD)
		if ((r = record_take(&a->entry, key, value, ret_name, ret_link)))
			break;
	if (r == -EOPNOTSUPP)
		return err_set(e, -EBADMSG, "the archive holds sparse files: pack it without --sparse");
	return r ? err_set(e, r, "the archive has a pax header that is damaged, or says what a volume cannot have") : 0;
}

/* The two halves of a POSIX name, in the room of the one with the cleaned name. */
static struct str name_of(const struct archive *a, char room[static USTAR_NAME_LEN + USTAR_PREFIX_LEN + 2])
{
	struct str name = ustar_field(a->block + USTAR_AT_NAME, USTAR_NAME_LEN), prefix = { 0 };

	if (!memcmp(a->block + USTAR_AT_MAGIC, "ustar\0", 6))
		prefix = ustar_field(a->block + USTAR_AT_PREFIX, USTAR_PREFIX_LEN);
	snprintf(room, USTAR_NAME_LEN + USTAR_PREFIX_LEN + 2, STR_FMT "%s" STR_FMT, STR_ARG(prefix), prefix.n ? "/" : "", STR_ARG(name));
	return str_c(room);
}

static int numbers_take(struct archive *a, struct err *e)
{
	const struct {
		size_t at, len;
		uint64_t max, v;
	} fields[] = {
		{ USTAR_AT_MODE, USTAR_ID_LEN, UINT64_MAX, 0 },    { USTAR_AT_UID, USTAR_ID_LEN, UINT64_MAX, 0 },
		{ USTAR_AT_GID, USTAR_ID_LEN, UINT64_MAX, 0 },     { USTAR_AT_SIZE, USTAR_SIZE_LEN, UINT64_MAX, 0 },
		{ USTAR_AT_MTIME, USTAR_SIZE_LEN, UINT64_MAX, 0 },
	};
	uint64_t v[ARRAY_LEN(fields)];

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (ustar_number(a->block + fields[i].at, fields[i].len, &v[i]))
			return err_set(e, -EBADMSG, "the archive is damaged: a number in a header cannot be read");
	a->entry.mode = (uint32_t)v[0] & 07777;
	a->entry.uid = v[1] > UINT32_MAX ? UINT32_MAX : (uint32_t)v[1];
	a->entry.gid = v[2] > UINT32_MAX ? UINT32_MAX : (uint32_t)v[2];
	a->entry.size = v[3];
	a->entry.mtime_s = (int64_t)v[4];
	return 0;
}

/* What the header means, with what came before it. */
static int entry_check(struct archive *a, struct str name, struct str link, struct err *e)
{
	struct archive_entry *en = &a->entry;
	int r = name_clean(&a->name, name, e);

	if (r)
		return r;
	en->name = buf_str(&a->name);
	if (!en->name.n && en->kind != ARCHIVE_DIR)
		return err_set(e, -EBADMSG, "the archive holds a file without a name");
	if (en->kind == ARCHIVE_HARDLINK && !(r = name_clean(&a->link, link, e)))
		en->link = buf_str(&a->link);
	else if (en->kind == ARCHIVE_SYMLINK)
		en->link = link;
	if (r)
		return r;
	if ((en->kind == ARCHIVE_HARDLINK || en->kind == ARCHIVE_SYMLINK) &&
	    (!en->link.n || en->link.n > ARCHIVE_NAME_MAX || memchr(en->link.p, '\0', en->link.n)))
		return err_set(e, -EBADMSG, "the archive holds a link '%.*s' to nothing that has a name", ARCHIVE_SHOWN(en->name));
	if (en->uid > ARCHIVE_OWNER_MAX || en->gid > ARCHIVE_OWNER_MAX)
		return err_set(e, -EBADMSG, "'%.*s' in the archive belongs to %u:%u, and owners in a volume are 0 to %d", ARCHIVE_SHOWN(en->name),
			       en->uid, en->gid, ARCHIVE_OWNER_MAX);
	if (en->size && en->kind != ARCHIVE_FILE)
		return err_set(e, -EBADMSG, "the archive has content behind '%.*s', which is no file", ARCHIVE_SHOWN(en->name));
	return 0;
}

static void for_next_drop(struct archive *a)
{
	a->pax.len = a->long_name.len = a->long_link.len = 0;
}

static int entry_end(struct archive *a, struct err *e)
{
	int r = a->ops->end(a->ctx, &a->entry, e);

	a->in_entry = false;
	for_next_drop(a);
	return r;
}

static int entry_begin(struct archive *a, char kind, struct err *e)
{
	char room[USTAR_NAME_LEN + USTAR_PREFIX_LEN + 2];
	struct str name = name_of(a, room), link = ustar_field(a->block + USTAR_AT_LINK, USTAR_NAME_LEN);
	int r;

	a->entry = (struct archive_entry){ .kind = kind == '7' || !kind ? ARCHIVE_FILE : (enum archive_kind)kind };
	if (a->long_name.len)
		name = ustar_field((const uint8_t *)a->long_name.p, a->long_name.len);
	if (a->long_link.len)
		link = ustar_field((const uint8_t *)a->long_link.p, a->long_link.len);
	if ((r = numbers_take(a, e)) || (r = pax_take(a, &name, &link, e)))
		return r;
	if (a->entry.kind == ARCHIVE_FILE && name.n && name.p[name.n - 1] == '/') /* as before POSIX */
		a->entry.kind = ARCHIVE_DIR;
	if ((r = entry_check(a, name, link, e)) || (r = a->ops->begin(a->ctx, &a->entry, e)))
		return r;
	a->in_entry = true;
	a->content = a->entry.size;
	a->fill = ustar_padded(a->content) - a->content;
	return a->content ? 0 : entry_end(a, e);
}

static int extended_end(struct archive *a, struct err *e)
{
	const struct {
		char kind;
		struct buf *to; /* NULL: for all entries, and nothing of it is used */
	} rows[] = { { 'x', &a->pax }, { 'L', &a->long_name }, { 'K', &a->long_link }, { 'g', NULL } };
	char kind = take(a->extended_kind, 0);

	if (buf_check(&a->extended))
		return no_memory(e);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].kind == kind && rows[i].to) {
			rows[i].to->len = 0;
			buf_add(rows[i].to, buf_str(&a->extended));
			if (buf_check(rows[i].to))
				return no_memory(e);
		}
	a->extended.len = 0;
	return 0;
}

static int extended_begin(struct archive *a, char kind, struct err *e)
{
	uint64_t size;

	if (ustar_number(a->block + USTAR_AT_SIZE, USTAR_SIZE_LEN, &size) || size > ARCHIVE_EXTENDED_MAX)
		return err_set(e, -EBADMSG, "the archive has an extended header of more than %d bytes", ARCHIVE_EXTENDED_MAX);
	a->extended_kind = kind;
	a->content = size;
	a->fill = ustar_padded(size) - size;
	return size ? 0 : extended_end(a, e);
}

static int header_take(struct archive *a, struct err *e)
{
	char kind = (char)a->block[USTAR_AT_TYPE];

	if (ustar_is_zero(a->block)) {
		a->at_end = ++a->n_zero >= 2;
		return 0;
	}
	a->n_zero = 0;
	if (!ustar_sum_ok(a->block))
		return err_set(e, -EBADMSG, "this is no tar archive, or it is damaged");
	if (kind && strchr("xgLK", kind))
		return extended_begin(a, kind, e);
	if (kind && !strchr("01234567", kind))
		return err_set(e, -EBADMSG, "the archive holds an entry of the kind '%c', which a volume cannot have: pack it with --format=pax",
			       kind >= ' ' && kind <= '~' ? kind : '?');
	return entry_begin(a, kind, e);
}

static int content_take(struct archive *a, const uint8_t *p, size_t n, struct err *e)
{
	a->content -= n;
	if (a->extended_kind) {
		buf_add_bytes(&a->extended, p, n);
		return a->content ? 0 : extended_end(a, e);
	}
	int r = a->ops->content(a->ctx, p, n, e);
	return r || a->content ? r : entry_end(a, e);
}

/* Takes what is next, at most N bytes: how many. */
static size_t piece_take(struct archive *a, const uint8_t *p, size_t n, int *ret, struct err *e)
{
	size_t use;

	if (a->content) {
		use = a->content < n ? (size_t)a->content : n;
		*ret = content_take(a, p, use, e);
	} else if (a->fill) {
		use = a->fill < n ? (size_t)a->fill : n;
		a->fill -= use;
	} else {
		use = n < USTAR_BLOCK - a->have ? n : USTAR_BLOCK - a->have;
		memcpy(a->block + a->have, p, use);
		a->have = (a->have + use) % USTAR_BLOCK;
		*ret = a->have ? 0 : header_take(a, e);
	}
	return use;
}

int archive_feed(struct archive *a, const uint8_t *p, size_t n, struct err *e)
{
	int r = 0;

	for (size_t at = 0; at < n && !a->at_end && !r;)
		at += piece_take(a, p + at, n - at, &r, e);
	return r;
}

int archive_finish(const struct archive *a, struct err *e)
{
	return a->at_end ? 0 : err_set(e, -EBADMSG, "the archive breaks off before its end: nothing was changed, send it again");
}

static void octal_put(uint8_t *at, size_t len, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%0*" PRIo64, (int)len - 1, v);
	memcpy(at, text, len);
}

enum { SIZE_OCTAL_MAX_BITS = 33 };

/* The header; fields that hold less than there is have it in the pax header before. */
static void block_put(struct buf *ret, const struct archive_entry *en, char kind, struct str name, uint64_t size)
{
	uint8_t b[USTAR_BLOCK] = { 0 };

	memcpy(b + USTAR_AT_NAME, name.p, name.n < USTAR_NAME_LEN ? name.n : USTAR_NAME_LEN);
	octal_put(b + USTAR_AT_MODE, USTAR_ID_LEN, en->mode);
	octal_put(b + USTAR_AT_UID, USTAR_ID_LEN, en->uid);
	octal_put(b + USTAR_AT_GID, USTAR_ID_LEN, en->gid);
	octal_put(b + USTAR_AT_SIZE, USTAR_SIZE_LEN, size >> SIZE_OCTAL_MAX_BITS ? 0 : size);
	octal_put(b + USTAR_AT_MTIME, USTAR_SIZE_LEN, en->mtime_s < 0 || en->mtime_s >> SIZE_OCTAL_MAX_BITS ? 0 : (uint64_t)en->mtime_s);
	b[USTAR_AT_TYPE] = (uint8_t)kind;
	if (en->link.n)
		memcpy(b + USTAR_AT_LINK, en->link.p, en->link.n < USTAR_NAME_LEN ? en->link.n : USTAR_NAME_LEN);
	memcpy(b + USTAR_AT_MAGIC, "ustar\00000", 8);
	ustar_sum_set(b);
	buf_add_bytes(ret, b, sizeof(b));
}

static void pax_build(struct buf *ret, const struct archive_entry *en)
{
	AUTO_BUF struct buf text = { 0 };

	if (en->name.n > USTAR_NAME_LEN)
		pax_put(ret, "path", en->name);
	if (en->link.n > USTAR_NAME_LEN)
		pax_put(ret, "linkpath", en->link);
	if (en->size >> SIZE_OCTAL_MAX_BITS) {
		buf_addf(&text, "%" PRIu64, en->size);
		pax_put(ret, "size", buf_str(&text));
	}
	if (en->mtime_ns || en->mtime_s < 0 || en->mtime_s >> SIZE_OCTAL_MAX_BITS) {
		text.len = 0;
		buf_addf(&text, "%" PRId64, en->mtime_s);
		if (en->mtime_ns && en->mtime_s >= 0)
			buf_addf(&text, ".%09u", en->mtime_ns);
		pax_put(ret, "mtime", buf_str(&text));
	}
	for (size_t i = 0; i < en->n_xattrs; i++) {
		text.len = 0;
		buf_add(&text, S(XATTR_KEY));
		buf_add(&text, en->xattrs[i].name);
		buf_add_bytes(&text, "", 1);
		if (!buf_check(&text))
			pax_put(ret, text.p, en->xattrs[i].value);
	}
}

void archive_put_head(struct buf *ret, const struct archive_entry *en)
{
	static const struct archive_entry plain = { .mode = 0600 };
	AUTO_BUF struct buf pax = { 0 };

	pax_build(&pax, en);
	if (pax.len) {
		block_put(ret, &plain, 'x', S("pax"), pax.len);
		buf_add(ret, buf_str(&pax));
		archive_put_fill(ret, pax.len);
	}
	block_put(ret, en, (char)en->kind, en->name.n ? en->name : S("./"), en->size);
}

void archive_put_fill(struct buf *ret, uint64_t size)
{
	static const uint8_t zeros[USTAR_BLOCK];

	buf_add_bytes(ret, zeros, (size_t)(ustar_padded(size) - size));
}

void archive_put_end(struct buf *ret)
{
	static const uint8_t zeros[2 * USTAR_BLOCK];

	buf_add_bytes(ret, zeros, sizeof(zeros));
}
