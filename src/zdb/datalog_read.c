/* What stands in the data files, by its place, or one behind the other. */
#include "zdb/datalog.h"

#include <stdio.h>

static const struct data_file *active(const struct datalog *l)
{
	return l->n_files ? &l->files[l->n_files - 1] : NULL;
}

static int read_gathered(const struct datalog *l, const struct data_file *f, uint32_t offset, struct reading *ret)
{
	const uint8_t *p = l->gathered + (offset - l->written);
	size_t n = l->n_gathered - (offset - l->written);

	if (record_decode(&f->head, offset, p, n, &ret->record))
		return -EBADMSG;
	ret->payload = (struct str){ (const char *)p + record_head_bytes(&f->head, &ret->record), ret->record.length };
	ret->map = NULL;
	return 0;
}

/* A walk is read by the kernel ahead of it, which it does not do in a map. */
enum reads { BY_KEY, IN_A_WALK };

/* Where what is on the disk of F ends; 0 while that is being found out. */
static uint32_t written_end(const struct datalog *l, const struct data_file *f)
{
	return f->end == UINT32_MAX ? 0 : f == active(l) ? l->written : f->end;
}

/* What stands at OFFSET, up to N bytes; how many, or -errno. */
static ssize_t read_at(const struct datalog *l, const struct data_file *f, uint32_t offset, void *ret, size_t n, enum reads how)
{
	uint32_t end = written_end(l, f);
	ssize_t k;

	if (how == BY_KEY && f->map.p && offset < end && end <= f->map.n) {
		n = end - offset < n ? end - offset : n;
		k = map_read(&f->map, offset, ret, n);
		return k ? k : (ssize_t)n;
	}
	k = pread(f->fd, ret, n, offset);
	return k < 0 ? -errno : k;
}

static int read_record(const struct datalog *l, struct place at, struct reading *ret, enum reads how, struct err *e)
{
	const struct data_file *f = datalog_file(l, at.file);
	uint32_t n_head;
	ssize_t n;

	if (!f || at.offset < f->head.n_bytes || at.offset >= f->end)
		return err_set(e, -ENOENT, "there is no record at d%u:%u", at.file, at.offset);
	if (f == active(l) && at.offset >= l->written)
		return read_gathered(l, f, at.offset, ret) ? err_set(e, -EBADMSG, "no record stands at d%u:%u", at.file, at.offset) : 0;
	n = read_at(l, f, at.offset, ret->room, sizeof(ret->room), how);
	if (n < 0)
		return err_set(e, (int)n, "read d%u:%u: %s", at.file, at.offset, strerror((int)-n));
	if (record_decode(&f->head, at.offset, ret->room, (size_t)n, &ret->record))
		return err_set(e, -EBADMSG, "no record stands at d%u:%u", at.file, at.offset);
	n_head = record_head_bytes(&f->head, &ret->record);
	ret->payload = (struct str){ (char *)ret->room + n_head, (size_t)n - n_head };
	if (ret->payload.n > ret->record.length)
		ret->payload.n = ret->record.length;
	ret->fd = f->fd;
	ret->payload_at = at.offset + n_head;
	ret->map = how == BY_KEY && f->map.p && written_end(l, f) <= f->map.n && ret->payload_at + ret->record.length <= written_end(l, f) ? &f->map
																	   : NULL;
	return 0;
}

int datalog_read(const struct datalog *l, struct place at, struct reading *ret, struct err *e)
{
	return read_record(l, at, ret, BY_KEY, e);
}

