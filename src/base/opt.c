#include "base/opt.h"

#include "base/parse.h"

static int opt_store(const struct opt *o, const char *value, void *ret, struct err *e)
{
	void *field = (char *)ret + o->off;
	struct opt_texts *list = field;
	uint64_t v;
	int r;

	switch (o->type) {
	case OPT_FLAG:
		*(bool *)field = true;
		return 0;
	case OPT_TEXT:
		*(const char **)field = value;
		return 0;
	case OPT_TEXTS:
		if (list->n == OPT_TEXTS_MAX)
			return err_set(e, -EINVAL, "--%s: at most %d of them are taken", o->name, OPT_TEXTS_MAX);
		list->texts[list->n++] = value;
		return 0;
	case OPT_U32:
	case OPT_U64:
		r = o->is_size ? parse_bytes(str_c(value), &v) : parse_u64(str_c(value), o->type == OPT_U32 ? UINT32_MAX : UINT64_MAX, &v);
		if (r)
			return err_set(e, -EINVAL, "--%s: '%s' is not %s", o->name, value,
				       o->is_size ? "a size (such as 256MiB)" : "a number in range");
		if (o->type == OPT_U32)
			*(uint32_t *)field = (uint32_t)v;
		else
			*(uint64_t *)field = v;
		return 0;
	}
	bug(__FILE__, __LINE__, "an option type without a line here");
}

static const struct opt *opt_find(const struct opt *opts, size_t n_opts, struct str name)
{
	for (size_t i = 0; i < n_opts; i++)
		if (str_eq(str_c(opts[i].name), name))
			return &opts[i];
	return NULL;
}

/* The flag that "-x" stands for, or NULL: then it is a word. */
static const struct opt *letter_find(const struct opt *opts, size_t n_opts, const char *word)
{
	for (size_t i = 0; i < n_opts; i++)
		if (word[0] == '-' && word[1] && !word[2] && opts[i].letter == word[1] && opts[i].type == OPT_FLAG)
			return &opts[i];
	return NULL;
}

/* One option at *a; moves *a on to its value when that stands apart. */
static int opt_one(const struct opt *opts, size_t n_opts, char ***a, void *ret, struct err *e)
{
	const char *text = **a + 2, *equals = strchr(text, '='), *value = NULL;
	struct str name = equals ? (struct str){ text, (size_t)(equals - text) } : str_c(text);
	const struct opt *o = opt_find(opts, n_opts, name);

	if (!o)
		return err_set(e, -EINVAL, "unknown option '%s': --help lists them", **a);
	if (o->type == OPT_FLAG && equals)
		return err_set(e, -EINVAL, "--%s takes no value", o->name);
	if (o->type != OPT_FLAG) {
		value = equals ? equals + 1 : *++*a;
		if (!value)
			return err_set(e, -EINVAL, "--%s wants %s", o->name, o->arg);
	}
	return opt_store(o, value, ret, e);
}

int opt_parse(const struct opt *opts, size_t n_opts, char **argv, void *ret, struct opt_words *w, struct err *e)
{
	size_t n = 0;
	bool words_only = false;

	for (char **a = argv; *a; a++) {
		if (!words_only && !strcmp(*a, "--")) {
			words_only = true;
			continue;
		}
		if (!words_only && !strncmp(*a, "--", 2)) {
			int r = opt_one(opts, n_opts, &a, ret, e);

			if (r)
				return r;
			continue;
		}
		if (!words_only && letter_find(opts, n_opts, *a)) {
			int r = opt_store(letter_find(opts, n_opts, *a), NULL, ret, e);

			if (r)
				return r;
			continue;
		}
		if (n + 1 >= w->max)
			return err_set(e, -EINVAL, "'%s' is one word too many: --help shows the usage", *a);
		w->words[n++] = *a;
		words_only |= w->stop_at_word;
	}
	if (w->max)
		w->words[n] = NULL;
	return (int)n;
}

void opt_help(FILE *f, const struct opt *opts, size_t n_opts)
{
	for (size_t i = 0; i < n_opts; i++) {
		char left[64];

		char letter[8] = "";

		if (opts[i].letter)
			snprintf(letter, sizeof(letter), "-%c, ", opts[i].letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, opts[i].name, opts[i].arg ? " " : "", opts[i].arg ? opts[i].arg : "");
		fprintf(f, "  %-24s %s\n", left, opts[i].help);
	}
}
