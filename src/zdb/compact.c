#include "zdb/compact.h"

#include "base/file.h"
#include "zdb/checkpoint.h"

#include <fcntl.h>
#include <stdio.h>

enum { NAME_BYTES = 24, PAIRS_MIN = 1024 };

struct pair { /* a record that was copied */
	uint32_t tag, from, to;
};

struct compact {
	struct space *space;
	uint32_t file;
	struct data_head head; /* of the new file */
	struct place at;       /* what was copied last */
	uint32_t end, last, unsafe_bytes, dead_bytes;
	struct pair *pairs;
	size_t n_pairs, cap_pairs;
	struct buf bytes; /* of one record */
	char name[NAME_BYTES];
	int fd;
};

static bool is_last(const struct space *s, uint32_t file)
{
	return s->log.files[s->log.n_files - 1].head.file == file;
}

/* The part of a file that has to be dead. One that may hold so much is promised a quarter more of its disk (zdb_disk_bytes() in
 * api/deployment.h): half of that is used up before more is copied than is won. */
static unsigned dead_part(const struct space *s)
{
	return s->max_bytes && datalog_bytes(&s->log) > s->max_bytes + s->max_bytes / 8 ? COMPACT_PART_FULL : COMPACT_PART;
}

/* Until something of ours is behind them the original's files stay as they are: the original can still go on with them. */
static bool may_compact(const struct datalog *l, const struct data_file *f)
{
	return f->head.version == DATA_VERSION || l->files[l->n_files - 1].head.version == DATA_VERSION;
}

bool compact_find(const struct space *s, uint32_t *ret_file)
{
	unsigned part = dead_part(s);
	uint64_t most = 0;

	for (size_t i = 0; i + 1 < s->log.n_files; i++) {
		const struct data_file *f = &s->log.files[i];

		if (f->is_hurt || !may_compact(&s->log, f) || f->dead_bytes <= most || f->dead_bytes < (f->end - f->head.n_bytes) / part)
			continue;
		most = f->dead_bytes;
		*ret_file = f->head.file;
	}
	return most;
}

