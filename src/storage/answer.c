#include "storage/answer.h"

#include "api/json.h"

#include <stdio.h>

const char *const answer_key_names[ANSWER_KEYS + 1] = { "", "on the disk", "tpm", NULL };
static const char *const outcome_names[ANSWER_OUTCOMES + 1] = { "blank", "foreign", "ours", "unfinished", "done", "failed", NULL };

bool answer_uuid_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
		bool is_digit = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f');

		if (is_dash ? s.p[i] != '-' : !is_digit)
			return false;
	}
	return s.n == ANSWER_UUID_SIZE - 1;
}

static bool is_printable(char c)
{
	return c >= ' ' && c <= '~';
}

static bool text_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_printable(s.p[i]))
			return false;
	return s.n > 0;
}

struct line {
	unsigned outcome, key;
	const char *text, *uuid;
	bool rotational;
	sd_json_variant *care, *smart, *escrow;
};
static const struct json_field line_fields[] = {
	{ "outcome", JSON_CHOICE, offsetof(struct line, outcome), .required = true, .names = outcome_names },
	{ "text", JSON_TEXT, offsetof(struct line, text), .max = ANSWER_TEXT_MAX - 1, .ok = text_ok, .want = "printable text" },
	{ "uuid", JSON_TEXT, offsetof(struct line, uuid), .max = ANSWER_UUID_SIZE - 1, .ok = answer_uuid_ok, .want = "a UUID" },
	{ "rotational", JSON_BOOL, offsetof(struct line, rotational) },
	{ "key", JSON_CHOICE, offsetof(struct line, key), .names = answer_key_names },
	{ "care", JSON_ANY, offsetof(struct line, care) },
	{ "smart", JSON_ANY, offsetof(struct line, smart) },
	{ "escrow", JSON_ANY, offsetof(struct line, escrow) },
};
static const struct json_table line_table = { line_fields, ARRAY_LEN(line_fields), 0, NULL };

int answer_decode(struct str text, struct answer *ret, struct err *e)
{
	AUTO_JSON sd_json_variant *v = NULL;
	struct line l = { 0 };
	struct care care = { 0 };
	struct smart smart = { 0 };
	struct escrow escrow = { 0 };
	int r;

	if (text.n > ANSWER_MAX)
		return err_set(e, -EBADMSG, "the answer is longer than %d bytes", ANSWER_MAX);
	if ((r = json_parse(text, &v, e)) || (r = json_decode(v, &line_table, &l, e)))
		return r;
	if (!l.text && (l.outcome == ANSWER_FOREIGN || l.outcome == ANSWER_FAILED))
		return err_set(e, -EBADMSG, "/text: is missing");
	if (!l.uuid && l.outcome == ANSWER_OURS)
		return err_set(e, -EBADMSG, "/uuid: is missing");
	if (l.care && (r = care_decode(l.care, &care, e)))
		return err_wrap(e, r, "/care");
	if (l.smart && (r = smart_answer_decode(l.smart, &smart, e)))
		return err_wrap(e, r, "/smart");
	if (l.escrow && (r = escrow_answer_decode(l.escrow, &escrow, e)))
		return err_wrap(e, r, "/escrow");
	*ret = (struct answer){
		.outcome = l.outcome, .is_rotational = l.rotational, .key = l.key, .has_care = l.care, .care = care, .smart = smart, .escrow = escrow
	};
	snprintf(ret->text, sizeof(ret->text), "%s", l.text ? l.text : "");
	snprintf(ret->uuid, sizeof(ret->uuid), "%s", l.uuid ? l.uuid : "");
	return 0;
}

int answer_encode(const struct answer *a, struct buf *ret)
{
	AUTO_JSON sd_json_variant *v = NULL, *care = NULL, *smart = NULL, *escrow = NULL;
	char text[ANSWER_TEXT_MAX];
	size_t n = 0;

	for (; n < sizeof(text) - 1 && a->text[n]; n++)
		text[n] = is_printable(a->text[n]) ? a->text[n] : '?';
	text[n] = '\0';
	if (a->has_care && care_json(&a->care, &care) < 0)
		return -ENOMEM;
	if (a->smart.is_known && smart_answer_json(&a->smart, &smart) < 0)
		return -ENOMEM;
	if (escrow_answer_json(&a->escrow, &escrow) < 0)
		return -ENOMEM;
	if (sd_json_buildo(&v, SD_JSON_BUILD_PAIR_STRING("outcome", outcome_names[a->outcome]),
			   SD_JSON_BUILD_PAIR_CONDITION(n > 0, "text", SD_JSON_BUILD_STRING(text)),
			   SD_JSON_BUILD_PAIR_CONDITION(a->uuid[0] != '\0', "uuid", SD_JSON_BUILD_STRING(a->uuid)),
			   SD_JSON_BUILD_PAIR_BOOLEAN("rotational", a->is_rotational), SD_JSON_BUILD_PAIR_STRING("key", answer_key_names[a->key]),
			   SD_JSON_BUILD_PAIR_CONDITION(care != NULL, "care", SD_JSON_BUILD_VARIANT(care)),
			   SD_JSON_BUILD_PAIR_CONDITION(smart != NULL, "smart", SD_JSON_BUILD_VARIANT(smart)),
			   SD_JSON_BUILD_PAIR_CONDITION(escrow != NULL, "escrow", SD_JSON_BUILD_VARIANT(escrow))) < 0)
		return -ENOMEM;
	return json_format(v, ret);
}
