/* Keys and values, and walks over them. */
#include "base/parse.h"
#include "zdb/call.h"

#include <stdio.h>
#include <time.h>

enum { CURSOR_BYTES = 12 };

static bool key_ok(struct call *c, struct str key, const char *otherwise)
{
	if (key.n <= RECORD_ID_MAX)
		return true;
	call_refuse(c, otherwise);
	return false;
}

/* The record of word 1; answers when there is none, NIL with nil. */
static bool key_get(struct call *c, struct reading *ret, struct place *ret_at, bool nil)
{
	int r;

	if (!key_ok(c, call_word(c, 1), "Invalid key"))
		return false;
	r = space_get(&c->session->space->space, call_word(c, 1), ret_at, ret, NULL);
	if (!r)
		return true;
	if (r < 0)
		call_disk_error(c, r, "Internal Error");
	else if (nil)
		resp_nil(c->out);
	else
		call_refuse(c, "Key not found");
	return false;
}

/* A copy of R's value, with room for an end of line. */
static int value_copy(struct call *c, const struct reading *r)
{
	int k;

	buf_reserve(c->out, r->record.length + 2);
	if (buf_check(c->out))
		return -ENOMEM;
	if (!(k = datalog_payload(r, (uint8_t *)c->out->p + c->out->len, NULL)))
		c->out->len += r->record.length;
	return k;
}

/* LEND_NOT: it has to be copied. */
static int value_lend(struct call *c, const struct reading *r)
{
	struct map value;
	int k;

	if (!c->lending || c->lending->n == LENDING_MAX || r->record.length < LENDING_FROM_BYTES)
		return LEND_NOT;
	if (!(k = datalog_lend(r, &value, NULL)))
		lending_add(c->lending, c->out, value);
	return k;
}

void call_value(struct call *c, const struct reading *r)
{
	size_t before = c->out->len;
	int k;

	resp_bulk_head(c->out, r->record.length);
	k = value_lend(c, r);
	k = k == LEND_NOT ? value_copy(c, r) : k;
	if (k) {
		c->out->len = before;
		call_disk_error(c, k, "Internal Error");
		return;
	}
	c->shared->counters.read_bytes += r->record.length;
	buf_add(c->out, S("\r\n"));
}

void command_get(struct call *c)
{
	struct reading r;
	struct place at;

	if (key_get(c, &r, &at, true))
		call_value(c, &r);
}

void command_mget(struct call *c)
{
	uint64_t bytes = 0;

	resp_array(c->out, c->in->n - 1);
	for (size_t i = 1; i < c->in->n; i++) {
		struct reading r;
		struct place at;
		int k = call_word(c, i).n > RECORD_ID_MAX ? SPACE_ABSENT : space_get(&c->session->space->space, call_word(c, i), &at, &r, NULL);

		bytes += k ? 0 : r.record.length;
		if (k < 0)
			call_disk_error(c, k, "Internal Error");
		else if (!k && bytes > MGET_BYTES_MAX)
			call_refuse(c, "Too much at once: ask for fewer keys");
		else if (!k)
			call_value(c, &r);
		else
			resp_nil(c->out);
	}
}

static void set_answer(struct call *c, int r, struct str id)
{
	switch (r) {
	case 0:
		c->session->space->is_dirty = true;
		c->shared->counters.written_bytes += call_word(c, 2).n;
		resp_bulk(c->out, id);
		break;
	case SPACE_SAME:
		resp_nil(c->out);
		break;
	case SPACE_ABSENT:
		call_refuse(c, "Invalid key, only update authorized");
		break;
	case SPACE_FULL:
		call_refuse(c, "No space left on this namespace");
		break;
	case SPACE_CROWDED:
		call_refuse(c, "No memory left for more keys on this namespace");
		break;
	default:
		c->shared->counters.write_failed++;
		call_disk_error(c, r, "Cannot write data right now");
	}
}

