/* An export is the protocol itself: SET after SET, with the time of each, so that 'redis-cli --pipe' takes it as well as 'zdb import'. */
#include "zdb/tool.h"

#include "base/parse.h"
#include "zdb/resp.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { WINDOW_BYTES = RESP_COMMAND_MAX + (1 << 20), SHOWN_MAX = 64 };

static int named(struct store *s, const char *space, struct namespace **ret, struct err *e)
{
	*ret = store_find(s, str_c(space));
	return *ret ? 0 : err_set(e, -ENOENT, "there is no namespace '%s'", space);
}

/* What a start found to be no records any more. */
static int gaps_tell(const struct namespace *n)
{
	for (size_t i = 0; i < n->space.log.n_gaps; i++)
		fprintf(stderr, "zdb: namespace '%s': nothing can be read in d%u from %u to %u\n", n->name, n->space.log.gaps[i].file,
			n->space.log.gaps[i].from, n->space.log.gaps[i].to);
	return n->space.log.n_gaps ? TOOL_BAD : 0;
}

/* Reads the values in FILE; returns how many are well. One that cannot be passed ends it, and is told. */
static uint64_t sound_in(struct namespace *n, uint32_t file, uint8_t *value)
{
	struct place at = { .file = file };
	struct err e = { 0 };
	struct reading r;
	uint64_t sound = 0;
	int k;

	while (!(k = space_next_in(&n->space, at, &r, &at, &e))) {
		bool is = !datalog_payload(&r, value, &e);

		if (!is)
			fprintf(stderr, "zdb: namespace '%s': d%u:%u: %s\n", n->name, at.file, at.offset, e.msg);
		sound += is;
	}
	if (k < 0)
		fprintf(stderr, "zdb: namespace '%s': d%u is not read on: %s\n", n->name, file, e.msg);
	return sound;
}

/* Keys whose values are not there as they were written. */
static int damaged(struct namespace *n, uint64_t *ret, struct err *e)
{
	AUTO_FREE uint8_t *value = malloc(RECORD_PAYLOAD_MAX);

	if (!value)
		return err_set(e, -ENOMEM, "check: out of memory");
	*ret = n->space.keys.n;
	for (size_t i = 0; i < n->space.log.n_files; i++)
		*ret -= sound_in(n, n->space.log.files[i].head.file, value);
	return 0;
}

static int run_check(struct store *s, const char *space, struct err *e)
{
	int worst = 0;

	printf("%-32s %12s %16s %6s %9s %8s\n", "NAMESPACE", "KEYS", "BYTES", "FILES", "DAMAGED", "GAPS");
	for (struct namespace *n = s->list; n; n = n->next) {
		uint64_t bad = 0;
		int r;

		if (space && strcmp(space, n->name))
			continue;
		if ((r = damaged(n, &bad, e)))
			return err_wrap(e, r, "namespace '%s'", n->name);
		printf("%-32s %12" PRIu64 " %16" PRIu64 " %6zu %9" PRIu64 " %8zu\n", n->name, n->space.keys.n, n->space.data_bytes,
		       n->space.log.n_files, bad, n->space.log.n_gaps);
		worst = gaps_tell(n) || bad ? TOOL_BAD : worst;
	}
	return worst;
}

/* As text where it is, else in hex. */
static void key_print(struct str key)
{
	AUTO_BUF struct buf hex = { 0 };

	for (size_t i = 0; i < key.n; i++)
		if (key.p[i] <= ' ' || key.p[i] > '~') {
			format_hex(&hex, key.p, key.n);
			printf("0x%s", hex.p);
			return;
		}
	printf(STR_FMT, STR_ARG(key));
}

static int dump_one(struct namespace *n, struct err *e)
{
	struct place at = { 0 };
	struct reading r;
	char when[24];
	int k;

	while (!(k = space_next(&n->space, at, &r, &at, e))) {
		format_time(when, r.record.time_s);
		printf("%s %8u d%u:%u ", when, r.record.length, at.file, at.offset);
		key_print(r.record.id);
		putchar('\n');
	}
	return k < 0 ? err_wrap(e, k, "dump namespace '%s'", n->name) : gaps_tell(n);
}

static int run_dump(struct store *s, const char *space, struct err *e)
{
	struct namespace *one;
	int k, worst = 0;

	if (space)
		return (k = named(s, space, &one, e)) ? k : dump_one(one, e);
	for (struct namespace *n = s->list; n; n = n->next) {
		printf("namespace %s\n", n->name);
		if ((k = dump_one(n, e)) < 0)
			return k;
		worst = k ? k : worst;
	}
	return worst;
}

static uint64_t bytes_of(const struct store *s)
{
	uint64_t bytes = 0;

	for (const struct namespace *n = s->list; n; n = n->next)
		bytes += datalog_bytes(&n->space.log);
	return bytes;
}

static int run_compact(struct store *s, const char *space, struct err *e)
{
	uint64_t before = bytes_of(s);

	(void)space;
	(void)e; /* what fails for one namespace is told, and the others go on */
	while (store_tidy(s, 0))
		;
	printf("%" PRIu64 " bytes, from %" PRIu64 "\n", bytes_of(s), before);
	return 0;
}

