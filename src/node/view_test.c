#include "node/view.h"

#include "base/log.h"
#include "test/t.h"

#include <stdio.h>

static void only_warnings_are_kept(void)
{
	static const struct {
		const char *line, *text;
		uint64_t at_ms;
	} rows[] = {
		{ "<4>12.345 gridd: it is gone", "it is gone", 12345 },
		{ "<3>0.001 nothing works", "nothing works", 1 },
		{ "<3>1.000 gridd:", "gridd:", 1000 },
		{ "<6>12.345 gridd: it is back", "", 0 },
		{ "<4>12.34 short", "", 0 },
		{ "<4>12 short", "", 0 },
		{ "<4>x.345 none", "", 0 },
		{ "<4>12.345", "", 0 },
		{ "4>12.345 x", "", 0 },
		{ "", "", 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct view_note notes[VIEW_NOTES] = { 0 };

		view_note_add(notes, "gridd", str_c(rows[i].line));
		T_CHECK(!strcmp(notes[0].text, rows[i].text) && notes[0].at_ms == rows[i].at_ms, "'%s': '%s' at %llu", rows[i].line, notes[0].text,
			(unsigned long long)notes[0].at_ms);
	}
}

static void the_newest_stay(void)
{
	static const char *const lines[] = { "<4>5.000 e", "<4>1.000 a", "<4>3.000 c", "<4>4.000 d", "<4>2.000 b" };
	struct view_note notes[VIEW_NOTES] = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		view_note_add(notes, "x", str_c(lines[i]));
	T_CHECK(!strcmp(notes[0].text, "e") && !strcmp(notes[1].text, "d") && !strcmp(notes[2].text, "c"), "%s %s %s", notes[0].text, notes[1].text,
		notes[2].text);
}

static void long_lines_are_cut(void)
{
	struct view_note notes[VIEW_NOTES] = { 0 };
	char line[2 * VIEW_NOTE_MAX];

	memset(line, 'x', sizeof(line));
	memcpy(line, "<4>1.000 ", 9);
	view_note_add(notes, "x", (struct str){ line, sizeof(line) });
	T_CHECK(strlen(notes[0].text) == VIEW_NOTE_MAX - 1, "%zu", strlen(notes[0].text));
}

/* What the console would draw: the number of texts; the first is opened into RET. */
static size_t diagnosed(struct view *v, struct diagnosis *ret)
{
	AUTO_JSON sd_json_variant *list = NULL;
	struct err e = { 0 };

	T_CHECK(sd_json_variant_new_array(&list, NULL, 0) >= 0 && view_diagnose(v, &list) >= 0, "a list");
	if (sd_json_variant_elements(list))
		T_CHECK(!diagnosis_open(str_c(sd_json_variant_string(sd_json_variant_by_key(sd_json_variant_by_index(list, 0), "text"))), ret, &e),
			"%s", e.msg);
	return sd_json_variant_elements(list);
}

static void a_diagnosis_comes_with_the_loss_of_all_hubs(void)
{
	struct engine *n = calloc(1, sizeof(*n));
	struct view *v = calloc(1, sizeof(*v));
	struct line l = { .engine = n, .n_hubs = 2, .hubs = { { .since_ms = 1, .why = "nobody there" }, { .is_up = true } } };
	char first[DIAGNOSIS_SIZE];
	struct diagnosis got;

	*n = (struct engine)ENGINE_NONE;
	*v = (struct view){ .engine = n, .line = &l };
	T_CHECK(!key_new(KEY_NODE, &n->identity), "key");
	T_CHECK(!diagnosed(v, &got) && !view_diagnose_in_ms(v), "one of two hubs is reached");
	l.hubs[1] = (struct line_hub){ .since_ms = log_now_ms() };
	T_CHECK(!diagnosed(v, &got) && view_diagnose_in_ms(v) > 0 && view_diagnose_in_ms(v) <= VIEW_DIAGNOSE_MS, "not before its time");
	l.hubs[1].since_ms = 1;
	T_CHECK(diagnosed(v, &got) == VIEW_DIAGNOSES && key_pub_eq(&got.node, &n->identity.pub) && !view_diagnose_in_ms(v), "both sizes");
	memcpy(first, v->diagnosis.texts[0], sizeof(first));
	T_CHECK(diagnosed(v, &got) && !strcmp(first, v->diagnosis.texts[0]), "nothing new, and signed again");
	snprintf(v->notes[0].service, sizeof(v->notes[0].service), "dhcp");
	snprintf(v->notes[0].text, sizeof(v->notes[0].text), "no lease");
	v->notes[0].at_ms = 1;
	T_CHECK(diagnosed(v, &got) && got.n_words && !strcmp(got.words[got.n_words - 1], "dhcp: no lease"), "the last warning");
	l.hubs[0].is_up = true;
	T_CHECK(!diagnosed(v, &got), "a hub is back");
	key_wipe(&n->identity);
	free(n);
	free(v);
}

int main(void)
{
	T_RUN(only_warnings_are_kept);
	T_RUN(the_newest_stay);
	T_RUN(long_lines_are_cut);
	T_RUN(a_diagnosis_comes_with_the_loss_of_all_hubs);
	return T_END();
}