int compact_begin(struct space *s, uint32_t file, struct compact **ret, struct err *e)
{
	const struct data_file *f = datalog_file(&s->log, file);
	uint8_t head[DATA_HEAD_MAX];
	struct compact *c;
	int r = 0;

	BUG_ON(!f || is_last(s, file));
	c = calloc(1, sizeof(*c));
	BUG_ON(!c);
	*c = (struct compact){ .space = s, .file = file, .at = { .file = file }, .fd = -1 };
	c->head = (struct data_head){ .version = DATA_VERSION,
				      .file = file,
				      .generation = f->head.generation + 1,
				      .first = f->head.first,
				      .salt = random_u64(),
				      .n_bytes = DATA_HEAD_MAX };
	c->end = DATA_HEAD_MAX;
	data_head_encode(&c->head, head);
	snprintf(c->name, sizeof(c->name), "d%u.new", file);
	c->fd = openat(s->log.dir, c->name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->fd < 0 || pwrite(c->fd, head, sizeof(head), 0) != sizeof(head))
		r = err_set(e, -errno, "compact d%u: make %s: %m", file, c->name);
	if (r) {
		compact_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void compact_free(struct compact *c)
{
	if (c->fd >= 0)
		unlinkat(c->space->log.dir, c->name, 0); /* what took the old file's place has that name no more */
	fd_close(&c->fd);
	buf_deinit(&c->bytes);
	free(c->pairs);
	free(c);
}

/* A deletion has to stay while an older file may have what it deleted, and the highest number for ever: it is not given twice. */
static bool is_needed(const struct compact *c, const struct record *r, uint32_t tag, bool *ret_is_newest)
{
	const struct space *s = c->space;
	struct keydir_seek seek;

	*ret_is_newest = !(r->flags & RECORD_DELETED) && keydir_find(&s->keys, tag, c->at, &seek);
	if (*ret_is_newest)
		return true;
	if (!(r->flags & RECORD_DELETED))
		return false;
	return s->log.files[0].head.file != c->file || (s->mode == SPACE_SEQ && space_seq_of(r->id) + 1 == s->next_id);
}

static int pair_add(struct compact *c, struct pair p, struct err *e)
{
	if (c->n_pairs == c->cap_pairs) {
		size_t cap = c->cap_pairs ? 2 * c->cap_pairs : PAIRS_MIN;
		struct pair *more = reallocarray(c->pairs, cap, sizeof(*more));

		if (!more)
			return err_set(e, -ENOMEM, "compact d%u: out of memory", c->file);
		c->pairs = more;
		c->cap_pairs = cap;
	}
	c->pairs[c->n_pairs++] = p;
	return 0;
}

/* What cannot be read now may be another time, as long as its file is there: that stays, and is not tried again. */
static int unreadable(const struct compact *c, int r, struct err *e)
{
	datalog_file(&c->space->log, c->file)->is_hurt = true;
	return err_wrap(e, r, "d%u is not compacted: behind offset %u", c->file, c->at.offset);
}

static int copy(struct compact *c, const struct reading *r, struct err *e)
{
	struct record record = r->record;
	uint8_t head[RECORD_HEAD_MAX + RECORD_ID_MAX];
	size_t n;
	int k;

	record.previous = c->last;
	n = record_encode(&c->head, c->end, &record, head);
	c->bytes.len = 0;
	buf_add_bytes(&c->bytes, head, n);
	buf_reserve(&c->bytes, record.length);
	if (buf_check(&c->bytes))
		return err_set(e, -ENOMEM, "compact d%u: out of memory", c->file);
	if ((k = datalog_payload(r, (uint8_t *)c->bytes.p + n, e)))
		return unreadable(c, k, e);
	n += record.length;
	if (pwrite(c->fd, c->bytes.p, n, c->end) != (ssize_t)n)
		return err_set(e, errno ? -errno : -ENOSPC, "compact d%u: no room for its copy", c->file);
	c->last = c->end;
	c->end += (uint32_t)n;
	c->unsafe_bytes += (uint32_t)n;
	return 0;
}

static int step_one(struct compact *c, const struct reading *r, struct err *e)
{
	uint32_t tag = keydir_tag(&c->space->keys, r->record.id), to = c->end;
	bool is_newest;
	int k;

	if (!is_needed(c, &r->record, tag, &is_newest))
		return 0;
	if ((k = copy(c, r, e)))
		return k;
	return is_newest ? pair_add(c, (struct pair){ tag, c->at.offset, to }, e) : 0;
}

/* From here on its records are where the copies are; those that were changed meanwhile are dead in it. */
static void move_all(struct compact *c)
{
	for (size_t i = 0; i < c->n_pairs; i++) {
		struct pair *p = &c->pairs[i];
		struct keydir_seek seek;

		if (keydir_find(&c->space->keys, p->tag, (struct place){ c->file, p->from }, &seek))
			keydir_set(&seek, (struct place){ c->file, p->to });
		else
			c->dead_bytes += RECORD_HEAD_MAX;
	}
}

static int finish(struct compact *c, struct err *e)
{
	struct data_file f = { .head = c->head, .fd = c->fd, .end = c->end, .last = c->last };
	int r;

	if ((r = datalog_sync(&c->space->log, e))) /* what made a record dead is on the disk before that is gone */
		return r;
	space_outdate(c->space);
	if (!c->last) {
		r = checkpoint_remove(c->space, e);
		return r ? r : datalog_drop(&c->space->log, c->file, e);
	}
	if (fdatasync(c->fd))
		return err_set(e, -errno, "compact d%u: %m", c->file);
	if ((r = datalog_replace(&c->space->log, &f, c->name, e)))
		return r;
	c->fd = -1;
	move_all(c);
	datalog_file(&c->space->log, c->file)->dead_bytes = c->dead_bytes;
	return 0;
}

int compact_step(struct compact *c, struct err *e)
{
	struct datalog *l = &c->space->log;
	uint32_t begin = c->at.offset;
	struct reading r;
	struct place at;
	int k;

	if (!datalog_file(l, c->file))
		return err_set(e, -ENOENT, "d%u is gone", c->file);
	while (!(k = datalog_next_in(l, c->at, &r, &at, e))) {
		c->at = at;
		if ((k = step_one(c, &r, e)))
			return k;
		if (c->unsafe_bytes >= COMPACT_SYNC_BYTES && fdatasync(c->fd))
			return err_set(e, -errno, "compact d%u: %m", c->file);
		c->unsafe_bytes = c->unsafe_bytes >= COMPACT_SYNC_BYTES ? 0 : c->unsafe_bytes;
		if (at.offset - begin >= COMPACT_STEP_BYTES)
			return COMPACT_MORE;
	}
	return k < 0 ? unreadable(c, k, e) : finish(c, e);
}