/* What an admin says that the time was, at word AT; answers when it is none, or not for him to say. */
static bool time_given(struct call *c, size_t at, uint64_t *ret)
{
	if (c->in->n <= at)
		return true;
	if (!c->session->is_admin) {
		c->shared->counters.unauthorized++;
		call_refuse(c, "Permission denied");
		return false;
	}
	if (parse_u64(call_word(c, at), UINT32_MAX, ret)) {
		call_refuse(c, "Invalid timestamp");
		return false;
	}
	return true;
}

void command_set(struct call *c)
{
	struct namespace *n = c->session->space;
	char room[SPACE_SEQ_ID_BYTES];
	uint64_t time_s = (uint64_t)c->time_s;
	struct reading old;
	struct place at;
	struct str id = { 0 };

	if (!key_ok(c, call_word(c, 1), "Key too large"))
		return;
	if (!call_word(c, 1).n && n->settings.mode == SPACE_USER) {
		call_refuse(c, "Invalid argument, key needed");
		return;
	}
	if (!time_given(c, 3, &time_s))
		return;
	if (n->settings.is_worm && call_word(c, 1).n && !space_get(&n->space, call_word(c, 1), &at, &old, NULL)) {
		call_refuse(c, "Cannot overwrite a key when namespace is in worm mode");
		return;
	}
	set_answer(c, space_set(&n->space, call_word(c, 1), call_word(c, 2), (uint32_t)time_s, room, &id, NULL), id);
}

void command_del(struct call *c)
{
	struct namespace *n = c->session->space;
	uint64_t time_s = (uint64_t)c->time_s;
	struct reading r;
	struct place at;
	int k;

	if (!time_given(c, 2, &time_s) || !key_get(c, &r, &at, false))
		return;
	if (n->settings.is_worm) {
		call_refuse(c, "Cannot delete a key when namespace is in worm mode");
		return;
	}
	if ((k = space_delete(&n->space, call_word(c, 1), (uint32_t)time_s, NULL))) {
		c->shared->counters.write_failed++;
		call_disk_error(c, k, "Cannot delete key");
		return;
	}
	n->is_dirty = true;
	call_ok(c);
}

void command_exists(struct call *c)
{
	struct reading r;
	struct place at;
	int k;

	if (!key_ok(c, call_word(c, 1), "Invalid key"))
		return;
	k = space_get(&c->session->space->space, call_word(c, 1), &at, &r, NULL);
	if (k < 0)
		call_disk_error(c, k, "Internal Error");
	else
		resp_number(c->out, !k);
}

void command_check(struct call *c)
{
	AUTO_FREE uint8_t *bytes = NULL;
	struct reading r;
	struct place at;

	if (!key_get(c, &r, &at, true))
		return;
	bytes = malloc(r.record.length + 1);
	if (!bytes) {
		call_refuse(c, "Internal Error");
		return;
	}
	resp_number(c->out, !datalog_payload(&r, bytes, NULL));
}

void command_length(struct call *c)
{
	struct reading r;
	struct place at;

	if (key_get(c, &r, &at, true))
		resp_number(c->out, r.record.length);
}

void command_keytime(struct call *c)
{
	struct reading r;
	struct place at;

	if (key_get(c, &r, &at, true))
		resp_number(c->out, r.record.time_s);
}

/* --- walks --- */

static uint32_t generation_of(const struct call *c, struct place at)
{
	const struct data_file *f = datalog_file(&c->session->space->space.log, at.file);

	return f ? f->head.generation : 0;
}

static struct str cursor_of(const struct call *c, struct place at, char ret[static CURSOR_BYTES])
{
	uint32_t generation = generation_of(c, at);

	memcpy(ret, &at.file, 4);
	memcpy(ret + 4, &at.offset, 4);
	memcpy(ret + 8, &generation, 4);
	return (struct str){ ret, CURSOR_BYTES };
}

/* One from before a compaction of its file stands for that file's beginning, or end: keys may come twice, and none is left out. */
static bool cursor_read(const struct call *c, struct str s, struct place *ret)
{
	uint32_t generation;

	if (s.n != CURSOR_BYTES)
		return false;
	memcpy(&ret->file, s.p, 4);
	memcpy(&ret->offset, s.p + 4, 4);
	memcpy(&generation, s.p + 8, 4);
	if (generation != generation_of(c, *ret))
		ret->offset = 0;
	return true;
}

