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

static int file_open(struct nonces *s, const char *path, off_t size, struct err *e)
{
	s->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	s->size = size;
	if (s->fd < 0 || ftruncate(s->fd, size))
		return err_set(e, -errno, "open %s: %m", path);
	return 0;
}

static int rewrite(struct nonces *s, const char *path, struct err *e)
{
	AUTO_BUF struct buf b = { 0 };
	int r;

	for (size_t i = 0; i < s->n; i++)
		encode(&s->all[i], &b);
	r = file_save(AT_FDCWD, path, buf_str(&b), 0600, e);
	return r ? r : file_open(s, path, (off_t)b.len, e);
}

int nonces_open(struct nonces *ret, const char *path, int64_t now_s, struct err *e)
{
	AUTO_BUF struct buf b = { 0 };
	off_t whole;
	struct rd rd;
	int r = file_read(AT_FDCWD, path, (size_t)NONCES_MAX * RECORD_LEN * 2, &b, e);

	*ret = (struct nonces)NONCES_NONE;
	if (r && r != -ENOENT)
		return r;
	ret->all = calloc(NONCES_MAX, sizeof(*ret->all));
	BUG_ON(!ret->all);
	whole = (off_t)(b.len - b.len % RECORD_LEN);
	rd = rd_over(b.p, b.len);
	while (rd_left(&rd) >= RECORD_LEN && ret->n < NONCES_MAX) { /* a torn record at the end was never answered */
		struct nonce n;

		rd_bytes(&rd, n.bytes, sizeof(n.bytes));
		n.expires_s = (int64_t)rd_le(&rd, 8);
		if (!is_over(&n, now_s))
			ret->all[ret->n++] = n;
	}
	r = rewrite(ret, path, e);
	if (r == -ENOSPC) {
		log_warn("%s; the old file goes on", e->msg);
		r = file_open(ret, path, whole, e);
	}
	return r;
}

void nonces_close(struct nonces *s)
{
	free(s->all);
	fd_close(&s->fd);
	*s = (struct nonces)NONCES_NONE;
}

int nonces_use(struct nonces *s, const char *hex, int64_t expires_s, int64_t now_s, struct err *e)
{
	struct nonce n = { .expires_s = expires_s };
	AUTO_BUF struct buf b = { 0 };

	if (parse_hex(str_c(hex), n.bytes, sizeof(n.bytes)))
		return err_set(e, -EBADMSG, "the order's nonce is not %d hexadecimal digits", ORDER_NONCE_LEN);
	for (size_t i = 0; i < s->n;) {
		if (is_over(&s->all[i], now_s)) {
			s->all[i] = s->all[--s->n];
			continue;
		}
		if (!memcmp(s->all[i].bytes, n.bytes, sizeof(n.bytes)))
			return err_set(e, -ESTALE, "this very order was carried out before: sign a new one");
		i++;
	}
	if (s->n == NONCES_MAX)
		return err_set(e, -EBUSY, "%d orders were taken in the last minutes: try again in a while", NONCES_MAX);
	encode(&n, &b);
	errno = 0;
	if (buf_check(&b) || write(s->fd, b.p, b.len) != (ssize_t)b.len) {
		err_set(e, -EIO, "the node could not write down that it takes this order: %s", strerror(errno ? errno : ENOSPC));
		(void)!ftruncate(s->fd, s->size); /* half a record would put all behind it out of step */
		return -EIO;
	}
	s->size += (off_t)b.len;
	s->all[s->n++] = n;
	return 0;
}
