#include "node/nonces.h"

#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/rd.h"

#include <fcntl.h>
#include <stdio.h>

enum { RECORD_LEN = ORDER_NONCE_LEN / 2 + 8 };

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
	fd_close(&f->fd);
	f->fd = open(f->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	f->size = size;
	if (f->fd < 0 || ftruncate(f->fd, size))
		return err_set(e, -errno, "open %s: %m", f->path);
	return 0;
}

/* Where there is no room for a new one, the old file goes on, with WHOLE bytes of it. */
static int rewrite(struct nonces *s, struct nonces_file *f, off_t whole, struct err *e)
{
	AUTO_BUF struct buf b = { 0 };
	int r;

	for (size_t i = 0; i < s->n; i++)
		encode(&s->all[i], &b);
	r = file_save(AT_FDCWD, f->path, buf_str(&b), 0600, e);
	if (r != -ENOSPC)
		return r ? r : file_open(f, (off_t)b.len, e);
	log_warn("%s; the old file goes on", e->msg);
	return file_open(f, whole, e);
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

static bool is_known(const struct nonces *s, const struct nonce *n)
{
	for (size_t i = 0; i < s->n; i++)
		if (!memcmp(s->all[i].bytes, n->bytes, sizeof(n->bytes)))
			return true;
	return false;
}

static void take_all(struct nonces *s, const struct buf *file, int64_t now_s)
{
	struct rd rd = rd_over(file->p, file->len);

	while (rd_left(&rd) >= RECORD_LEN && s->n < NONCES_MAX) { /* a torn record at the end was never answered */
		struct nonce n;

		rd_bytes(&rd, n.bytes, sizeof(n.bytes));
		n.expires_s = (int64_t)rd_le(&rd, 8);
		if (!is_over(&n, now_s) && !is_known(s, &n))
			s->all[s->n++] = n;
	}
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
	AUTO_BUF struct buf b = { 0 };
	struct nonces_file *f;
	int r;

	if (file_find(s, path))
		return 0;
	BUG_ON(s->n_files == NONCES_FILES_MAX || strlen(path) >= NONCES_PATH_MAX);
	r = file_read(AT_FDCWD, path, (size_t)NONCES_MAX * RECORD_LEN * 2, &b, e);
	if (r && r != -ENOENT)
		return r;
	take_all(s, &b, now_s);
	f = &s->files[s->n_files++];
	*f = (struct nonces_file){ .fd = -1 };
	snprintf(f->path, sizeof(f->path), "%s", path);
	for (size_t i = 0; i < s->n_files; i++) {
		struct nonces_file *k = &s->files[i];

		if ((r = rewrite(s, k, k == f ? (off_t)(b.len - b.len % RECORD_LEN) : k->size, e)))
			break;
	}
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

int nonces_use(struct nonces *s, const char *hex, int64_t expires_s, int64_t now_s, struct err *e)
{
	struct nonce n = { .expires_s = expires_s };
	AUTO_BUF struct buf b = { 0 };
	size_t took = 0;
	int r = -EROFS;

	if (parse_hex(str_c(hex), n.bytes, sizeof(n.bytes)))
		return err_set(e, -EBADMSG, "the order's nonce is not %d hexadecimal digits", ORDER_NONCE_LEN);
	for (size_t i = 0; i < s->n;)
		if (is_over(&s->all[i], now_s))
			s->all[i] = s->all[--s->n];
		else
			i++;
	if (is_known(s, &n))
		return err_set(e, -ESTALE, "this very order was carried out before: sign a new one");
	if (s->n == NONCES_MAX)
		return err_set(e, -EBUSY, "%d orders were taken in the last minutes: try again in a while", NONCES_MAX);
	encode(&n, &b);
	if (buf_check(&b))
		return err_set(e, -ENOMEM, "take the order: out of memory");
	for (size_t i = 0; i < s->n_files; i++) {
		int one = append(&s->files[i], &b);

		r = one ? one : r;
		took += !one;
	}
	if (!took)
		return err_set(e, -EIO, "the node could not write down that it takes this order: %s", strerror(-r));
	s->all[s->n++] = n;
	return 0;
}
