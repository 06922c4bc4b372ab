#include "storage/token.h"

#include "api/json.h"
#include "base/parse.h"

#include <stdio.h>

void token_deinit(struct token *t)
{
	explicit_bzero(t, sizeof(*t));
}

struct fields {
	const char *type, *farm, *secret, *sealed;
	sd_json_variant *keyslots;
	uint64_t version;
	bool rotational;
	unsigned key;
};
static const struct json_field token_fields[] = {
	{ "type", JSON_TEXT, offsetof(struct fields, type), .required = true, .max = 8 },
	{ "keyslots", JSON_TEXTS, offsetof(struct fields, keyslots), .required = true, .max = 8 },
	{ "version", JSON_U64, offsetof(struct fields, version), .required = true, .min = TOKEN_VERSION, .max = TOKEN_VERSION },
	{ "farm", JSON_TEXT, offsetof(struct fields, farm), .required = true, .max = ANSWER_FARM_SIZE - 1 },
	{ "rotational", JSON_BOOL, offsetof(struct fields, rotational), .required = true },
	{ "key", JSON_CHOICE, offsetof(struct fields, key), .required = true, .names = answer_key_names },
	{ "secret", JSON_TEXT, offsetof(struct fields, secret), .max = (TOKEN_SECRET_LEN + 2) / 3 * 4 },
	{ "sealed", JSON_TEXT, offsetof(struct fields, sealed), .max = (TOKEN_SEALED_MAX + 2) / 3 * 4 },
};
static const struct json_table token_table = { token_fields, ARRAY_LEN(token_fields), 0, NULL };

/* The bytes of TEXT, FROM to MOST of them; the buffer between is wiped. */
static int bytes_decode(const char *text, size_t from, size_t most, uint8_t *ret, size_t *ret_len)
{
	AUTO_BUF struct buf b = { 0 };
	int r = text ? parse_base64(str_c(text), &b) : -EINVAL;

	if (!r && (b.len < from || b.len > most))
		r = -EINVAL;
	if (!r) {
		memcpy(ret, b.p, b.len);
		*ret_len = b.len;
	}
	if (b.p)
		explicit_bzero(b.p, b.cap);
	return r;
}

int token_decode(struct str text, struct token *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	AUTO_TOKEN struct token t = { 0 };
	struct fields f = { 0 };
	size_t len;
	int r;

	if (text.n > TOKEN_MAX)
		return err_set(e, -EBADMSG, "the token is longer than %d bytes", TOKEN_MAX);
	if ((r = json_parse(text, &v, e)))
		return r;
	sd_json_variant_sensitive(v);
	if ((r = json_decode(v, &token_table, &f, e)))
		return r;
	t.key = f.key;
	t.is_rotational = f.rotational;
	snprintf(t.farm, sizeof(t.farm), "%s", f.farm);
	if (t.key == ANSWER_KEY_DISK)
		r = bytes_decode(f.secret, TOKEN_SECRET_LEN, TOKEN_SECRET_LEN, t.secret, &len);
	else if (t.key == ANSWER_KEY_TPM)
		r = bytes_decode(f.sealed, 1, TOKEN_SEALED_MAX, t.sealed, &t.sealed_len);
	else
		r = -EINVAL;
	if (r || strcmp(f.type, "zos") || (t.key == ANSWER_KEY_DISK ? f.sealed : f.secret))
		return err_set(e, -EBADMSG, "the token names no key");
	*ret = t;
	return 0;
}

int token_encode(const struct token *t, struct buf *ret)
{
	AUTO_JSON sd_json_variant *v = NULL;
	AUTO_BUF struct buf key = { 0 };
	bool is_sealed = t->key == ANSWER_KEY_TPM;
	int r = -ENOMEM;

	BUG_ON(t->key == ANSWER_KEY_NONE);
	format_base64(&key, is_sealed ? t->sealed : t->secret, is_sealed ? t->sealed_len : sizeof(t->secret));
	if (!buf_check(&key) &&
	    sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("type", "zos"),
			   SD_JSON_BUILD_PAIR("keyslots", SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_STRING("0"))),
			   SD_JSON_BUILD_PAIR_UNSIGNED("version", TOKEN_VERSION), SD_JSON_BUILD_PAIR_STRING("farm", t->farm),
			   SD_JSON_BUILD_PAIR_BOOLEAN("rotational", t->is_rotational), SD_JSON_BUILD_PAIR_STRING("key", answer_key_names[t->key]),
			   SD_JSON_BUILD_PAIR_STRING(is_sealed ? "sealed" : "secret", key.p)) >= 0) {
		sd_json_variant_sensitive(v);
		r = json_format(v, ret);
	}
	if (key.p)
		explicit_bzero(key.p, key.cap);
	return r;
}
