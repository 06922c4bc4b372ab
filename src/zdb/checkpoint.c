#include "zdb/checkpoint.h"

#include "base/buf.h"
#include "base/rd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { VERSION = 2, HEAD_BYTES = 64, FILE_BYTES = 40, N_FILES_AT = 56, HEAD_CRC_AT = 60, FILE_NUMBER_AT = 12 };

static const char magic[4] = "ZDBC";
static const char name_new[] = CHECKPOINT_NAME ".new";

struct checkpoint {
	struct space *space;
	struct datalog was; /* its files alone, as they were when this was begun; to be closed by others */
	uint64_t data_bytes, next_id, n, n_records;
	uint64_t next_tag; /* the segments of those below are written */
	int fd;
	uint32_t crc; /* of what is behind head and files */
	uint64_t written;
	struct buf gathered;
};

static uint64_t head_bytes(const struct checkpoint *c)
{
	return HEAD_BYTES + c->was.n_files * FILE_BYTES;
}

int checkpoint_begin(struct space *s, struct checkpoint **ret, struct err *e)
{
	struct checkpoint *c = calloc(1, sizeof(*c));

	BUG_ON(!c);
	*c = (struct checkpoint){ .space = s, .data_bytes = s->data_bytes, .next_id = s->next_id, .n_records = s->n_records };
	c->was = (struct datalog){ .n_files = s->log.n_files, .files = reallocarray(NULL, s->log.n_files + 1, sizeof(*c->was.files)) };
	BUG_ON(!c->was.files);
	if (c->was.n_files)
		memcpy(c->was.files, s->log.files, c->was.n_files * sizeof(*c->was.files));
	c->written = head_bytes(c);
	c->fd = openat(s->index, name_new, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->fd < 0) {
		int r = err_set(e, -errno, "write a checkpoint: make %s: %m", name_new);

		checkpoint_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void checkpoint_free(struct checkpoint *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		unlinkat(c->space->index, name_new, 0);
	fd_close(&c->fd);
	buf_deinit(&c->gathered);
	free(c->was.files);
	free(c);
}

/* Behind all that it knows of. */
static struct place end_of(const struct checkpoint *c)
{
	const struct data_file *last = c->was.n_files ? &c->was.files[c->was.n_files - 1] : NULL;

	return last ? (struct place){ last->head.file, last->end } : (struct place){ 0 };
}

void checkpoint_leaves(struct checkpoint *c, uint32_t tag, struct place at, const struct record *r)
{
	struct data_file *f;

	if (tag < c->next_tag || !place_is_before(at, end_of(c)))
		return; /* it is in there, or will not be: a start sees it leave */
	f = datalog_file(&c->was, at.file);
	f->dead_bytes += (uint32_t)record_bytes(&f->head, r);
	c->data_bytes -= r->length;
}

/* --- writing --- */

static int write_at(int fd, struct str bytes, uint64_t at)
{
	while (bytes.n) {
		ssize_t n = pwrite(fd, bytes.p, bytes.n, (off_t)at);

		if (n < 0 && errno != EINTR)
			return -errno;
		n = n < 0 ? 0 : n;
		bytes = (struct str){ bytes.p + n, bytes.n - (size_t)n };
		at += (uint64_t)n;
	}
	return 0;
}

/* N bytes were written at AT: the disk begins with them, and is waited for with what it was given some time ago. Otherwise all would be left to the end, for which
 * clients wait. */
static int trickle(const struct checkpoint *c, uint64_t at, size_t n)
{
	if (sync_file_range(c->fd, (off64_t)at, (off64_t)n, SYNC_FILE_RANGE_WRITE))
		return -errno;
	if (at < CHECKPOINT_LAG_BYTES)
		return 0;
	return sync_file_range(c->fd, (off64_t)(at - CHECKPOINT_LAG_BYTES), (off64_t)n, SYNC_FILE_RANGE_WAIT_BEFORE) ? -errno : 0;
}

static int flush(struct checkpoint *c)
{
	struct str bytes = buf_str(&c->gathered);
	uint64_t at = c->written;
	int r = buf_check(&c->gathered) ? -ENOMEM : write_at(c->fd, bytes, at);

	if (r)
		return r;
	c->crc = record_crc_more(c->crc, bytes);
	c->written += bytes.n;
	c->gathered.len = 0;
	return trickle(c, at, bytes.n);
}

/* Little-endian words, as the machine has them. */
static void segments_put(struct checkpoint *c, size_t bytes)
{
	const struct keydir *k = &c->space->keys;
	uint64_t at = keydir_at(k, c->next_tag);

	while (c->gathered.len < bytes && !c->gathered.failed) {
		const struct keydir_segment *s = keydir_each(k, &at);
		struct keydir_segment copy;

		c->next_tag = at << (32 - k->depth);
		if (!s)
			return;
		keydir_before(s, end_of(c), &copy);
		c->n += copy.n;
		buf_add_bytes(&c->gathered, &copy, sizeof(copy));
	}
}

static void files_put(const struct checkpoint *c, struct buf *b)
{
	for (size_t i = 0; i < c->was.n_files; i++) {
		const struct data_file *f = &c->was.files[i];
		const uint32_t words[] = { f->head.version, f->head.file, f->head.generation, f->head.first, f->head.n_bytes,
					   f->end,          f->last,      f->dead_bytes };

		buf_add_le(b, f->head.salt, 8);
		for (size_t k = 0; k < ARRAY_LEN(words); k++)
			buf_add_le(b, words[k], 4);
	}
}

static int head_put(const struct checkpoint *c)
{
	const struct space *s = c->space;
	AUTO_BUF struct buf b = { 0 }, files = { 0 };

	buf_add_bytes(&b, magic, sizeof(magic));
	buf_add_le(&b, VERSION, 4);
	buf_add_bytes(&b, s->keys.hash_key, sizeof(s->keys.hash_key));
	buf_add_le(&b, c->data_bytes, 8);
	buf_add_le(&b, c->next_id, 8);
	buf_add_le(&b, c->n, 8);
	buf_add_le(&b, s->keys.depth, 4);
	buf_add_le(&b, s->mode, 4);
	buf_add_le(&b, c->was.n_files, 4);
	files_put(c, &files);
	if (buf_check(&b) || buf_check(&files))
		return -ENOMEM;
	buf_add_le(&b, record_crc_more(record_crc(buf_str(&b)), buf_str(&files)), 4);
	buf_add(&b, buf_str(&files));
	return buf_check(&b) ? -ENOMEM : write_at(c->fd, buf_str(&b), 0);
}

static int finish(struct checkpoint *c)
{
	int r;

	buf_add_le(&c->gathered, c->crc, 4);
	if ((r = flush(c)) || (r = head_put(c)))
		return r;
	if (fdatasync(c->fd) || renameat(c->space->index, name_new, c->space->index, CHECKPOINT_NAME))
		return -errno;
	fd_close(&c->fd); /* it has that name no more */
	if (fsync(c->space->index))
		return -errno;
	c->space->saved_records = c->n_records;
	c->space->saved_bytes = datalog_bytes(&c->was);
	return 0;
}

int checkpoint_step(struct checkpoint *c, size_t bytes, struct err *e)
{
	bool is_over = c->next_tag > UINT32_MAX;
	int r;

	if (!is_over) {
		segments_put(c, bytes);
		r = flush(c);
	} else {
		if ((r = datalog_sync(&c->space->log, e))) /* it names no record that is not on the disk */
			return r;
		r = finish(c);
	}
	if (r)
		return err_set(e, r, "write a checkpoint: %s", strerror(-r));
	return is_over ? 0 : CHECKPOINT_MORE;
}

/* --- reading --- */

/* N bytes of IN, summed up. */
static int take_in(int fd, void *ret, size_t n, uint32_t *crc)
{
	for (size_t done = 0; done < n;) {
		ssize_t k = read(fd, (char *)ret + done, n - done);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return k ? -errno : -EBADMSG;
		done += (size_t)k;
	}
	*crc = record_crc_more(*crc, (struct str){ ret, n });
	return 0;
}

struct head {
	uint64_t data_bytes, next_id, n;
	uint32_t depth, mode, n_files, crc;
};

static int head_load(struct space *s, const uint8_t bytes[static HEAD_BYTES], struct head *ret)
{
	struct rd rd = rd_over(bytes, HEAD_BYTES);

	if (memcmp(rd_take(&rd, sizeof(magic)), magic, sizeof(magic)) || rd_le(&rd, 4) != VERSION)
		return -EBADMSG;
	rd_bytes(&rd, s->keys.hash_key, sizeof(s->keys.hash_key));
	ret->data_bytes = rd_le(&rd, 8);
	ret->next_id = rd_le(&rd, 8);
	ret->n = rd_le(&rd, 8);
	ret->depth = (uint32_t)rd_le(&rd, 4);
	ret->mode = (uint32_t)rd_le(&rd, 4);
	ret->n_files = (uint32_t)rd_le(&rd, 4);
	ret->crc = (uint32_t)rd_le(&rd, 4);
	return ret->mode == s->mode && ret->n_files <= s->log.n_files ? 0 : -EBADMSG;
}

static int file_load(struct space *s, size_t index, const uint8_t bytes[static FILE_BYTES], struct place *ret)
{
	struct rd rd = rd_over(bytes, FILE_BYTES);
	struct data_file f = { .fd = -1 };
	int r;

	f.head.salt = rd_le(&rd, 8);
	f.head.version = (uint32_t)rd_le(&rd, 4);
	f.head.file = (uint32_t)rd_le(&rd, 4);
	f.head.generation = (uint32_t)rd_le(&rd, 4);
	f.head.first = (uint32_t)rd_le(&rd, 4);
	f.head.n_bytes = (uint32_t)rd_le(&rd, 4);
	f.end = (uint32_t)rd_le(&rd, 4);
	f.last = (uint32_t)rd_le(&rd, 4);
	f.dead_bytes = (uint32_t)rd_le(&rd, 4);
	if (!(r = datalog_resume(&s->log, index, &f, NULL)))
		*ret = (struct place){ f.head.file, f.end };
	return r;
}

/* Head and files, which are summed up together. */
static int front_load(struct space *s, int fd, struct head *ret, struct place *ret_end)
{
	uint8_t bytes[HEAD_BYTES] = { 0 }, file[FILE_BYTES] = { 0 };
	uint32_t crc = 0;
	int r;

	if ((r = take_in(fd, bytes, HEAD_CRC_AT, &crc)) || (r = take_in(fd, bytes + HEAD_CRC_AT, HEAD_BYTES - HEAD_CRC_AT, &(uint32_t){ 0 })) ||
	    (r = head_load(s, bytes, ret)))
		return r;
	for (uint32_t i = 0; i < ret->n_files; i++)
		if ((r = take_in(fd, file, sizeof(file), &crc)) || (r = file_load(s, i, file, ret_end)))
			return r;
	return crc == ret->crc ? 0 : -EBADMSG;
}

static int segments_load(struct space *s, int fd, uint32_t *crc, uint32_t depth)
{
	AUTO_FREE struct keydir_segment *one = malloc(sizeof(*one));

	if (!one || depth > KEYDIR_DEPTH_MAX)
		return -EBADMSG;
	for (uint64_t at = 0; at < 1ull << depth;) {
		int r = take_in(fd, one, sizeof(*one), crc);

		if (r || (r = keydir_load(&s->keys, one, &at, depth)))
			return r;
	}
	return 0;
}

int checkpoint_load(struct space *s, struct place *ret)
{
	AUTO_FD int fd = openat(s->index, CHECKPOINT_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint32_t crc = 0, sum, at_end;
	uint8_t bytes[4];
	struct head h;
	int r = fd < 0 ? -errno : 0;

	if (r || (r = front_load(s, fd, &h, ret)) || (r = segments_load(s, fd, &crc, h.depth)))
		return r;
	sum = crc;
	if ((r = take_in(fd, bytes, sizeof(bytes), &crc)))
		return r;
	memcpy(&at_end, bytes, sizeof(at_end));
	if (at_end != sum || s->keys.n != h.n)
		return -EBADMSG;
	s->data_bytes = h.data_bytes;
	s->next_id = h.next_id;
	return 0;
}

int checkpoint_remove(const struct space *s, struct err *e)
{
	if (unlinkat(s->index, CHECKPOINT_NAME, 0))
		return errno == ENOENT ? 0 : err_set(e, -errno, "remove the checkpoint: %m");
	return fsync(s->index) ? err_set(e, -errno, "remove the checkpoint: %m") : 0;
}

size_t checkpoint_missing(int index, int data, uint32_t **ret)
{
	AUTO_FD int fd = openat(index, CHECKPOINT_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint8_t head[HEAD_BYTES] = { 0 }, bytes[FILE_BYTES] = { 0 };
	struct rd rd = rd_over(head + sizeof(magic), sizeof(head) - sizeof(magic));
	uint32_t crc = 0, n_files, n = 0;
	char name[16];

	if (fd < 0 || take_in(fd, head, HEAD_CRC_AT, &crc) || take_in(fd, head + HEAD_CRC_AT, HEAD_BYTES - HEAD_CRC_AT, &(uint32_t){ 0 }) ||
	    memcmp(head, magic, sizeof(magic)) || rd_le(&rd, 4) != VERSION)
		return 0;
	rd = rd_over(head + N_FILES_AT, HEAD_BYTES - N_FILES_AT);
	n_files = (uint32_t)rd_le(&rd, 4);
	if (n_files > DATALOG_FILES_MAX || !(*ret = calloc(n_files + 1, sizeof(**ret))))
		return 0;
	for (uint32_t i = 0; i < n_files; i++) {
		struct rd file = rd_over(bytes + FILE_NUMBER_AT, 4);

		if (take_in(fd, bytes, sizeof(bytes), &crc))
			return 0;
		(*ret)[n] = (uint32_t)rd_le(&file, 4);
		snprintf(name, sizeof(name), "d%u", (*ret)[n]);
		n += faccessat(data, name, F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT;
	}
	return crc == rd_le(&rd, 4) ? n : 0;
}
