/* Command line options: one table a command. It parses, it prints the help, completion reads it.
 *
 * The type of an option comes from the field it fills, so table and struct cannot disagree. */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>
#include <stdio.h>

enum opt_type { OPT_FLAG, OPT_TEXT, OPT_TEXTS, OPT_U32, OPT_U64 };

enum { OPT_TEXTS_MAX = 16 };
struct opt_texts { /* of an option that may be given more than once */
	const char *texts[OPT_TEXTS_MAX];
	size_t n;
};

struct opt {
	const char *name, *arg, *help; /* without dashes; NULL arg for flags */
	enum opt_type type;
	size_t off;
	bool is_size; /* a u64 written as a size: 256MiB */
	char letter;  /* -f for --follow; 0 = none */
};
#define OPT(T, field, flag, argname, text)     \
	{ .name = (flag),                      \
	  .arg = (argname),                    \
	  .help = (text),                      \
	  .off = offsetof(T, field),           \
	  .type = _Generic(((T *)0)->field,    \
		  bool: OPT_FLAG,              \
		  const char *: OPT_TEXT,      \
		  struct opt_texts: OPT_TEXTS, \
		  uint32_t: OPT_U32,           \
		  uint64_t: OPT_U64) }
#define OPT_SHORT(T, field, flag, short_name, argname, text)                                                               \
	{ .name = (flag),                                                                                                  \
	  .arg = (argname),                                                                                                \
	  .help = (text),                                                                                                  \
	  .off = offsetof(T, field),                                                                                       \
	  .type = _Generic(((T *)0)->field, bool: OPT_FLAG, const char *: OPT_TEXT, uint32_t: OPT_U32, uint64_t: OPT_U64), \
	  .letter = (short_name) }
#define OPT_SIZE(T, field, flag, text) { .name = (flag), .arg = "SIZE", .help = (text), .off = offsetof(T, field), .type = OPT_U64, .is_size = true }

/* Options and positional words may be mixed; "--" ends the options; with STOP_AT_WORD set the first positional word ends them
 * too. Words are collected in WORDS (borrowed from ARGV), NULL-terminated; at most MAX_WORDS - 1. Returns their number or
 * -EINVAL with a sentence. */
struct opt_words {
	const char **words;
	size_t max;
	bool stop_at_word;
};
MUST_CHECK int opt_parse(const struct opt *opts, size_t n_opts, char **argv, void *ret, struct opt_words *w, struct err *e);

void opt_help(FILE *f, const struct opt *opts, size_t n_opts);