static int one_out(const struct reading *r, struct buf *out, struct err *e)
{
	char when[16];
	int k;

	snprintf(when, sizeof(when), "%u", r->record.time_s);
	out->len = 0;
	resp_array(out, 4);
	resp_bulk(out, S("SET"));
	resp_bulk(out, r->record.id);
	resp_bulk_head(out, r->record.length);
	buf_reserve(out, r->record.length + 2);
	if (buf_check(out))
		return err_set(e, -ENOMEM, "export: out of memory");
	if ((k = datalog_payload(r, (uint8_t *)out->p + out->len, e)))
		return k;
	out->len += r->record.length;
	buf_add(out, S("\r\n"));
	resp_bulk(out, str_c(when));
	return fwrite(out->p, 1, out->len, stdout) == out->len ? 0 : err_set(e, -EIO, "export: %m");
}

static int run_export(struct store *s, const char *space, struct err *e)
{
	AUTO_BUF struct buf out = { 0 };
	struct place at = { 0 };
	struct namespace *n;
	struct reading r;
	int k;

	if ((k = named(s, space, &n, e)))
		return k;
	while (!(k = space_next(&n->space, at, &r, &at, e)))
		if ((k = one_out(&r, &out, e)))
			return err_wrap(e, k, "export: '" STR_FMT "' at d%u:%u", (int)(r.record.id.n < SHOWN_MAX ? r.record.id.n : SHOWN_MAX),
					r.record.id.p, at.file, at.offset);
	if (k < 0)
		return err_wrap(e, k, "export: what is behind is left out");
	return fflush(stdout) ? err_set(e, -errno, "export: %m") : gaps_tell(n);
}

/* One SET KEY VALUE [TIME]. */
static int one_in(struct namespace *n, const struct resp_command *c, struct err *e)
{
	char room[SPACE_SEQ_ID_BYTES];
	uint64_t time_s = (uint64_t)time(NULL);
	struct str id;
	int r;

	if ((c->n != 3 && c->n != 4) || !str_eq(c->words[0], S("SET")) || !c->words[1].n || c->words[1].n > RECORD_ID_MAX ||
	    (c->n == 4 && parse_u64(c->words[3], UINT32_MAX, &time_s)))
		return err_set(e, -EBADMSG, "import: what is read is no export: SET KEY VALUE [TIME]");
	r = n->settings.mode == SPACE_SEQ ? space_set_number(&n->space, c->words[1], c->words[2], (uint32_t)time_s, e)
					  : space_set(&n->space, c->words[1], c->words[2], (uint32_t)time_s, room, &id, e);
	if (r == SPACE_FULL)
		return err_set(e, -ENOSPC, "import: the namespace holds no more than %" PRIu64 " bytes", n->settings.max_bytes);
	return r < 0 ? r : 0;
}

/* All commands in BYTES; what is left of the last one is moved to the front. */
static int all_in(struct namespace *n, struct resp_command *c, char *bytes, size_t *len, struct err *e)
{
	size_t done = 0, used;
	const char *why;
	int r = 0;

	while (!r && done < *len) {
		r = resp_parse((struct str){ bytes + done, *len - done }, c, &used, &why);
		if (r == RESP_MORE)
			break;
		if (r)
			return err_set(e, r, "import: %s", why);
		r = one_in(n, c, e);
		done += used;
	}
	memmove(bytes, bytes + done, *len -= done);
	return r == RESP_MORE ? 0 : r;
}

static int run_import(struct store *s, const char *space, struct err *e)
{
	AUTO_FREE struct resp_command *c = malloc(sizeof(*c));
	AUTO_FREE char *bytes = malloc(WINDOW_BYTES);
	struct namespace *n;
	size_t len = 0, got;
	int r;

	if (!c || !bytes)
		return err_set(e, -ENOMEM, "import: out of memory");
	if ((r = named(s, space, &n, e)))
		return r;
	while (!r && (got = fread(bytes + len, 1, WINDOW_BYTES - len, stdin))) {
		len += got;
		r = all_in(n, c, bytes, &len, e);
	}
	if (!r && len)
		r = err_set(e, -EBADMSG, "import: it ends in the middle of a command");
	return r ? r : space_sync(&n->space, e);
}

static const struct tool tools[] = {
	{ "check", "[NAMESPACE]", "read every value and say what is damaged; ends with 1 when something is", run_check, false },
	{ "dump", "[NAMESPACE]", "list the keys, with when they were set, size and place", run_dump, false },
	{ "compact", "", "give back the room of what was overwritten and deleted", run_compact, false },
	{ "export", "NAMESPACE", "write keys and values as commands of redis to standard output", run_export, true },
	{ "import", "NAMESPACE", "read such commands from standard input", run_import, true },
};

const struct tool *tool_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(tools); i++)
		if (!strcmp(tools[i].name, name))
			return &tools[i];
	return NULL;
}

void tool_help(void)
{
	for (size_t i = 0; i < ARRAY_LEN(tools); i++)
		printf("  zdb %-8s %-12s %s\n", tools[i].name, tools[i].words, tools[i].help);
}
