#include "zdb/datalog.h"

#include "base/file.h"
#include "base/parse.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

enum { WINDOW_BYTES = 1 << 20, FILE_NAME_MAX = 16 };

static void name_of(uint32_t file, char ret[static FILE_NAME_MAX])
{
	snprintf(ret, FILE_NAME_MAX, "d%u", file);
}

static struct data_file *active(const struct datalog *l)
{
	return l->n_files ? &l->files[l->n_files - 1] : NULL;
}

struct data_file *datalog_file(const struct datalog *l, uint32_t file)
{
	size_t from = 0, to = l->n_files;

	while (from < to) {
		size_t mid = (from + to) / 2;

		if (l->files[mid].head.file == file)
			return &l->files[mid];
		if (l->files[mid].head.file < file)
			from = mid + 1;
		else
			to = mid;
	}
	return NULL;
}

uint64_t datalog_bytes(const struct datalog *l)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < l->n_files; i++)
		bytes += l->files[i].end;
	return bytes;
}

/* --- opening --- */

static int file_open(struct datalog *l, const char *name, uint32_t number, struct err *e)
{
	uint8_t bytes[DATA_HEAD_MAX];
	struct data_file f = { .fd = openat(l->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW) };
	struct data_file *files;
	ssize_t n;
	int r;

	if (f.fd < 0)
		return err_set(e, -errno, "open the data file %s: %m", name);
	n = pread(f.fd, bytes, sizeof(bytes), 0);
	r = n < 0 ? -errno : data_head_decode(bytes, (size_t)n, &f.head);
	if (!r && f.head.file != number)
		r = -EBADMSG;
	files = r ? NULL : reallocarray(l->files, l->n_files + 1, sizeof(*files));
	if (!files) {
		fd_close(&f.fd);
		return err_set(e, r ? r : -ENOMEM,
			       r == -EPROTONOSUPPORT ? "%s is of a version that is not known"
			       : r                   ? "%s is no data file of this store, or its head is damaged"
						     : "open %s: out of memory",
			       name);
	}
	f.map = map_open(f.fd, l->file_max_bytes);
	l->files = files;
	l->files[l->n_files++] = f;
	return 0;
}

static void file_close(struct data_file *f)
{
	map_close(&f->map);
	fd_close(&f->fd);
}

static int by_number(const void *a, const void *b)
{
	const struct data_file *x = a, *y = b;

	return x->head.file < y->head.file ? -1 : x->head.file > y->head.file;
}

