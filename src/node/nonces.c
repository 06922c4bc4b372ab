#include "node/nonces.h"

#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/rd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { RECORD_LEN = ORDER_NONCE_LEN / 2 + 8, CHUNK_LEN = 1024 * RECORD_LEN, FILE_MAX = 2 * NONCES_MAX * RECORD_LEN };

/* How long a nonce must be remembered: an order is taken until its expiry plus the slack of clocks. */
static bool is_over(const struct nonce *n, int64_t now_s)
{
	return n->expires_s + CLOCK_SLACK_S < now_s;
}

static void encode(const struct nonce *n, struct buf *b)
{
	buf_add_bytes(b, n->bytes, sizeof(n->bytes));
	buf_add_le(b, (uint64_t)n->expires_s, 8);
}

static int file_open(struct nonces_file *f, off_t size, struct err *e)
{
	struct stat st;

	fd_close(&f->fd);
	f->fd = open(f->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	f->size = size;
	if (f->fd < 0 || fstat(f->fd, &st) || (st.st_size != size && ftruncate(f->fd, size)))
		return err_set(e, -errno, "open %s: %m", f->path);
	return 0;
}

/* Where there is no room for a new one, the old file goes on, with what is whole of it. */
static int rewrite(struct nonces *s, struct nonces_file *f, struct err *e)
{
	AUTO_BUF struct buf b = { 0 };
	int r;

	for (size_t i = 0; i < s->n; i++)
		encode(&s->all[i], &b);
	r = file_save(AT_FDCWD, f->path, buf_str(&b), 0600, e);
	if (r != -ENOSPC)
		return r ? r : file_open(f, (off_t)b.len, e);
	log_limited("%s; the old file goes on", e->msg);
	return file_open(f, f->size, e);
}

void nonces_init(struct nonces *ret)
{
	*ret = (struct nonces)NONCES_NONE;
	ret->all = calloc(NONCES_MAX, sizeof(*ret->all));
	BUG_ON(!ret->all);
}

void nonces_deinit(struct nonces *s)
{
	while (s->n_files)
		fd_close(&s->files[--s->n_files].fd);
	free(s->all);
	*s = (struct nonces)NONCES_NONE;
}

/* Its place among ALL; N when it is not known. */
static size_t place_of(const struct nonces *s, const struct nonce *n)
{
	size_t i = 0;

	while (i < s->n && memcmp(s->all[i].bytes, n->bytes, sizeof(n->bytes)))
		i++;
	return i;
}

static void record_take(struct nonces *s, struct rd *rd, int64_t now_s, bool seen[static NONCES_MAX])
{
	struct nonce n;
	size_t at;

	rd_bytes(rd, n.bytes, sizeof(n.bytes));
	n.expires_s = (int64_t)rd_le(rd, 8);
	at = is_over(&n, now_s) ? NONCES_MAX : place_of(s, &n);
	if (at == NONCES_MAX)
		return;
	if (at == s->n)
		s->all[s->n++] = n;
	seen[at] = true;
}

/* However long it became. A torn record at the end was never answered. */
static int take_all(struct nonces *s, int fd, int64_t now_s, bool seen[static NONCES_MAX], off_t *ret_size)
{
	AUTO_FREE char *chunk = malloc(CHUNK_LEN);
	off_t at = 0;
	ssize_t n;

	BUG_ON(!chunk);
	while ((n = pread(fd, chunk, CHUNK_LEN, at)) >= RECORD_LEN) {
		struct rd rd = rd_over(chunk, (size_t)(n - n % RECORD_LEN));

		at += n - n % RECORD_LEN;
		while (rd_left(&rd))
			record_take(s, &rd, now_s, seen);
	}
	*ret_size = at;
	return n < 0 ? -errno : 0;
}

/* RET_IS_CURRENT: nothing is to be written: it has all that is known, whole, and is not too long. */
static int file_take(struct nonces *s, struct nonces_file *f, int64_t now_s, bool *ret_is_current, struct err *e)
{
	AUTO_FREE bool *seen = calloc(NONCES_MAX, sizeof(*seen));
	AUTO_FD int fd = open(f->path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t n = 0;
	int r;

	BUG_ON(!seen);
	*ret_is_current = false;
	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(e, -errno, "open %s: %m", f->path);
	r = fstat(fd, &st) ? -errno : take_all(s, fd, now_s, seen, &f->size);
	if (r)
		return err_set(e, r, "read %s: %s", f->path, strerror(-r));
	while (n < s->n && seen[n])
		n++;
	*ret_is_current = n == s->n && st.st_size == f->size && f->size <= FILE_MAX;
	return 0;
}

static struct nonces_file *file_find(struct nonces *s, const char *path)
{
	for (size_t i = 0; i < s->n_files; i++)
		if (!strcmp(s->files[i].path, path))
			return &s->files[i];
	return NULL;
}

void nonces_drop(struct nonces *s, const char *path)
{
	struct nonces_file *f = file_find(s, path);

	if (!f)
		return;
	fd_close(&f->fd);
	*f = s->files[--s->n_files];
}

int nonces_add(struct nonces *s, const char *path, int64_t now_s, struct err *e)
{
	struct nonces_file *f;
	size_t known = s->n;
	bool is_current;
	int r;

	if (file_find(s, path))
		return 0;
	BUG_ON(s->n_files == NONCES_FILES_MAX || strlen(path) >= NONCES_PATH_MAX);
	f = &s->files[s->n_files++];
	*f = (struct nonces_file){ .fd = -1 };
	snprintf(f->path, sizeof(f->path), "%s", path);
	r = file_take(s, f, now_s, &is_current, e);
	if (!r)
		r = is_current ? file_open(f, f->size, e) : rewrite(s, f, e);
	for (size_t i = 0; i + 1 < s->n_files && !r && s->n > known; i++) /* it knew what the others do not */
		r = rewrite(s, &s->files[i], e);
	if (r)
		nonces_drop(s, path);
	return r;
}

static int append(struct nonces_file *f, const struct buf *record)
{
	errno = 0;
	if (write(f->fd, record->p, record->len) != (ssize_t)record->len || fdatasync(f->fd)) {
		int r = errno ? -errno : -ENOSPC;

		(void)!ftruncate(f->fd, f->size); /* half a record would put all behind it out of step */
		return r;
	}
	f->size += (off_t)record->len;
	return 0;
}

/* What one cannot do now, it can later: it goes on as it is. */
static void files_shorten(struct nonces *s)
{
	struct err e = { 0 };

	for (size_t i = 0; i < s->n_files; i++)
		if (s->files[i].size > FILE_MAX && rewrite(s, &s->files[i], &e))
			log_limited("%s", e.msg);
}

/* On how many disks it is now. */
static size_t append_all(struct nonces *s, const struct buf *record, int *ret)
{
	size_t took = 0;

	for (size_t i = 0; i < s->n_files; i++) {
		int r = append(&s->files[i], record);

		*ret = r ? r : *ret;
		took += !r;
	}
	return took;
}

static void forget_over(struct nonces *s, int64_t now_s)
{
	for (size_t i = 0; i < s->n;)
		if (is_over(&s->all[i], now_s))
			s->all[i] = s->all[--s->n];
		else
			i++;
}

int nonces_use(struct nonces *s, const char *hex, int64_t expires_s, bool reads, int64_t now_s, struct err *e)
{
	struct nonce n = { .expires_s = expires_s };
	AUTO_BUF struct buf b = { 0 };
	int r = 0;

	if (parse_hex(str_c(hex), n.bytes, sizeof(n.bytes)))
		return err_set(e, -EBADMSG, "the order's nonce is not %d hexadecimal digits", ORDER_NONCE_LEN);
	forget_over(s, now_s);
	if (place_of(s, &n) < s->n)
		return err_set(e, -ESTALE, "this very order was carried out before: sign a new one");
	if (s->n == NONCES_MAX)
		return err_set(e, -EBUSY, "%d orders were taken in the last minutes: try again in a while", NONCES_MAX);
	encode(&n, &b);
	if (buf_check(&b))
		return err_set(e, -ENOMEM, "take the order: out of memory");
	if (!append_all(s, &b, &r) && !reads)
		return err_set(e, -EIO,
			       "the node changes nothing while it cannot write down which orders it took (%s): 'zos node disks' says what is wrong; "
			       "give the order again once a disk is well",
			       r ? strerror(-r) : "none of its disks is here");
	s->all[s->n++] = n;
	files_shorten(s);
	return 0;
}
