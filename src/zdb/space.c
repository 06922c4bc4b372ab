#include "zdb/space.h"

#include "base/file.h"
#include "base/log.h"
#include "zdb/checkpoint.h"
#include "zdb/parents.h"

#include <stdio.h>

/* The newest record of ID, whose tag is TAG: 0, SPACE_ABSENT, -errno. */
static int find_by(struct space *s, uint32_t tag, struct str id, struct keydir_seek *seek, struct place *ret_at, struct reading *ret, struct err *e)
{
	struct place at;

	for (bool is = keydir_first(&s->keys, tag, seek, &at); is; is = keydir_next(seek, &at)) {
		int r = datalog_read(&s->log, at, ret, e);

		if (r)
			return err_wrap(e, r, "look for a key");
		if (str_eq(ret->record.id, id)) {
			*ret_at = at;
			return 0;
		}
	}
	return SPACE_ABSENT;
}

static int find(struct space *s, struct str id, struct keydir_seek *seek, struct place *ret_at, struct reading *ret, struct err *e)
{
	return find_by(s, keydir_tag(&s->keys, id), id, seek, ret_at, ret, e);
}

uint64_t space_seq_of(struct str id)
{
	uint64_t v = 0;

	memcpy(&v, id.p, id.n < sizeof(v) ? id.n : sizeof(v));
	return v;
}

/* R is no key's newest any more. */
static void bury(struct space *s, uint32_t tag, struct place at, const struct record *r)
{
	struct data_file *f = datalog_file(&s->log, at.file);

	f->dead_bytes += (uint32_t)record_bytes(&f->head, r);
	if (s->saving)
		checkpoint_leaves(s->saving, tag, at, r);
}

static bool is_original(const struct space *s, struct place at)
{
	const struct data_file *f = datalog_file(&s->log, at.file);

	return f && f->head.version == DATA_VERSION_ORIGINAL;
}

/* --- what was written before --- */

enum { BATCH = 32 };

struct seen { /* a record */
	struct place at;
	uint32_t tag, length;
	uint8_t flags, n_id;
	char id[RECORD_ID_MAX];
};

/* Some records that were read one behind the other: while the next ones are, the processor fetches where these belong in the table. */
struct batch {
	struct space *space;
	size_t n;
	struct seen seen[BATCH];
};

/* What a record that was written before does to the table. */
static int replay_one(struct space *s, const struct seen *r, struct err *e)
{
	struct str id = { r->id, r->n_id };
	struct keydir_seek seek;
	struct reading old;
	struct place was;
	int k;

	if (s->mode == SPACE_SEQ && space_seq_of(id) >= s->next_id)
		s->next_id = space_seq_of(id) + 1;
	k = find_by(s, r->tag, id, &seek, &was, &old, e);
	if (k < 0)
		return k;
	if (!k) {
		s->data_bytes -= old.record.length;
		bury(s, r->tag, was, &old.record);
		if (s->parents && is_original(s, r->at))
			parents_add(s->parents, r->at, was);
	}
	if (r->flags & RECORD_DELETED) {
		if (!k)
			keydir_remove(&s->keys, &seek);
		return 0;
	}
	s->data_bytes += r->length;
	if (!k)
		keydir_set(&seek, r->at);
	else if ((k = keydir_add(&s->keys, r->tag, r->at)))
		return err_set(e, k, "there are too many keys");
	return 0;
}

static int replay_batch(struct batch *b, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < b->n && !r; i++)
		r = replay_one(b->space, &b->seen[i], e);
	b->n = 0;
	return r;
}

static int replay(void *ctx, struct place at, const struct record *r, bool is_damaged, struct err *e)
{
	struct batch *b = ctx;
	struct seen *seen = &b->seen[b->n++];

	(void)is_damaged; /* it is the key's newest all the same: an older value would be wrong without saying so */
	b->space->replayed++;
	b->space->n_records++;
	seen->at = at;
	seen->tag = keydir_tag(&b->space->keys, r->id);
	seen->length = r->length;
	seen->flags = r->flags;
	seen->n_id = (uint8_t)r->id.n;
	memcpy(seen->id, r->id.p, r->id.n);
	keydir_ahead(&b->space->keys, seen->tag);
	return b->n == BATCH ? replay_batch(b, e) : 0;
}

/* find() must see records of the file that is just being read. */
static int replay_all(struct space *s, struct place from, struct err *e)
{
	struct batch b = { .space = s };
	int r;

	for (size_t i = 0; i < s->log.n_files; i++)
		if (s->log.files[i].head.file >= from.file)
			s->log.files[i].end = UINT32_MAX;
	s->log.written = UINT32_MAX;
	r = datalog_scan(&s->log, from, replay, &b, e);
	return r ? r : replay_batch(&b, e);
}