static int files_open(struct datalog *l, struct err *e)
{
	int copy = openat(l->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_DIR DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	if (!d) {
		fd_close(&copy);
		return err_set(e, -errno, "list the data files: %m");
	}
	while ((entry = readdir(d))) {
		struct str name = str_c(entry->d_name);
		uint64_t number;
		int r;

		if (name.n > 4 && !strcmp(name.p + name.n - 4, ".new")) /* a compaction that did not get to its end */
			unlinkat(l->dir, name.p, 0);
		if (name.n < 2 || name.p[0] != 'd' || parse_u64((struct str){ name.p + 1, name.n - 1 }, UINT32_MAX - 1, &number))
			continue;
		if (l->n_files == DATALOG_FILES_MAX)
			return err_set(e, -EMFILE, "there are more than %d data files", DATALOG_FILES_MAX);
		if ((r = file_open(l, entry->d_name, (uint32_t)number, e)))
			return r;
	}
	if (l->n_files)
		qsort(l->files, l->n_files, sizeof(*l->files), by_number);
	return 0;
}

static int files_void(struct datalog *l, struct err *e)
{
	uint32_t first = 0;
	size_t n = 0;

	for (size_t i = 0; i < l->n_files; i++)
		first = l->files[i].head.first > first ? l->files[i].head.first : first;
	while (n < l->n_files && l->files[n].head.file < first) {
		char name[FILE_NAME_MAX];

		name_of(l->files[n].head.file, name);
		if (unlinkat(l->dir, name, 0) && errno != ENOENT)
			return err_set(e, -errno, "remove %s, which was flushed: %m", name);
		file_close(&l->files[n++]);
	}
	if (n)
		memmove(l->files, l->files + n, (l->n_files -= n) * sizeof(*l->files));
	return 0;
}

int datalog_open(struct datalog *ret, int dir, uint32_t file_max_bytes, struct err *e)
{
	struct datalog *l = ret;
	int r;

	*l = (struct datalog){ .dir = dir, .file_max_bytes = file_max_bytes, .gathered = malloc(DATALOG_GATHER_BYTES) };
	if (!l->gathered)
		return err_set(e, -ENOMEM, "open the data files: out of memory");
	if ((r = files_open(l, e)) || (r = files_void(l, e)))
		return r;
	return 0;
}

void datalog_close(struct datalog *l)
{
	for (size_t i = 0; i < l->n_files; i++)
		file_close(&l->files[i]);
	free(l->files);
	free(l->gathered);
	free(l->gone);
	fd_close(&l->dir);
	*l = (struct datalog)DATALOG_NONE;
}

int datalog_resume(struct datalog *l, size_t index, const struct data_file *as, struct err *e)
{
	struct data_file *f = index < l->n_files ? &l->files[index] : NULL;
	struct stat st;

	if (!f || !data_head_eq(&f->head, &as->head) || fstat(f->fd, &st) || st.st_size < as->end)
		return err_set(e, -EBADMSG, "the checkpoint is of other data files");
	f->end = as->end;
	f->last = as->last;
	f->dead_bytes = as->dead_bytes;
	return 0;
}

/* --- reading record by record --- */

struct window { /* a part of a file */
	const struct data_file *f;
	uint8_t *bytes;
	uint64_t at;
	size_t n;
	int failed; /* negative errno */
};

/* What stands at OFFSET, as far as it is there: NEED bytes, or up to the file's end. */
static const uint8_t *window_at(struct window *w, uint64_t offset, size_t need, size_t *ret_n)
{
	if (offset < w->at || offset + need > w->at + w->n) {
		w->at = offset;
		w->n = 0;
		while (w->n < WINDOW_BYTES) {
			ssize_t n = pread(w->f->fd, w->bytes + w->n, WINDOW_BYTES - w->n, (off_t)(offset + w->n));

			if (n < 0)
				w->failed = -errno;
			if (n <= 0)
				break;
			w->n += (size_t)n;
		}
	}
	*ret_n = w->at + w->n - offset;
	return w->bytes + (offset - w->at);
}

static bool payload_is_sound(struct window *w, uint64_t offset, const struct record *r)
{
	uint32_t crc = 0;

	for (uint32_t done = 0; done < r->length;) {
		size_t n, want = r->length - done < WINDOW_BYTES / 2 ? r->length - done : WINDOW_BYTES / 2;
		const uint8_t *p = window_at(w, offset + done, want, &n);

		if (n < want)
			return false;
		crc = record_crc_more(crc, (struct str){ (const char *)p, want });
		done += (uint32_t)want;
	}
	return crc == r->crc;
}

/* The next offset from FROM on at which a whole record stands, or 0. Only damage leads here: our records know where they stand. */
static uint64_t find_next(struct window *w, uint64_t from, uint64_t size)
{
	for (uint64_t at = from; at + RECORD_HEAD_MAX < size && !w->failed; at++) {
		struct record r;
		size_t n;
		const uint8_t *p = window_at(w, at, RECORD_HEAD_MAX + RECORD_ID_MAX, &n);

		if (n >= RECORD_HEAD_MAX && record_may_begin(&w->f->head, p) && !record_decode(&w->f->head, (uint32_t)at, p, n, &r) &&
		    at + record_bytes(&w->f->head, &r) <= size)
			return at;
	}
	return 0;
}

struct scanning {
	struct datalog *l;
	datalog_seen *seen;
	void *ctx;
	struct window window;
};

/* One record at AT: the offset behind it, 0 when none stands there. */
static int scan_one(struct scanning *s, struct data_file *f, uint64_t at, uint64_t size, uint64_t *ret_next, struct err *e)
{
	struct window *w = &s->window;
	struct record r;
	size_t n;
	const uint8_t *p = window_at(w, at, RECORD_HEAD_MAX + RECORD_ID_MAX, &n);
	uint8_t id[RECORD_ID_MAX];
	bool is_damaged = false;
	int k;

	*ret_next = 0;
	if (record_decode(&f->head, (uint32_t)at, p, n, &r) || at + record_bytes(&f->head, &r) > size)
		return 0;
	memcpy(id, r.id.p, r.id.n); /* the window moves on */
	r.id.p = (const char *)id;
	if (f == active(s->l)) /* the others were on the disk before it was begun */
		is_damaged = !payload_is_sound(w, at + record_head_bytes(&f->head, &r), &r);
	if ((k = s->seen(s->ctx, (struct place){ f->head.file, (uint32_t)at }, &r, is_damaged, e)))
		return k;
	f->last = (uint32_t)at;
	*ret_next = at + record_bytes(&f->head, &r);
	return 0;
}

static int gap_add(struct datalog *l, uint32_t file, uint32_t from, uint32_t to, struct err *e)
{
	if (l->n_gaps == DATALOG_GAPS_MAX)
		return err_set(e, -EBADMSG, "the data files are damaged in more than %d places", DATALOG_GAPS_MAX);
	l->gaps[l->n_gaps++] = (struct data_gap){ file, from, to };
	return 0;
}

static int scan_file(struct scanning *s, struct data_file *f, uint32_t from, struct err *e)
{
	uint64_t at = from ? from : f->head.n_bytes, next;
	struct stat st;
	int r;

	if (fstat(f->fd, &st))
		return err_set(e, -errno, "look at d%u: %m", f->head.file);
	s->window = (struct window){ .f = f, .bytes = s->window.bytes };
	for (;;) {
		if ((r = scan_one(s, f, at, (uint64_t)st.st_size, &next, e)))
			return r;
		if (!next && (next = find_next(&s->window, at + 1, (uint64_t)st.st_size))) {
			f->is_hurt = true;
			if ((r = gap_add(s->l, f->head.file, (uint32_t)at, (uint32_t)next, e)))
				return r;
			at = next;
			continue;
		}
		if (s->window.failed)
			return err_set(e, s->window.failed, "read d%u: %s", f->head.file, strerror(-s->window.failed));
		if (!next)
			break;
		at = next;
	}
	f->end = (uint32_t)at;
	/* what is behind was never whole, and shall not be taken for records later; in the original's files nothing is changed */
	if (f == active(s->l) && f->head.version == DATA_VERSION && ftruncate(f->fd, (off_t)at))
		return err_set(e, -errno, "cut d%u: %m", f->head.file);
	return 0;
}

int datalog_scan(struct datalog *l, struct place from, datalog_seen *seen, void *ctx, struct err *e)
{
	AUTO_FREE uint8_t *bytes = malloc(WINDOW_BYTES);
	struct scanning s = { .l = l, .seen = seen, .ctx = ctx, .window.bytes = bytes };
	int r = 0;

	if (!bytes)
		return err_set(e, -ENOMEM, "read the data files: out of memory");
	for (size_t i = 0; i < l->n_files && !r; i++)
		if (l->files[i].head.file >= from.file)
			r = scan_file(&s, &l->files[i], l->files[i].head.file == from.file ? from.offset : 0, e);
	l->written = l->reserved = l->n_files ? active(l)->end : 0;
	return r;
}

/* --- writing --- */

static uint64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int fail(struct datalog *l, int r, struct err *e, const char *what)
{
	l->failed = r;
	return err_set(e, r, "%s: %s; nothing is written any more until the store is started again", what, strerror(-r));
}

static int write_all(int fd, struct iovec *part, int n_parts, uint64_t at)
{
	while (n_parts) {
		ssize_t n = pwritev(fd, part, n_parts, (off_t)at);

		if (n < 0 && errno != EINTR)
			return -errno;
		for (at += n > 0 ? (uint64_t)n : 0; n_parts && n >= 0 && (size_t)n >= part->iov_len; n_parts--)
			n -= (ssize_t)(part++)->iov_len;
		if (n_parts && n > 0) {
			part->iov_base = (uint8_t *)part->iov_base + n;
			part->iov_len -= (size_t)n;
		}
	}
	return 0;
}

int datalog_flush(struct datalog *l, struct err *e)
{
	struct iovec part = { l->gathered, l->n_gathered };
	int r;

	if (l->failed)
		return fail(l, l->failed, e, "write records");
	if (!l->n_gathered)
		return 0;
	if ((r = write_all(active(l)->fd, &part, 1, l->written)))
		return fail(l, r, e, "write records");
	l->written += l->n_gathered;
	l->n_gathered = 0;
	return 0;
}

int datalog_sync(struct datalog *l, struct err *e)
{
	int r = datalog_flush(l, e);
	uint64_t began_us;

	if (r || !l->n_files)
		return r;
	began_us = clock_us();
	if (fdatasync(active(l)->fd))
		return fail(l, -errno, e, "make records safe");
	l->syncs++;
	l->syncs_us += clock_us() - began_us;
	return 0;
}

static int file_make(struct datalog *l, const struct data_head *h, struct err *e)
{
	uint8_t bytes[DATA_HEAD_MAX];
	char name[FILE_NAME_MAX];
	int r;

	data_head_encode(h, bytes);
	name_of(h->file, name);
	if ((r = file_save(l->dir, name, (struct str){ (char *)bytes, sizeof(bytes) }, 0600, e)) || (r = file_open(l, name, h->file, e)))
		return r;
	active(l)->end = l->written = l->reserved = active(l)->head.n_bytes;
	active(l)->is_changed = true;
	return 0;
}

static int file_next(struct datalog *l, bool is_first, struct err *e)
{
	struct data_head h = { .salt = random_u64() };
	int r = datalog_sync(l, e);

	if (r)
		return r;
	if (l->n_files) {
		h.file = active(l)->head.file + 1;
		h.first = is_first ? h.file : active(l)->head.first;
	}
	if (l->n_files == DATALOG_FILES_MAX || h.file == UINT32_MAX)
		return err_set(e, -ENOSPC, "there are %zu data files: compact the namespace", l->n_files);
	return file_make(l, &h, e);
}

int datalog_rotate(struct datalog *l, struct err *e)
{
	return file_next(l, false, e);
}

int datalog_jump(struct datalog *l, struct err *e)
{
	int r = l->n_files ? 0 : file_next(l, false, e);

	return r ? r : file_next(l, false, e);
}

int datalog_clear(struct datalog *l, struct err *e)
{
	int r;

	if (!l->n_files)
		return 0;
	if ((r = file_next(l, true, e)))
		return r;
	return files_void(l, e);
}

/* Room on the disk for N more bytes, asked for ahead, so that a full disk is told before anything has changed. */
static int reserve(struct datalog *l, uint64_t n, struct err *e)
{
	uint64_t want[] = { active(l)->end + n + DATALOG_AHEAD_BYTES, active(l)->end + n };

	if (want[1] <= l->reserved)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		uint64_t to = want[i] < l->file_max_bytes || i ? want[i] : l->file_max_bytes;

		if (to <= l->reserved || !fallocate(active(l)->fd, FALLOC_FL_KEEP_SIZE, l->reserved, (off_t)(to - l->reserved))) {
			l->reserved = to > l->reserved ? (uint32_t)to : l->reserved;
			return 0;
		}
		if (errno == EOPNOTSUPP)
			return 0;
	}
	return err_set(e, -errno, "no room on the disk: %m");
}