static uint64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

typedef int walk_step(struct space *s, struct place at, struct reading *ret, struct place *ret_at, struct err *e);

/* As far as it comes: what cannot be read is said when it is asked for what is behind. */
static void walk(struct call *c, walk_step *step, struct place at)
{
	struct space *s = &c->session->space->space;
	AUTO_BUF struct buf keys = { 0 };
	uint64_t until_us = clock_us() + SCAN_SLICE_US;
	char cursor[CURSOR_BYTES];
	struct reading r;
	size_t n = 0;
	int k = 0;

	while (n < SCAN_KEYS_MAX && (!n || clock_us() < until_us) && !(k = step(s, at, &r, &at, NULL))) {
		resp_array(&keys, 3);
		resp_bulk(&keys, r.record.id);
		resp_number(&keys, r.record.length);
		resp_number(&keys, r.record.time_s);
		n++;
	}
	if (!n && k == DATALOG_END)
		call_refuse(c, "No more data");
	else if (!n)
		call_disk_error(c, k, "Internal Error");
	else if (buf_check(&keys))
		call_refuse(c, "Internal Memory Error");
	if (!n || c->is_refused)
		return;
	resp_array(c->out, 2);
	resp_bulk(c->out, cursor_of(c, at, cursor));
	resp_array(c->out, n);
	buf_add(c->out, buf_str(&keys));
}

/* One that was made up is the client's mistake and not the disk's. */
static bool cursor_stands(const struct call *c, struct place at)
{
	const struct datalog *l = &c->session->space->space.log;
	struct reading r;
	int k = at.offset && datalog_file(l, at.file) ? datalog_read(l, at, &r, NULL) : 0;

	return k != -ENOENT && k != -EBADMSG;
}

static void run_walk(struct call *c, walk_step *step, struct place at)
{
	if (c->in->n == 2 && (!cursor_read(c, call_word(c, 1), &at) || !cursor_stands(c, at)))
		call_refuse(c, "Invalid key format");
	else
		walk(c, step, at);
}

void command_scan(struct call *c)
{
	run_walk(c, space_next, (struct place){ 0 });
}

void command_rscan(struct call *c)
{
	run_walk(c, space_previous, (struct place){ .file = UINT32_MAX });
}

void command_keycur(struct call *c)
{
	char cursor[CURSOR_BYTES];
	struct reading r;
	struct place at;

	if (key_get(c, &r, &at, false))
		resp_bulk(c->out, cursor_of(c, at, cursor));
}

/* What was compacted away is no history any more; what cannot be read is: who asks for it is told. */
static bool has_older(struct call *c, struct place parent)
{
	struct reading older;

	return parent.offset && space_version(&c->session->space->space, call_word(c, 1), parent, &older, NULL) <= 0;
}

void command_history(struct call *c)
{
	struct space *s = &c->session->space->space;
	char cursor[CURSOR_BYTES], text[16];
	struct reading r;
	struct place at, parent;
	int k;

	if (c->in->n == 2) {
		if (!key_get(c, &r, &at, false))
			return;
	} else if (!cursor_read(c, call_word(c, 2), &at)) {
		call_refuse(c, "Invalid arguments");
		return;
	} else if ((k = space_version(s, call_word(c, 1), at, &r, NULL))) {
		if (k < 0 && k != -EBADMSG)
			call_disk_error(c, k, "Internal Error");
		else
			call_refuse(c, at.offset ? "Invalid arguments (invalid key)" : "No more history");
		return;
	}
	if ((k = space_parent(s, at, &r.record, &parent, NULL))) {
		call_disk_error(c, k, "Internal Error");
		return;
	}
	resp_array(c->out, 3);
	if (has_older(c, parent))
		resp_bulk(c->out, cursor_of(c, parent, cursor));
	else
		resp_nil(c->out);
	snprintf(text, sizeof(text), "%u", r.record.time_s);
	resp_bulk(c->out, str_c(text));
	call_value(c, &r);
}