/* All records are read: of the original's it is kept what came before what. */
static int replay_from_the_first(struct space *s, struct err *e)
{
	struct err why = { 0 };
	bool has_original = false;
	int r;

	for (size_t i = 0; i < s->log.n_files; i++) {
		has_original |= s->log.files[i].head.version == DATA_VERSION_ORIGINAL;
		s->log.files[i].last = s->log.files[i].dead_bytes = 0; /* as no checkpoint says */
	}
	if (has_original && parents_begin(s->index, &s->parents, &why))
		log_warn("what keys had before is not known of 0-db's files: %s", why.msg);
	r = replay_all(s, (struct place){ 0 }, e);
	if (r)
		parents_free(s->parents);
	else if (s->parents && parents_end(s->parents, &why))
		log_warn("what keys had before is not known of 0-db's files: %s", why.msg);
	s->parents = NULL;
	return r;
}

int space_open(struct space *ret, enum space_mode mode, int data, int index, uint32_t file_max_bytes, struct err *e)
{
	struct space *s = ret;
	uint8_t hash_key[KEYDIR_HASH_KEY_BYTES];
	struct place from = { 0 };
	int r;

	*s = (struct space){ .mode = mode, .log = { .dir = data }, .index = index };
	random_bytes(hash_key, sizeof(hash_key));
	keydir_init(&s->keys, hash_key);
	if ((r = datalog_open(&s->log, data, file_max_bytes, e)))
		return r;
	if ((r = checkpoint_load(s, &from))) { /* none, or of another state: all is in the records */
		/* one that waits for longer files than these would be taken once they have grown, and find what it does not know */
		if (r != -ENOENT && (r = checkpoint_remove(s, e)))
			return r;
		keydir_deinit(&s->keys);
		keydir_init(&s->keys, hash_key);
		s->data_bytes = s->next_id = 0;
		return replay_from_the_first(s, e);
	}
	s->saved_bytes = datalog_bytes(&s->log);
	return replay_all(s, from, e);
}

void space_close(struct space *s)
{
	checkpoint_free(s->saving);
	keydir_deinit(&s->keys);
	datalog_close(&s->log);
	fd_close(&s->index);
	*s = (struct space)SPACE_NONE;
}

static void saving_end(struct space *s)
{
	checkpoint_free(s->saving);
	s->saving = NULL;
}

int space_save_step(struct space *s, struct err *e)
{
	int r = s->saving ? 0 : checkpoint_begin(s, &s->saving, e);

	if (!r && (r = checkpoint_step(s->saving, CHECKPOINT_STEP_BYTES, e)) == CHECKPOINT_MORE)
		return SPACE_MORE;
	saving_end(s);
	return r;
}

int space_save(struct space *s, struct err *e)
{
	int r = datalog_sync(&s->log, e);

	if (r || s->log.n_gaps) /* with gaps the records are read each time, so that they are known */
		return r;
	saving_end(s); /* it would be of some time ago */
	while ((r = space_save_step(s, e)) == SPACE_MORE)
		;
	return r;
}

bool space_is_due(const struct space *s)
{
	uint64_t records = s->n_records - s->saved_records, bytes = datalog_bytes(&s->log) - s->saved_bytes, n = s->keys.n;

	return !s->log.failed && !s->log.n_gaps &&
	       ((records >= SPACE_SAVE_RECORDS && records >= n / SPACE_SAVE_KEYS_PART) ||
		(bytes >= SPACE_SAVE_BYTES && bytes >= n * SPACE_SAVE_KEY_BYTES));
}

void space_outdate(struct space *s)
{
	saving_end(s);
	s->saved_records = s->n_records - s->keys.n; /* at least so many are read */
	s->saved_bytes = 0;
}

int space_sync(struct space *s, struct err *e)
{
	return datalog_sync(&s->log, e);
}

/* RECORD's parent is what SEEK found, if anything. */
static int put(struct space *s, struct record *record, struct str payload, bool has, struct keydir_seek *seek, struct err *e)
{
	struct place at;
	int r = datalog_append(&s->log, record, payload, &at, e);

	if (r)
		return r;
	s->n_records++;
	if (has) {
		keydir_set(seek, at);
		return 0;
	}
	/* without room in the table it is written and not found; the next start will say so, too */
	return (r = keydir_add(&s->keys, keydir_tag(&s->keys, record->id), at)) ? err_set(e, r, "there are too many keys") : 0;
}

int space_set(struct space *s, struct str id, struct str payload, uint32_t time_s, char room[static SPACE_SEQ_ID_BYTES], struct str *ret_id,
	      struct err *e)
{
	struct record record = { .time_s = time_s, .crc = record_crc(payload) }, before = { 0 };
	struct keydir_seek seek = { 0 };
	struct reading old;
	bool is_new = !id.n;
	int r;

