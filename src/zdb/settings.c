#include "base/file.h"
#include "base/rd.h"
#include "zdb/namespace.h"

#include <fcntl.h>
#include <sodium.h>

#define SETTINGS_NAME "zdb-namespace"

enum {
	VERSION_ORIGINAL = 1,
	VERSION = 2,
	SIZE_MAX_BYTES = 1024,
	SEALED_BYTES = crypto_secretbox_MACBYTES + NAMESPACE_PASSWORD_MAX + 1, /* always as long: its length is nobody's business */
	PUBLIC = 1,
	WORM = 2,
	LOCKED = 4,
	FROZEN = 8,
	INDEX_MODE_AT = 28, /* in the first index file of the original */
	ORIGINAL_USER = 0,
	ORIGINAL_SEQ = 1,
};

bool namespace_name_ok(struct str name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	if (!name.n || name.n > NAMESPACE_NAME_MAX || name.p[0] == '.')
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!name.p[i] || !strchr(allowed, name.p[i]))
			return false;
	return true;
}

int settings_original_mode(int index, enum space_mode *ret, struct err *e)
{
	AUTO_FD int fd = openat(index, "i0", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint8_t mode = ORIGINAL_USER;

	if (fd < 0 || pread(fd, &mode, 1, INDEX_MODE_AT) != 1)
		return SETTINGS_NONE;
	if (mode != ORIGINAL_USER && mode != ORIGINAL_SEQ)
		return err_set(e, -EPROTONOSUPPORT, "0-db's mode %u, whose keys are places on its disk, is none of ours", mode);
	*ret = mode == ORIGINAL_SEQ ? SPACE_SEQ : SPACE_USER;
	return 0;
}

static int original_load(int index, struct rd *r, struct str name, struct settings *ret, struct err *e)
{
	size_t n_name = rd_le(r, 1), n_password = rd_le(r, 1);
	uint8_t flags;
	const uint8_t *text;

	ret->max_bytes = rd_le(r, 8);
	flags = (uint8_t)rd_le(r, 1);
	text = rd_take(r, n_name);
	if (!text || !str_eq(name, (struct str){ (const char *)text, n_name }) || n_password > NAMESPACE_PASSWORD_MAX)
		return -EBADMSG;
	rd_bytes(r, ret->password, n_password);
	ret->is_public = flags & PUBLIC;
	ret->is_worm = flags & WORM;
	if (r->bad)
		return -EBADMSG;
	return settings_original_mode(index, &ret->mode, e) < 0 ? e->code : 0;
}

static int ours_load(struct rd *r, struct str name, const uint8_t key[static STORE_KEY_BYTES], struct settings *ret)
{
	uint8_t nonce[crypto_secretbox_NONCEBYTES], sealed[SEALED_BYTES], clear[NAMESPACE_PASSWORD_MAX + 1];
	uint8_t flags = (uint8_t)rd_le(r, 1);
	const uint8_t *text;
	size_t n_name;
	int bad;

	ret->mode = rd_le(r, 1) ? SPACE_SEQ : SPACE_USER;
	ret->max_bytes = rd_le(r, 8);
	n_name = rd_le(r, 1);
	text = rd_take(r, n_name);
	rd_bytes(r, nonce, sizeof(nonce));
	rd_bytes(r, sealed, sizeof(sealed));
	if (!text || rd_done(r) || !str_eq(name, (struct str){ (const char *)text, n_name }))
		return -EBADMSG;
	bad = crypto_secretbox_open_easy(clear, sealed, sizeof(sealed), nonce, key);
	memcpy(ret->password, clear, sizeof(ret->password));
	explicit_bzero(clear, sizeof(clear));
	ret->password[NAMESPACE_PASSWORD_MAX] = '\0';
	ret->is_public = flags & PUBLIC;
	ret->is_worm = flags & WORM;
	ret->is_locked = flags & LOCKED;
	ret->is_frozen = flags & FROZEN;
	return bad ? -EBADMSG : 0;
}

int settings_load(int index, struct str name, const uint8_t key[static STORE_KEY_BYTES], struct settings *ret, struct err *e)
{
	AUTO_BUF struct buf text = { 0 };
	struct settings s = { 0 };
	struct err why = { 0 };
	struct rd rd;
	uint64_t version;
	int r;

	if ((r = file_read(index, SETTINGS_NAME, SIZE_MAX_BYTES, &text, e)))
		return r;
	rd = rd_over(text.p, text.len);
	version = rd_le(&rd, 4);
	r = version == VERSION_ORIGINAL ? original_load(index, &rd, name, &s, &why)
	    : version == VERSION        ? ours_load(&rd, name, key, &s)
					: -EPROTONOSUPPORT;
	explicit_bzero(text.p, text.len);
	if (why.code)
		return err_set(e, why.code, "the settings of namespace '" STR_FMT "': %s", STR_ARG(name), why.msg);
	if (r)
		return err_set(e, r, "the settings of namespace '" STR_FMT "' are damaged, of another store, or of a later version", STR_ARG(name));
	*ret = s;
	return 0;
}

int settings_save(int index, struct str name, const uint8_t key[static STORE_KEY_BYTES], const struct settings *s, struct err *e)
{
	uint8_t nonce[crypto_secretbox_NONCEBYTES], sealed[SEALED_BYTES];
	AUTO_BUF struct buf b = { 0 };

	random_bytes(nonce, sizeof(nonce));
	BUG_ON(crypto_secretbox_easy(sealed, (const uint8_t *)s->password, sizeof(s->password), nonce, key));
	buf_add_le(&b, VERSION, 4);
	buf_add_le(&b, (s->is_public ? PUBLIC : 0) | (s->is_worm ? WORM : 0) | (s->is_locked ? LOCKED : 0) | (s->is_frozen ? FROZEN : 0), 1);
	buf_add_le(&b, s->mode == SPACE_SEQ, 1);
	buf_add_le(&b, s->max_bytes, 8);
	buf_add_le(&b, name.n, 1);
	buf_add(&b, name);
	buf_add_bytes(&b, nonce, sizeof(nonce));
	buf_add_bytes(&b, sealed, sizeof(sealed));
	BUG_ON(buf_check(&b));
	return file_save(index, SETTINGS_NAME, buf_str(&b), 0600, e);
}
