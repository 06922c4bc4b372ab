#include "zdb/checkpoint.h"

#include "base/buf.h"
#include "base/rd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { VERSION = 1, HEAD_BYTES = 64, FILE_BYTES = 40, CHUNK_BYTES = 1 << 20, N_FILES_AT = 56, FILE_NUMBER_AT = 12 };

static const char magic[4] = "ZDBC";

/* Bytes that are written one behind the other, and summed up. */
struct out {
	int fd;
	uint32_t crc;
	struct buf gathered;
	int failed;
};

static void out_flush(struct out *o)
{
	for (size_t done = 0; !o->failed && done < o->gathered.len;) {
		ssize_t n = write(o->fd, o->gathered.p + done, o->gathered.len - done);

		if (n < 0 && errno != EINTR)
			o->failed = -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	o->crc = record_crc_more(o->crc, buf_str(&o->gathered));
	o->gathered.len = 0;
}

static void files_put(struct out *o, const struct datalog *l)
{
	for (size_t i = 0; i < l->n_files; i++) {
		const struct data_file *f = &l->files[i];
		const uint32_t words[] = { f->head.version, f->head.file, f->head.generation, f->head.first, f->head.n_bytes,
					   f->end,          f->last,      f->dead_bytes };

		buf_add_le(&o->gathered, f->head.salt, 8);
		for (size_t k = 0; k < ARRAY_LEN(words); k++)
			buf_add_le(&o->gathered, words[k], 4);
	}
}

static void segments_put(struct out *o, const struct keydir *k)
{
	const struct keydir_segment *s;

	for (uint64_t at = 0; (s = keydir_each(k, &at));) {
		buf_add_bytes(&o->gathered, s, sizeof(*s)); /* little-endian words, as the machine has them */
		if (o->gathered.len >= CHUNK_BYTES)
			out_flush(o);
	}
}

static int write_out(const struct space *s, struct out *o)
{
	buf_add_bytes(&o->gathered, magic, sizeof(magic));
	buf_add_le(&o->gathered, VERSION, 4);
	buf_add_bytes(&o->gathered, s->keys.hash_key, sizeof(s->keys.hash_key));
	buf_add_le(&o->gathered, s->data_bytes, 8);
	buf_add_le(&o->gathered, s->next_id, 8);
	buf_add_le(&o->gathered, s->keys.n, 8);
	buf_add_le(&o->gathered, s->keys.depth, 4);
	buf_add_le(&o->gathered, s->mode, 4);
	buf_add_le(&o->gathered, s->log.n_files, 4);
	buf_add_le(&o->gathered, 0, 4);
	files_put(o, &s->log);
	segments_put(o, &s->keys);
	out_flush(o);
	buf_add_le(&o->gathered, o->crc, 4);
	out_flush(o);
	if (o->failed || buf_check(&o->gathered))
		return o->failed ? o->failed : -ENOMEM;
	return fsync(o->fd) ? -errno : 0;
}

int checkpoint_save(const struct space *s, struct err *e)
{
	static const char name_new[] = CHECKPOINT_NAME ".new";
	AUTO_FD int fd = openat(s->index, name_new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct out o = { .fd = fd };
	int r = fd < 0 ? -errno : write_out(s, &o);

	buf_deinit(&o.gathered);
	if (!r && (renameat(s->index, name_new, s->index, CHECKPOINT_NAME) || fsync(s->index)))
		r = -errno;
	return r ? err_set(e, r, "write a checkpoint: %s", strerror(-r)) : 0;
}

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
	uint32_t depth, mode, n_files;
};

static int head_load(struct space *s, int fd, uint32_t *crc, struct head *ret)
{
	uint8_t bytes[HEAD_BYTES] = { 0 };
	struct rd rd = rd_over(bytes, sizeof(bytes));
	int r = take_in(fd, bytes, sizeof(bytes), crc);

	if (r)
		return r;
	if (memcmp(rd_take(&rd, sizeof(magic)), magic, sizeof(magic)) || rd_le(&rd, 4) != VERSION)
		return -EBADMSG;
	rd_bytes(&rd, s->keys.hash_key, sizeof(s->keys.hash_key));
	ret->data_bytes = rd_le(&rd, 8);
	ret->next_id = rd_le(&rd, 8);
	ret->n = rd_le(&rd, 8);
	ret->depth = (uint32_t)rd_le(&rd, 4);
	ret->mode = (uint32_t)rd_le(&rd, 4);
	ret->n_files = (uint32_t)rd_le(&rd, 4);
	return ret->mode == s->mode && ret->n_files <= s->log.n_files ? 0 : -EBADMSG;
}

static int files_load(struct space *s, int fd, uint32_t *crc, const struct head *h, struct place *ret)
{
	for (uint32_t i = 0; i < h->n_files; i++) {
		uint8_t bytes[FILE_BYTES] = { 0 };
		struct rd rd = rd_over(bytes, sizeof(bytes));
		struct data_file f = { .fd = -1 };
		int r = take_in(fd, bytes, sizeof(bytes), crc);

		if (r)
			return r;
		f.head.salt = rd_le(&rd, 8);
		f.head.version = (uint32_t)rd_le(&rd, 4);
		f.head.file = (uint32_t)rd_le(&rd, 4);
		f.head.generation = (uint32_t)rd_le(&rd, 4);
		f.head.first = (uint32_t)rd_le(&rd, 4);
		f.head.n_bytes = (uint32_t)rd_le(&rd, 4);
		f.end = (uint32_t)rd_le(&rd, 4);
		f.last = (uint32_t)rd_le(&rd, 4);
		f.dead_bytes = (uint32_t)rd_le(&rd, 4);
		if ((r = datalog_resume(&s->log, i, &f, NULL)))
			return r;
		*ret = (struct place){ f.head.file, f.end };
	}
	return 0;
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

	if (r || (r = head_load(s, fd, &crc, &h)) || (r = files_load(s, fd, &crc, &h, ret)) || (r = segments_load(s, fd, &crc, h.depth)))
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

static bool is_sound(int fd)
{
	AUTO_FREE uint8_t *bytes = malloc(CHUNK_BYTES);
	uint32_t crc = 0, at_end = 0;
	struct stat st;
	uint64_t left;

	if (!bytes || fstat(fd, &st) || st.st_size < HEAD_BYTES + 4 || lseek(fd, 0, SEEK_SET))
		return false;
	for (left = (uint64_t)st.st_size - 4; left;) {
		size_t n = left < CHUNK_BYTES ? left : CHUNK_BYTES;

		if (take_in(fd, bytes, n, &crc))
			return false;
		left -= n;
	}
	return pread(fd, bytes, 4, st.st_size - 4) == 4 && (memcpy(&at_end, bytes, 4), at_end == crc);
}

size_t checkpoint_missing(int index, int data, uint32_t **ret)
{
	AUTO_FD int fd = openat(index, CHECKPOINT_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint8_t head[HEAD_BYTES], bytes[FILE_BYTES] = { 0 };
	struct rd rd = rd_over(head + N_FILES_AT, 4);
	uint32_t crc = 0, n_files, n = 0;

	if (fd < 0 || take_in(fd, head, sizeof(head), &crc) || memcmp(head, magic, sizeof(magic)) ||
	    (n_files = (uint32_t)rd_le(&rd, 4)) > DATALOG_FILES_MAX || !(*ret = calloc(n_files + 1, sizeof(**ret))))
		return 0;
	for (uint32_t i = 0; i < n_files && !take_in(fd, bytes, sizeof(bytes), &crc); i++) {
		char name[16];

		rd = rd_over(bytes + FILE_NUMBER_AT, 4);
		(*ret)[n] = (uint32_t)rd_le(&rd, 4);
		snprintf(name, sizeof(name), "d%u", (*ret)[n]);
		n += faccessat(data, name, F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT;
	}
	return n && is_sound(fd) ? n : 0;
}
