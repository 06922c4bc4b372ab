#include "sys/resolv.h"

#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

enum { RANK_BOOT, RANK_LEASE, RANK_FALLBACK, RANK_NONE };

static const struct {
	const char *end;
	int rank;
} kinds[] = {
	{ ".boot", RANK_BOOT }, { ".dhcp", RANK_LEASE }, { ".dhcp6", RANK_LEASE }, { ".ra", RANK_LEASE }, { ".fallback", RANK_FALLBACK },
};

static int rank(const char *name)
{
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < ARRAY_LEN(kinds); i++)
		if (!strcmp(dot, kinds[i].end))
			return kinds[i].rank;
	return RANK_NONE;
}

static int compare(const void *a, const void *b)
{
	const struct resolv_source *x = a, *y = b;
	int by_rank = rank(x->name) - rank(y->name);

	return by_rank ? by_rank : strcmp(x->name, y->name);
}

struct servers {
	struct str lines[RESOLV_SERVERS_MAX];
	size_t n;
};

static bool has(const struct servers *s, struct str line)
{
	for (size_t i = 0; i < s->n; i++)
		if (str_eq(s->lines[i], line))
			return true;
	return false;
}

/* Adds those of SOURCE until there are MAX. */
static void servers_take(struct servers *s, const struct resolv_source *source, size_t max)
{
	struct str rest = source->text, line;

	while (s->n < max && str_next(&rest, '\n', &line))
		if (str_starts(line, S("nameserver ")) && !has(s, line))
			s->lines[s->n++] = line;
}

void resolv_format(struct resolv_source *sources, size_t n, struct buf *ret)
{
	struct servers all = { .n = 0 }, back = { .n = 0 };

	qsort(sources, n, sizeof(*sources), compare);
	for (size_t i = 0; i < n; i++)
		if (rank(sources[i].name) == RANK_FALLBACK)
			servers_take(&back, &sources[i], RESOLV_SERVERS_MAX);
	for (size_t i = 0; i < n; i++)
		if (rank(sources[i].name) < RANK_FALLBACK)
			servers_take(&all, &sources[i], RESOLV_SERVERS_MAX - !!back.n);
	for (size_t i = 0; i < back.n && all.n < RESOLV_SERVERS_MAX; i++)
		if (!has(&all, back.lines[i]))
			all.lines[all.n++] = back.lines[i];
	for (size_t i = 0; i < all.n; i++)
		buf_addf(ret, STR_FMT "\n", STR_ARG(all.lines[i]));
	if (all.n > 1)
		buf_add(ret, S("options timeout:2 attempts:2\n"));
}

/* Appends what all in DIR say to RET and tells in LIST where each begins and ends; ORDER: how many. */
static int sources_read(DIR *dir, struct buf *ret, struct resolv_source *list, size_t *ret_n, struct err *e)
{
	size_t starts[RESOLV_SOURCES_MAX], n = 0;
	struct dirent *d;
	int r;

	while ((d = readdir(dir)) && n < RESOLV_SOURCES_MAX) {
		if (d->d_name[0] == '.' || rank(d->d_name) == RANK_NONE || strlen(d->d_name) >= RESOLV_NAME_SIZE)
			continue;
		starts[n] = ret->len;
		snprintf(list[n].name, sizeof(list[n].name), "%.*s", RESOLV_NAME_SIZE - 1, d->d_name);
		if ((r = file_read(dirfd(dir), d->d_name, RESOLV_SOURCE_MAX_BYTES, ret, e)))
			return r;
		n++;
	}
	for (size_t i = 0; i < n; i++)
		list[i].text = (struct str){ ret->p + starts[i], (i + 1 < n ? starts[i + 1] : ret->len) - starts[i] };
	*ret_n = n;
	return 0;
}

static int source_save(int dir, const char *source, struct str text, struct err *e)
{
	if (!text.n)
		return unlinkat(dir, source, 0) && errno != ENOENT ? err_set(e, -errno, "remove the name servers of %s: %m", source) : 0;
	return file_save(dir, source, text, 0644, e);
}

int resolv_put(const char *sources, const char *conf, const char *source, struct str text, struct err *e)
{
	AUTO_BUF struct buf all = { .limit = (size_t)RESOLV_SOURCES_MAX * RESOLV_SOURCE_MAX_BYTES }, b = { 0 };
	struct resolv_source list[RESOLV_SOURCES_MAX];
	AUTO_DIR DIR *dir = opendir(sources);
	size_t n = 0;
	int r;

	if (!dir || flock(dirfd(dir), LOCK_EX)) /* until it is closed: there are several of us */
		return err_set(e, -errno, "open %s: %m", sources);
	if ((r = source_save(dirfd(dir), source, text, e)) || (r = sources_read(dir, &all, list, &n, e)))
		return r;
	resolv_format(list, n, &b);
	return file_keep(AT_FDCWD, conf, buf_str(&b), 0644, e);
}
