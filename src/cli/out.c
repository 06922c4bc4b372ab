#include "cli/command.h"

#include "base/parse.h"

#include <stdio.h>
#include <sys/ioctl.h>

static int json_print(sd_json_variant *v, sd_json_format_flags_t flags, struct err *e)
{
	AUTO_FREE char *text = NULL;

	if (sd_json_variant_format(v, flags, &text) < 0)
		return err_set(e, -ENOMEM, "print JSON: out of memory");
	fputs(text, stdout);
	return fflush(stdout) ? err_set(e, -errno, "print: %m") : 0;
}

int out_json(sd_json_variant *v, struct err *e)
{
	return json_print(v, SD_JSON_FORMAT_PRETTY, e);
}

int out_json_line(sd_json_variant *v, struct err *e)
{
	return json_print(v, SD_JSON_FORMAT_NEWLINE, e);
}

static int terminal_width(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col ? 0 : size.ws_col;
}

/* Where somebody looks who has not said otherwise (no-color.org). */
static bool has_colours(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && no[0]) && term && strcmp(term, "dumb") != 0;
}

void out_table(const struct out_column *columns, size_t n_columns, const char *const *rows, size_t n_rows)
{
	table_print(stdout, columns, n_columns, rows, n_rows, terminal_width(), has_colours());
}

void out_progress_left(const struct cli *c, const char *what, uint64_t done, uint64_t total, uint64_t left_s)
{
	enum { BAR = 24 };
	char bar[BAR + 1], a[16], b[16], left[16] = "";
	int full = total ? (int)(done * BAR / total) : 0;

	if (c->json || !c->tty)
		return;
	full = full > BAR ? BAR : full;
	memset(bar, '.', BAR);
	memset(bar, '#', (size_t)full);
	bar[BAR] = '\0';
	format_size(a, done);
	format_size(b, total);
	if (left_s != UINT64_MAX)
		format_duration(left, left_s);
	if (total)
		fprintf(stderr, "\r\033[K%-28.60s [%s] %s of %s%s%s%s", what, bar, a, b, left[0] ? ", " : "", left, left[0] ? " left" : "");
	else if (done)
		fprintf(stderr, "\r\033[K%-28.60s %s", what, a);
	else
		fprintf(stderr, "\r\033[K%.70s", what);
	fflush(stderr);
}

void out_progress(const struct cli *c, const char *what, uint64_t done, uint64_t total)
{
	out_progress_left(c, what, done, total, UINT64_MAX);
}

void out_progress_end(const struct cli *c)
{
	if (!c->json && c->tty)
		fprintf(stderr, "\r\033[K");
}

const char *out_text(sd_json_variant *v, const char *key, const char *otherwise)
{
	sd_json_variant *field = sd_json_variant_by_key(v, key);

	return sd_json_variant_is_string(field) ? sd_json_variant_string(field) : otherwise;
}

uint64_t out_u64(sd_json_variant *v, const char *key)
{
	sd_json_variant *field = sd_json_variant_by_key(v, key);

	return sd_json_variant_is_unsigned(field) ? sd_json_variant_unsigned(field) : 0;
}

bool out_true(sd_json_variant *v, const char *key)
{
	sd_json_variant *field = sd_json_variant_by_key(v, key);

	return sd_json_variant_is_boolean(field) && sd_json_variant_boolean(field);
}
