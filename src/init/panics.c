/* panics -- tells what the kernel said when it died the last time, and ends. The lines are in the machine's pstore, in variables of its firmware
 * as a rule; they go to this service's log ('zos node logs panics'), the reason as an error, which the screen shows, and are removed from the
 * store: firmware has little room, and what it has no room for it takes badly. */
#include "init/lastwords.h"

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#define STORE "/sys/fs/pstore"
enum { FILES_MAX = 64, FILE_MAX_BYTES = 65536, WHY_MAX = 160 };

struct record {
	char name[NAME_MAX + 1];
	struct buf text;
	struct lastwords words;
	bool has_words;
};

static int record_read(int dir, const char *name, struct record *ret)
{
	struct err e = { 0 };

	*ret = (struct record){ 0 };
	memcpy(ret->name, name, strlen(name) + 1);
	if (file_read(dir, name, FILE_MAX_BYTES, &ret->text, &e)) {
		log_warn("%s", e.msg);
		return -1;
	}
	ret->has_words = lastwords_parse(buf_str(&ret->text), &ret->words);
	return 0;
}

static size_t records_read(int dir, struct record ret[static FILES_MAX])
{
	DIR *d = fdopendir(dup(dir));
	const struct dirent *entry;
	size_t n = 0;

	BUG_ON(!d);
	while (n < FILES_MAX && (entry = readdir(d)))
		if (entry->d_name[0] != '.')
			n += !record_read(dir, entry->d_name, &ret[n]);
	closedir(d);
	return n;
}

static int order(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	return x->has_words != y->has_words ? (x->has_words ? 1 : -1) : lastwords_order(&x->words, &y->words);
}

/* What is not printable becomes '?': it ends on terminals. False: there is nothing on it. */
static bool line_tell(struct str line, char why[static WHY_MAX])
{
	char text[512];
	int n = snprintf(text, sizeof(text), STR_FMT, STR_ARG(line));

	for (int i = 0; i < n && i < (int)sizeof(text) - 1; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = '?';
	if (text[0])
		log_info("%s", text);
	if (lastwords_is_why(str_c(text)))
		snprintf(why, WHY_MAX, "%s", text);
	return text[0];
}

static size_t record_tell(const struct record *r, char why[static WHY_MAX])
{
	struct str rest = r->words.lines, line;
	size_t n = 0;

	while (str_next(&rest, '\n', &line))
		n += line_tell(lastwords_text(line), why);
	return n;
}

/* Returns how many lines there were. */
static size_t all_tell(struct record *records, size_t n, char why[static WHY_MAX])
{
	size_t lines = 0;

	qsort(records, n, sizeof(*records), order);
	for (size_t i = 0; i < n; i++)
		if (records[i].has_words)
			lines += record_tell(&records[i], why);
	return lines;
}

/* Whatever lies there, ours or not: nobody else looks after it. */
static bool all_remove(int dir, struct record *records, size_t n)
{
	bool ok = true;

	for (size_t i = 0; i < n; i++) {
		buf_deinit(&records[i].text);
		if (!unlinkat(dir, records[i].name, 0))
			continue;
		log_err("cannot remove %s from the machine's pstore, which will be full one day: %m", records[i].name);
		ok = false;
	}
	return ok;
}

int main(void)
{
	static struct record records[FILES_MAX];
	AUTO_FD int dir = open(STORE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char why[WHY_MAX] = "nobody knows why";
	size_t n, lines;

	log_init("panics", getenv("ZOS_DEBUG") != NULL);
	if (dir < 0)
		return EXIT_SUCCESS; /* a kernel without it */
	n = records_read(dir, records);
	lines = all_tell(records, n, why);
	if (lines)
		log_err("the kernel died before this start: %s; 'zos node logs panics' has its last %zu lines", why, lines);
	return all_remove(dir, records, n) ? EXIT_SUCCESS : EXIT_FAILURE;
}
