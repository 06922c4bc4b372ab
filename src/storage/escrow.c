#include "storage/escrow.h"

#include "base/parse.h"

#include <stdio.h>

bool escrow_is(const struct escrow *x, const char *wanted)
{
	return wanted[0] ? x->is_there && !strcmp(x->key, wanted) : !x->is_there;
}

static bool digest_ok(struct str s)
{
	uint8_t bytes[SEAL_DIGEST_LEN / 2];

	return !parse_hex(s, bytes, sizeof(bytes));
}

static bool sealed_ok(struct str s)
{
	AUTO_BUF struct buf bytes = { 0 };

	return !parse_base64(s, &bytes) && bytes.len == RECOVERY_SECRET_LEN + SEAL_OVERHEAD;
}

struct fields {
	const char *type, *key, *sealed;
	sd_json_variant *keyslots;
	uint64_t version;
};
#define KEY_FIELD(is_required) \
	{ "key", JSON_TEXT, offsetof(struct fields, key), .required = (is_required), .max = SEAL_DIGEST_LEN, .ok = digest_ok, .want = "a SHA-256" }
#define SEALED_FIELD(is_required)          \
	{ "sealed",                        \
	  JSON_TEXT,                       \
	  offsetof(struct fields, sealed), \
	  .required = (is_required),       \
	  .max = RECOVERY_SEALED_TEXT_LEN, \
	  .ok = sealed_ok,                 \
	  .want = "a sealed secret" }
static const struct json_field token_fields[] = {
	{ "type", JSON_TEXT, offsetof(struct fields, type), .required = true, .max = 16 },
	{ "keyslots", JSON_TEXTS, offsetof(struct fields, keyslots), .required = true, .max = 8 },
	{ "version", JSON_U64, offsetof(struct fields, version), .required = true, .min = ESCROW_VERSION, .max = ESCROW_VERSION },
	KEY_FIELD(true),
	SEALED_FIELD(true),
};
static const struct json_table token_table = { token_fields, ARRAY_LEN(token_fields), 0, NULL };
static const struct json_field answer_fields[] = { KEY_FIELD(false), SEALED_FIELD(false) };
static const struct json_table answer_table = { answer_fields, ARRAY_LEN(answer_fields), 0, NULL };

static void take_fields(const struct fields *f, struct escrow *ret)
{
	*ret = (struct escrow){ .is_there = true };
	if (!f->key || !f->sealed)
		return;
	snprintf(ret->key, sizeof(ret->key), "%s", f->key);
	snprintf(ret->sealed, sizeof(ret->sealed), "%s", f->sealed);
}

int escrow_decode(struct str text, struct escrow *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	struct fields f = { 0 };
	int r;

	if (text.n > ESCROW_MAX)
		return err_set(e, -EBADMSG, "the recovery token is longer than %d bytes", ESCROW_MAX);
	if ((r = json_parse(text, &v, e)) || (r = json_decode(v, &token_table, &f, e)))
		return r;
	if (strcmp(f.type, ESCROW_TYPE))
		return err_set(e, -EBADMSG, "it is no recovery token");
	take_fields(&f, ret);
	return 0;
}

int escrow_encode(const struct escrow *x, const char *slot, struct buf *ret)
{
	AUTO_JSON sd_json_variant *v = NULL;

	if (sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("type", ESCROW_TYPE),
			   SD_JSON_BUILD_PAIR("keyslots", SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_STRING(slot))),
			   SD_JSON_BUILD_PAIR_UNSIGNED("version", ESCROW_VERSION), SD_JSON_BUILD_PAIR_STRING("key", x->key),
			   SD_JSON_BUILD_PAIR_STRING("sealed", x->sealed)) < 0)
		return -ENOMEM;
	return json_format(v, ret);
}

int escrow_answer_json(const struct escrow *x, sd_json_variant **ret)
{
	bool is_whole = x->key[0];

	*ret = NULL;
	if (!x->is_there)
		return 0;
	return sd_json_buildo(ret, SD_JSON_BUILD_PAIR_CONDITION(is_whole, "key", SD_JSON_BUILD_STRING(x->key)),
			      SD_JSON_BUILD_PAIR_CONDITION(is_whole, "sealed", SD_JSON_BUILD_STRING(x->sealed)));
}

int escrow_answer_decode(sd_json_variant *v, struct escrow *ret, struct err *e)
{
	struct fields f = { 0 };
	int r = json_decode(v, &answer_table, &f, e);

	if (r)
		return r;
	take_fields(&f, ret);
	return 0;
}
