#include "base/opt.h"

#include "test/t.h"

struct args {
	const char *name;
	uint32_t count;
	uint64_t memory_bytes;
	bool force;
	struct opt_texts with;
};

static const struct opt opts[] = {
	OPT(struct args, name, "name", "NAME", "what it is called"), OPT(struct args, count, "count", "N", "how many"),
	OPT_SIZE(struct args, memory_bytes, "memory", "how much"),   OPT(struct args, force, "force", NULL, "do not ask"),
	OPT(struct args, with, "with", "NAME", "with what else"),
};

static void rows(void)
{
	static const struct {
		const char *argv[6];
		int n;         /* words, or the error */
		const char *msg; /* part of the sentence */
	} cases[] = {
		{ { "a", "--name", "x", "b" }, 2, NULL },
		{ { "--name=x", "--memory", "4KiB", "--force" }, 0, NULL },
		{ { "--", "--name" }, 1, NULL },
		{ { "--nome", "x" }, -EINVAL, "unknown option '--nome'" },
		{ { "--name" }, -EINVAL, "--name wants NAME" },
		{ { "--count", "x" }, -EINVAL, "is not a number" },
		{ { "--count", "4294967296" }, -EINVAL, "is not a number" },
		{ { "--memory", "4kb" }, -EINVAL, "is not a size" },
		{ { "--force=yes" }, -EINVAL, "takes no value" },
		{ { "a", "b", "c" }, -EINVAL, "one word too many" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct args got = { 0 };
		const char *words[3];
		struct opt_words w = { words, ARRAY_LEN(words), false };
		struct err e = { 0 };
		int n = opt_parse(opts, ARRAY_LEN(opts), (char **)cases[i].argv, &got, &w, &e);

		T_CHECK(n == cases[i].n, "row %zu: %d %s", i, n, e.msg);
		T_CHECK(!cases[i].msg || strstr(e.msg, cases[i].msg), "row %zu: '%s'", i, e.msg);
	}
}

static void stores_by_type(void)
{
	struct args got = { 0 };
	const char *words[4];
	struct opt_words w = { words, 4, true };
	char *argv[] = { "--count", "3", "--memory=2MiB", "--force", "run", "--force", NULL };
	int n = opt_parse(opts, ARRAY_LEN(opts), argv, &got, &w, NULL);

	T_CHECK(n == 2 && !strcmp(words[1], "--force") && !words[2], "the first word ends the options: %d", n);
	T_CHECK(got.count == 3 && got.memory_bytes == 2 << 20 && got.force, "values");
}

static void some_are_given_more_than_once(void)
{
	char *argv[OPT_TEXTS_MAX + 2] = { "--with", "first" };
	struct args got = { 0 };
	struct opt_words w = { NULL, 0, false };
	struct err e = { 0 };

	for (size_t i = 2; i <= OPT_TEXTS_MAX; i++)
		argv[i] = "--with=another";
	T_CHECK(opt_parse(opts, ARRAY_LEN(opts), argv, &got, &w, &e) == 0, "%s", e.msg);
	T_CHECK(got.with.n == OPT_TEXTS_MAX && !strcmp(got.with.texts[0], "first") && !strcmp(got.with.texts[1], "another"), "%zu", got.with.n);
	argv[0] = "--with=one too many";
	argv[1] = "--with=first";
	got = (struct args){ 0 };
	T_CHECK(opt_parse(opts, ARRAY_LEN(opts), argv, &got, &w, &e) == -EINVAL && strstr(e.msg, "at most 16"), "%s", e.msg);
}

int main(void)
{
	T_RUN(rows);
	T_RUN(stores_by_type);
	T_RUN(some_are_given_more_than_once);
	return T_END();
}
