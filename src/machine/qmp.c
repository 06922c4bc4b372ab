#include "machine/qmp.h"

#include "api/json.h"

static const struct {
	const char *key, *text; /* NULL: any value */
	enum qmp_word word;
} words[] = {
	{ "QMP", NULL, QMP_GREETING },
	{ "return", NULL, QMP_DONE },
	{ "event", "BLOCK_IO_ERROR", QMP_UNREAD },
};

static bool is_text(sd_json_variant *v, const char *text)
{
	return sd_json_variant_is_string(v) && !strcmp(sd_json_variant_string(v), text);
}

static bool is_word(sd_json_variant *v, size_t i)
{
	sd_json_variant *value = sd_json_variant_by_key(v, words[i].key);

	return value && (!words[i].text || is_text(value, words[i].text));
}

static int line_decode(struct str line)
{
	AUTO_JSON sd_json_variant *v = NULL;
	enum qmp_word word = QMP_OTHER;

	if (json_parse(line, &v, NULL) || !sd_json_variant_is_object(v))
		return -EBADMSG;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (is_word(v, i))
			word = words[i].word;
	if (word == QMP_UNREAD && is_text(sd_json_variant_by_key(sd_json_variant_by_key(v, "data"), "operation"), "write"))
		word = QMP_UNWRITTEN; /* it tells that there was no space only where it would have stopped the guest */
	return word;
}

int qmp_take(struct qmp_ear *ear, struct str *p)
{
	const char *end = p->n ? memchr(p->p, '\n', p->n) : NULL;
	size_t n = end ? (size_t)(end - p->p) + 1 : p->n;
	int word;

	if (n > sizeof(ear->line) - ear->n)
		return -EBADMSG;
	if (n)
		memcpy(ear->line + ear->n, p->p, n);
	ear->n += n;
	*p = (struct str){ p->p + n, p->n - n };
	if (!end)
		return QMP_MORE;
	word = line_decode((struct str){ ear->line, ear->n });
	ear->n = 0;
	return word;
}