static int put(struct datalog *l, const uint8_t *head, size_t n_head, struct str payload, struct err *e)
{
	int r;

	if (l->n_gathered + n_head + payload.n > DATALOG_GATHER_BYTES && (r = datalog_flush(l, e)))
		return r;
	if (n_head + payload.n > DATALOG_GATHER_BYTES / 2) {
		struct iovec parts[] = { { (void *)head, n_head }, { (void *)payload.p, payload.n } };

		if ((r = datalog_flush(l, e)))
			return r;
		if ((r = write_all(active(l)->fd, parts, 2, l->written)))
			return fail(l, r, e, "write a record");
		l->written += (uint32_t)(n_head + payload.n);
		return 0;
	}
	memcpy(l->gathered + l->n_gathered, head, n_head);
	memcpy(l->gathered + l->n_gathered + n_head, payload.p, payload.n);
	l->n_gathered += (uint32_t)(n_head + payload.n);
	return 0;
}

int datalog_append(struct datalog *l, struct record *r, struct str payload, struct place *ret, struct err *e)
{
	uint8_t head[RECORD_HEAD_MAX + RECORD_ID_MAX];
	uint64_t n = RECORD_HEAD_MAX + r->id.n + payload.n;
	struct data_file *f = active(l);
	size_t n_head;
	int k;

	if (l->failed)
		return fail(l, l->failed, e, "write a record");
	if ((!f || f->head.version != DATA_VERSION || f->end + n > l->file_max_bytes) && (k = file_next(l, false, e)))
		return k;
	f = active(l);
	if ((k = reserve(l, n, e)))
		return k;
	r->previous = f->last;
	r->length = (uint32_t)payload.n;
	n_head = record_encode(&f->head, f->end, r, head);
	if ((k = put(l, head, n_head, payload, e)))
		return k;
	*ret = (struct place){ f->head.file, f->end };
	f->last = f->end;
	f->end += (uint32_t)n;
	f->is_changed = true;
	return 0;
}