int datalog_payload(const struct reading *r, uint8_t *ret, struct err *e)
{
	size_t done = r->payload.n;

	memcpy(ret, r->payload.p, done);
	if (done < r->record.length && r->map) {
		if (map_read(r->map, r->payload_at + done, ret + done, r->record.length - done))
			return err_set(e, -EIO, "read a value: %s", strerror(EIO));
		done = r->record.length;
	}
	while (done < r->record.length) {
		ssize_t n = pread(r->fd, ret + done, r->record.length - done, (off_t)(r->payload_at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, n ? -errno : -EBADMSG, "read a value: %s", n ? strerror(errno) : "its file is too short");
		done += (size_t)n;
	}
	return record_crc((struct str){ (char *)ret, done }) == r->record.crc ? 0 : err_set(e, -EBADMSG, "the value on the disk is damaged");
}

static void sum_up(void *crc, const uint8_t *p, size_t n)
{
	*(uint32_t *)crc = record_crc((struct str){ (const char *)p, n });
}

int datalog_lend(const struct reading *r, struct map *ret, struct err *e)
{
	uint32_t crc;

	if (!r->map)
		return LEND_NOT;
	if (map_look(r->map, r->payload_at, r->record.length, sum_up, &crc))
		return err_set(e, -EIO, "read a value: %s", strerror(EIO));
	if (crc != r->record.crc)
		return err_set(e, -EBADMSG, "the value on the disk is damaged");
	*ret = (struct map){ r->map->p + r->payload_at, r->record.length };
	return 0;
}

struct comparing {
	const char *with;
	bool is_same;
};

static void compare(void *ctx, const uint8_t *p, size_t n)
{
	struct comparing *c = ctx;

	c->is_same = !memcmp(p, c->with, n);
}

bool datalog_is(const struct reading *r, struct str value, uint32_t crc)
{
	struct comparing c = { .with = value.p };
	AUTO_FREE uint8_t *was = NULL;

	if (r->record.length != value.n || r->record.crc != crc)
		return false;
	if (r->payload.n == value.n)
		return !value.n || !memcmp(r->payload.p, value.p, value.n);
	if (r->map)
		return !map_look(r->map, r->payload_at, value.n, compare, &c) && c.is_same;
	was = malloc(value.n);
	return was && !datalog_payload(r, was, NULL) && !memcmp(was, value.p, value.n);
}

/* --- one behind the other --- */

static const struct data_gap *gap_around(const struct datalog *l, uint32_t file, uint64_t at)
{
	for (size_t i = 0; i < l->n_gaps; i++)
		if (l->gaps[i].file == file && l->gaps[i].from <= at && at < l->gaps[i].to)
			return &l->gaps[i];
	return NULL;
}

static int next_of(const struct datalog *l, const struct data_file *f, uint32_t at, struct reading *r, struct place *ret, struct err *e)
{
	uint64_t offset = f->head.n_bytes;
	const struct data_gap *gap;
	int k;

	if (at) {
		if ((k = read_record(l, (struct place){ f->head.file, at }, r, IN_A_WALK, e)))
			return k;
		offset = at + record_bytes(&f->head, &r->record);
	}
	if ((gap = gap_around(l, f->head.file, offset)))
		offset = gap->to;
	if (offset == f->end)
		return DATALOG_END;
	if (offset > f->end)
		return err_set(e, -EBADMSG, "the record at d%u:%u goes on behind the end", f->head.file, at);
	if ((k = read_record(l, (struct place){ f->head.file, (uint32_t)offset }, r, IN_A_WALK, e)))
		return k;
	*ret = (struct place){ f->head.file, (uint32_t)offset };
	return 0;
}

int datalog_next_in(const struct datalog *l, struct place at, struct reading *r, struct place *ret, struct err *e)
{
	const struct data_file *f = datalog_file(l, at.file);

	return f ? next_of(l, f, at.offset, r, ret, e) : DATALOG_END;
}

int datalog_next(const struct datalog *l, struct place at, struct reading *r, struct place *ret, struct err *e)
{
	int k = DATALOG_END;

	for (size_t i = 0; i < l->n_files && k == DATALOG_END; i++) {
		const struct data_file *f = &l->files[i];

		if (f->head.file >= at.file)
			k = next_of(l, f, f->head.file == at.file ? at.offset : 0, r, ret, e);
	}
	return k;
}

/* What is behind a gap says of the one before it where it stood in there. */
static int last_before(const struct datalog *l, const struct data_file *f, uint32_t end, struct reading *r, struct place *ret, struct err *e)
{
	struct place at = { .file = f->head.file }, next;
	int k;

	while (!(k = next_of(l, f, at.offset, r, &next, e)) && next.offset < end)
		at = next;
	if (k < 0 || !at.offset)
		return k < 0 ? k : DATALOG_END;
	if ((k = read_record(l, at, r, IN_A_WALK, e)))
		return k;
	*ret = at;
	return 0;
}

static int previous_of(const struct datalog *l, const struct data_file *f, uint32_t at, struct reading *r, struct place *ret, struct err *e)
{
	uint32_t offset = f->last;
	const struct data_gap *gap;
	int k;

	if (at) {
		if ((k = read_record(l, (struct place){ f->head.file, at }, r, IN_A_WALK, e)))
			return k;
		offset = r->record.previous;
		if (offset >= at) /* the original's have no checksum: a walk comes to an end all the same */
			return err_set(e, -EBADMSG, "the record at d%u:%u is damaged", f->head.file, at);
	}
	if (!offset)
		return DATALOG_END;
	if ((gap = gap_around(l, f->head.file, offset)))
		return last_before(l, f, gap->from, r, ret, e);
	if ((k = read_record(l, (struct place){ f->head.file, offset }, r, IN_A_WALK, e)))
		return k;
	*ret = (struct place){ f->head.file, offset };
	return 0;
}

int datalog_previous(const struct datalog *l, struct place at, struct reading *r, struct place *ret, struct err *e)
{
	int k = DATALOG_END;

	for (size_t i = l->n_files; i-- > 0 && k == DATALOG_END;) {
		const struct data_file *f = &l->files[i];

		if (f->head.file <= at.file)
			k = previous_of(l, f, f->head.file == at.file ? at.offset : 0, r, ret, e);
	}
	return k;
}
