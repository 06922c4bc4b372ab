#include "zdb/lending.h"

#include "base/err.h"
#include "test/t.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FILE_BYTES = 4 * 4096 };

struct mapped {
	int fd;
	struct map map;
};

static struct mapped mapped_make(void)
{
	struct mapped p = { .fd = memfd_create("data", MFD_CLOEXEC) };
	uint8_t bytes[FILE_BYTES];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)('a' + i % 23);
	BUG_ON(p.fd < 0 || write(p.fd, bytes, sizeof(bytes)) != sizeof(bytes));
	p.map = map_open(p.fd, FILE_BYTES);
	BUG_ON(!p.map.p);
	return p;
}

static void mapped_end(struct mapped *p)
{
	map_close(&p->map);
	fd_close(&p->fd);
}

/* Two answers with a value each, and one without. */
static void lend_two(struct lending *l, struct buf *out, const struct mapped *p)
{
	*l = (struct lending){ 0 };
	*out = (struct buf){ 0 };
	buf_add(out, S("+sent\r\n$9000\r\n"));
	lending_add(l, out, (struct map){ p->map.p + 100, 9000 });
	buf_add(out, S("\r\n$5\r\n"));
	lending_add(l, out, (struct map){ p->map.p + 7, 5 });
	buf_add(out, S("\r\n:1\r\n"));
}

enum { FROM = 7 /* "+sent" went out before */ };

static struct buf all_of(const struct lending *l, const struct buf *out)
{
	struct iovec parts[LENDING_PARTS_MAX];
	int n = lending_parts(l, out, FROM, parts);
	struct buf ret = { 0 };

	for (int i = 0; i < n; i++)
		buf_add_bytes(&ret, parts[i].iov_base, parts[i].iov_len);
	return ret;
}

static void test_what_is_lent_stands_between(void)
{
	struct mapped p = mapped_make();
	AUTO_BUF struct buf want = { 0 };
	AUTO_BUF struct buf out = { 0 };
	AUTO_BUF struct buf got = { 0 };
	struct lending l;

	lend_two(&l, &out, &p);
	buf_add(&want, S("$9000\r\n"));
	buf_add_bytes(&want, p.map.p + 100, 9000);
	buf_add(&want, S("\r\n$5\r\n"));
	buf_add_bytes(&want, p.map.p + 7, 5);
	buf_add(&want, S("\r\n:1\r\n"));
	got = all_of(&l, &out);
	T_CHECK(l.n == 2 && l.bytes == 9005, "%zu of %zu bytes", l.n, l.bytes);
	T_CHECK(str_eq(buf_str(&got), buf_str(&want)), "%zu bytes, not %zu, or others", got.len, want.len);
	mapped_end(&p);
}

/* However much of it went out, the rest is there as a copy. */
static void test_the_rest_is_copied(void)
{
	struct mapped p = mapped_make();
	AUTO_BUF struct buf all = { 0 };
	struct lending l;
	struct buf out;

	lend_two(&l, &out, &p);
	all = all_of(&l, &out);
	buf_deinit(&out);
	for (size_t n = 0; n <= all.len; n++) {
		lend_two(&l, &out, &p);
		lending_end(&l, &out, FROM, n);
		T_CHECK(!l.failed && !l.n && !l.bytes, "after %zu: %d, %zu are lent", n, l.failed, l.n);
		T_CHECK(out.len == all.len - n && (!out.len || !memcmp(out.p, all.p + n, out.len)), "behind %zu bytes: %zu, or others", n, out.len);
		lending_end(&l, &out, 0, 0); /* nothing is lent: nothing happens */
		T_CHECK(out.len == all.len - n, "%zu", out.len);
		buf_deinit(&out);
	}
	mapped_end(&p);
}

static void test_no_more_than_its_room(void)
{
	struct mapped p = mapped_make();
	AUTO_BUF struct buf out = { 0 };
	AUTO_BUF struct buf got = { 0 };
	struct lending l = { 0 };

	buf_add(&out, S("0123456"));
	for (size_t i = 0; i < LENDING_MAX; i++)
		lending_add(&l, &out, (struct map){ p.map.p + i, 1 });
	got = all_of(&l, &out);
	T_CHECK(str_eq(buf_str(&got), S("abcdefghijklmnop")), "'%.*s'", (int)got.len, got.p);
	mapped_end(&p);
}

/* A page that the disk does not give is an error of whoever looks there: of the kernel when it sends, and of the copy. */
static void test_a_page_that_is_gone(void)
{
	struct mapped p = mapped_make();
	struct iovec parts[LENDING_PARTS_MAX];
	struct msghdr m = { .msg_iov = parts };
	struct lending l;
	struct buf out;
	int ends[2];

	BUG_ON(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
	lend_two(&l, &out, &p);
	m.msg_iovlen = (size_t)lending_parts(&l, &out, FROM, parts);
	T_CHECK(sendmsg(ends[0], &m, MSG_NOSIGNAL) > 9000, "what is there is not sent: %m");
	BUG_ON(ftruncate(p.fd, 4096));
	T_CHECK(sendmsg(ends[0], &m, MSG_NOSIGNAL) < 0 && errno == EFAULT, "what is gone is sent: %m");
	lending_end(&l, &out, FROM, 0);
	T_CHECK(l.failed == -EIO && out.len == strlen("$9000\r\n") && !l.n, "%d, %zu bytes", l.failed, out.len);
	buf_deinit(&out);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
	mapped_end(&p);
}

int main(void)
{
	T_RUN(test_what_is_lent_stands_between);
	T_RUN(test_the_rest_is_copied);
	T_RUN(test_no_more_than_its_room);
	T_RUN(test_a_page_that_is_gone);
	return T_END();
}