/* --- compaction --- */

static void gaps_forget(struct datalog *l, uint32_t file)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n_gaps; i++)
		if (l->gaps[i].file != file)
			l->gaps[n++] = l->gaps[i];
	l->n_gaps = n;
}

/* A copy that kept it would find again what it deleted. */
static void gone_add(struct datalog *l, uint32_t file)
{
	if (!l->gone) {
		l->gone = malloc(DATALOG_GONE_MAX * sizeof(*l->gone)); /* touched as it fills */
		BUG_ON(!l->gone);
	}
	if (l->n_gone < DATALOG_GONE_MAX)
		l->gone[l->n_gone++] = file;
}

int datalog_replace(struct datalog *l, const struct data_file *f, const char *name, struct err *e)
{
	struct data_file *old = datalog_file(l, f->head.file);
	char to[FILE_NAME_MAX];

	name_of(f->head.file, to);
	if (renameat(l->dir, name, l->dir, to) || fsync(l->dir))
		return err_set(e, -errno, "put %s in the place of %s: %m", name, to);
	file_close(old);
	*old = *f;
	old->map = map_open(old->fd, l->file_max_bytes);
	old->is_changed = true;
	gaps_forget(l, f->head.file);
	return 0;
}

int datalog_drop(struct datalog *l, uint32_t file, struct err *e)
{
	struct data_file *f = datalog_file(l, file);
	char name[FILE_NAME_MAX];

	name_of(file, name);
	if (unlinkat(l->dir, name, 0) || fsync(l->dir))
		return err_set(e, -errno, "remove %s: %m", name);
	file_close(f);
	l->n_files--;
	memmove(f, f + 1, (size_t)(&l->files[l->n_files] - f) * sizeof(*f));
	gaps_forget(l, file);
	gone_add(l, file);
	return 0;
}

void datalog_unmark(struct datalog *l)
{
	for (size_t i = 0; i < l->n_files; i++)
		l->files[i].is_changed = false;
	free(l->gone);
	l->gone = NULL;
	l->n_gone = 0;
}