	if (is_new) {
		memcpy(room, &s->next_id, SPACE_SEQ_ID_BYTES);
		id = (struct str){ room, SPACE_SEQ_ID_BYTES };
	} else {
		if ((r = find(s, id, &seek, &record.parent, &old, e)) < 0 || (r && s->mode == SPACE_SEQ))
			return r;
		is_new = r;
		before = r ? before : old.record;
		if (!r && datalog_is(&old, payload, record.crc))
			return SPACE_SAME;
	}
	if (s->max_bytes && s->data_bytes - before.length + payload.n > s->max_bytes)
		return SPACE_FULL;
	if (is_new && s->max_keys && s->keys.n >= s->max_keys)
		return SPACE_CROWDED;
	record.id = id;
	if ((r = put(s, &record, payload, !is_new, &seek, e)))
		return r;
	s->data_bytes += payload.n - before.length;
	if (!is_new)
		bury(s, seek.tag, record.parent, &before);
	s->next_id += id.p == room;
	*ret_id = id;
	return 0;
}

int space_set_number(struct space *s, struct str id, struct str payload, uint32_t time_s, struct err *e)
{
	char room[SPACE_SEQ_ID_BYTES];
	uint64_t number = space_seq_of(id);
	struct str ret;
	int r;

	if (id.n != SPACE_SEQ_ID_BYTES || number == UINT64_MAX)
		return err_set(e, -EBADMSG, "a key of this namespace is a number of %d bytes", SPACE_SEQ_ID_BYTES);
	s->mode = SPACE_USER; /* for as long as this takes: the key is chosen */
	r = space_set(s, id, payload, time_s, room, &ret, e);
	s->mode = SPACE_SEQ;
	if (r >= 0 && number >= s->next_id)
		s->next_id = number + 1;
	return r;
}

int space_get(struct space *s, struct str id, struct place *ret_at, struct reading *ret, struct err *e)
{
	struct keydir_seek seek;

	return find(s, id, &seek, ret_at, ret, e);
}

int space_delete(struct space *s, struct str id, uint32_t time_s, struct err *e)
{
	struct record record = { .time_s = time_s, .flags = RECORD_DELETED, .id = id };
	struct keydir_seek seek;
	struct reading old;
	struct place at;
	struct record before;
	int r = find(s, id, &seek, &record.parent, &old, e);

	if (r)
		return r;
	before = old.record;
	if ((r = datalog_append(&s->log, &record, S(""), &at, e)))
		return r;
	s->n_records++;
	keydir_remove(&s->keys, &seek);
	s->data_bytes -= before.length;
	bury(s, seek.tag, record.parent, &before);
	return 0;
}

int space_clear(struct space *s, struct err *e)
{
	uint8_t hash_key[KEYDIR_HASH_KEY_BYTES];
	int r;

	space_outdate(s);
	if ((r = checkpoint_remove(s, e)) || (r = datalog_clear(&s->log, e)))
		return r;
	memcpy(hash_key, s->keys.hash_key, sizeof(hash_key));
	keydir_deinit(&s->keys);
	keydir_init(&s->keys, hash_key);
	s->data_bytes = s->next_id = 0;
	return 0;
}

static bool is_newest(struct space *s, const struct reading *r, struct place at)
{
	struct keydir_seek seek;

	return !(r->record.flags & RECORD_DELETED) && keydir_find(&s->keys, keydir_tag(&s->keys, r->record.id), at, &seek);
}

typedef int datalog_step(const struct datalog *l, struct place at, struct reading *r, struct place *ret, struct err *e);

static int walk(struct space *s, datalog_step *step, struct place at, struct reading *ret, struct place *ret_at, struct err *e)
{
	struct place found;
	int r;

	while (!(r = step(&s->log, at, ret, &found, e)) && !is_newest(s, ret, found))
		at = found;
	if (!r)
		*ret_at = found;
	return r;
}

int space_next(struct space *s, struct place at, struct reading *ret, struct place *ret_at, struct err *e)
{
	return walk(s, datalog_next, at, ret, ret_at, e);
}

int space_next_in(struct space *s, struct place at, struct reading *ret, struct place *ret_at, struct err *e)
{
	return walk(s, datalog_next_in, at, ret, ret_at, e);
}

int space_previous(struct space *s, struct place at, struct reading *ret, struct place *ret_at, struct err *e)
{
	return walk(s, datalog_previous, at, ret, ret_at, e);
}

int space_parent(const struct space *s, struct place at, const struct record *r, struct place *ret, struct err *e)
{
	struct place parent = r->parent;
	int k = is_original(s, at) ? parents_find(s->index, at, &parent, e) : 0;

	if (k < 0)
		return k;
	*ret = k ? (struct place){ 0 } : parent;
	return 0;
}

int space_version(struct space *s, struct str id, struct place at, struct reading *ret, struct err *e)
{
	const struct data_file *f = datalog_file(&s->log, at.file);
	int r = datalog_read(&s->log, at, ret, e);

	if (r == -ENOENT || (r == -EBADMSG && f->head.generation) || (!r && !str_eq(ret->record.id, id)))
		return SPACE_ABSENT;
	return r;
}
