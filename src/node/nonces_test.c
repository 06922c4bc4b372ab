#include "node/nonces.h"

#include "test/t.h"

#include "base/buf.h"
#include "base/file.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

static const int64_t now_s = 1800000000;
static const char first[] = "00112233445566778899aabbccddeeff", second[] = "10112233445566778899aabbccddeeff";

static int opened(struct nonces *s, const char *path, int64_t at_s, struct err *e)
{
	nonces_init(s);
	return nonces_add(s, path, at_s, e);
}

/* Two disks: what one knows the other learns, each alone is enough after that, and one that fails does not stop the other. */
static void is_on_every_disk(void)
{
	char dir[] = "/tmp/nonces_test.XXXXXX", path[2][64], third[] = "20112233445566778899aabbccddeeff";
	struct nonces s = NONCES_NONE;
	struct err e = { 0 };

	T_NEED(mkdtemp(dir) != NULL, "mkdtemp: %m");
	for (int i = 0; i < 2; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/%d", dir, i);
		T_NEED(!opened(&s, path[i], now_s, &e) && !nonces_use(&s, i ? second : first, now_s + 60, false, now_s, &e), "%s", e.msg);
		nonces_deinit(&s);
	}
	T_NEED(!opened(&s, path[0], now_s, &e) && !nonces_add(&s, path[1], now_s, &e) && !nonces_add(&s, path[1], now_s, &e), "%s", e.msg);
	T_CHECK(s.n == 2 && s.n_files == 2, "%zu in %zu", s.n, s.n_files);
	T_CHECK(!nonces_use(&s, third, now_s + 60, false, now_s, &e), "%s", e.msg);
	nonces_deinit(&s);
	for (int i = 0; i < 2; i++) {
		T_NEED(!opened(&s, path[i], now_s, &e), "%s", e.msg);
		T_CHECK(nonces_use(&s, first, now_s + 60, false, now_s, &e) == -ESTALE &&
				nonces_use(&s, second, now_s + 60, false, now_s, &e) == -ESTALE &&
				nonces_use(&s, third, now_s + 60, false, now_s, &e) == -ESTALE,
			"%s", path[i]);
		nonces_deinit(&s);
	}
	T_CHECK(!unlink(path[0]) && !unlink(path[1]) && !rmdir(dir), "%m");
}

static void is_taken_once_also_after_a_restart(void)
{
	char path[] = "/tmp/nonces_test.XXXXXX";
	struct nonces s = NONCES_NONE;
	struct err e = { 0 };
	int fd = mkstemp(path);

	T_NEED(fd >= 0 && !close(fd), "mkstemp: %m");
	T_NEED(!opened(&s, path, now_s, &e), "%s", e.msg);
	T_CHECK(!nonces_use(&s, first, now_s + 60, false, now_s, &e), "%s", e.msg);
	T_CHECK(nonces_use(&s, first, now_s + 60, false, now_s, &e) == -ESTALE, "twice");
	T_CHECK(!nonces_use(&s, second, now_s + 600, false, now_s, &e), "%s", e.msg);
	T_CHECK(nonces_use(&s, "xyz", now_s + 60, false, now_s, &e) == -EBADMSG, "no nonce");
	nonces_deinit(&s);

	T_NEED(!opened(&s, path, now_s + 1, &e), "%s", e.msg);
	T_CHECK(nonces_use(&s, first, now_s + 60, false, now_s + 1, &e) == -ESTALE, "after a restart");
	T_CHECK(nonces_use(&s, first, now_s + 60, false, now_s + 60 + CLOCK_SLACK_S, &e) == -ESTALE, "as long as an order could be taken");
	nonces_deinit(&s);

	T_NEED(!opened(&s, path, now_s + 61 + CLOCK_SLACK_S, &e), "%s", e.msg);
	T_CHECK(s.n == 1, "what expired is dropped: %zu left", s.n);
	nonces_deinit(&s);
	unlink(path);
}

static ino_t file_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_ino;
}

/* Each write waits for its disk: a start writes where something is missing, and nowhere else. */
static void is_written_where_it_is_missing(void)
{
	char dir[] = "/tmp/nonces_test.XXXXXX", path[3][64];
	struct nonces s = NONCES_NONE;
	struct err e = { 0 };
	ino_t before[3];

	T_NEED(mkdtemp(dir) != NULL, "mkdtemp: %m");
	for (int i = 0; i < 3; i++)
		snprintf(path[i], sizeof(path[i]), "%s/%d", dir, i);
	T_NEED(!opened(&s, path[0], now_s, &e) && !nonces_add(&s, path[1], now_s, &e) && !nonces_use(&s, first, now_s + 60, false, now_s, &e) &&
		       !nonces_use(&s, second, now_s + 600, false, now_s, &e),
	       "%s", e.msg);
	nonces_deinit(&s);
	for (int i = 0; i < 2; i++)
		before[i] = file_of(path[i]);
	T_NEED(!opened(&s, path[0], now_s + 300, &e) && !nonces_add(&s, path[1], now_s + 300, &e), "%s", e.msg); /* by then the first has expired */
	T_CHECK(s.n == 1 && file_of(path[0]) == before[0] && file_of(path[1]) == before[1], "both had all: nothing is written");
	T_NEED(!nonces_add(&s, path[2], now_s + 300, &e), "%s", e.msg);
	T_CHECK(file_of(path[2]) && file_of(path[0]) == before[0] && file_of(path[1]) == before[1], "the new one alone");
	T_CHECK(!nonces_use(&s, first, now_s + 400, false, now_s + 300, &e), "%s", e.msg);
	nonces_deinit(&s);
	before[2] = file_of(path[2]);
	T_NEED(!truncate(path[2], 5), "%m");
	T_NEED(!opened(&s, path[0], now_s + 300, &e) && !nonces_add(&s, path[2], now_s + 300, &e), "%s", e.msg);
	T_CHECK(s.n == 2 && file_of(path[0]) == before[0] && file_of(path[2]) != before[2], "torn and short: made anew");
	nonces_deinit(&s);
	T_NEED(!opened(&s, path[2], now_s + 300, &e) && s.n == 2, "%zu: %s", s.n, e.msg);
	nonces_deinit(&s);
	T_CHECK(!unlink(path[0]) && !unlink(path[1]) && !unlink(path[2]) && !rmdir(dir), "%m");
}

/* A node that ran for long took more orders than a table holds: its file stays short, and one that is long is read. */
static void is_short_however_many_there_were(void)
{
	enum { LONG = 3 * NONCES_MAX, A_RECORD = ORDER_NONCE_LEN / 2 + 8 };
	char path[] = "/tmp/nonces_test.XXXXXX", hex[ORDER_NONCE_LEN + 1];
	AUTO_BUF struct buf old = { 0 };
	struct nonces s = NONCES_NONE;
	struct err e = { 0 };
	struct stat st = { 0 };
	int fd = mkstemp(path), r = 0;

	T_NEED(fd >= 0 && !close(fd), "mkstemp: %m");
	T_NEED(!opened(&s, path, now_s, &e), "%s", e.msg);
	for (int i = 0; i < LONG && !r; i++) {
		snprintf(hex, sizeof(hex), "%032x", i);
		r = nonces_use(&s, hex, now_s + i, false, now_s + i, &e);
	}
	T_NEED(!r && !stat(path, &st), "%s", e.msg);
	T_CHECK(st.st_size <= (off_t)2 * NONCES_MAX * A_RECORD, "%lld bytes", (long long)st.st_size);
	T_CHECK(nonces_use(&s, hex, now_s + LONG, false, now_s + LONG, &e) == -ESTALE, "what has not expired is known");
	nonces_deinit(&s);

	for (uint64_t i = 0; i < LONG; i++) {
		buf_add_le(&old, i, 8);
		buf_add_le(&old, i, 8);
		buf_add_le(&old, (uint64_t)now_s + (i + 1 == LONG ? 60 : -3600), 8);
	}
	T_NEED(!file_save(AT_FDCWD, path, buf_str(&old), 0600, &e) && !opened(&s, path, now_s, &e), "%s", e.msg);
	T_CHECK(s.n == 1 && !stat(path, &st) && st.st_size == A_RECORD, "%zu known, %lld bytes", s.n, (long long)st.st_size);
	nonces_deinit(&s);
	unlink(path);
}

static void is_bounded(void)
{
	char path[] = "/tmp/nonces_test.XXXXXX", hex[ORDER_NONCE_LEN + 1];
	struct nonces s = NONCES_NONE;
	struct err e = { 0 };
	int fd = mkstemp(path);

	T_NEED(fd >= 0 && !close(fd), "mkstemp: %m");
	T_NEED(!opened(&s, path, now_s, &e), "%s", e.msg);
	for (s.n = 0; s.n < NONCES_MAX; s.n++)
		s.all[s.n] = (struct nonce){ .expires_s = now_s + 5, .bytes = { 1, (uint8_t)s.n, (uint8_t)(s.n >> 8) } };
	snprintf(hex, sizeof(hex), "%032x", 7);
	T_CHECK(nonces_use(&s, hex, now_s + 60, false, now_s, &e) == -EBUSY, "%s", e.msg);
	T_CHECK(!nonces_use(&s, hex, now_s + 600, false, now_s + 6 + CLOCK_SLACK_S, &e) && s.n == 1, "room again: %s", e.msg);
	nonces_deinit(&s);
	unlink(path);
}

/* A file system without a byte left: what was taken is known, nothing new is taken, and with room again all goes on in step. */
static void is_taken_only_where_it_can_be_written(void)
{
	char dir[] = "/tmp/nonces_test.XXXXXX", path[64], fill[64], block[4096] = { 0 }, hex[ORDER_NONCE_LEN + 1];
	struct nonces s = NONCES_NONE;
	struct err e = { 0 };
	unsigned taken = 0;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || !mkdtemp(dir) || mount("n", dir, "tmpfs", 0, "size=16k"))
		T_NEED(false, "needs root and a mount namespace: %m");
	snprintf(path, sizeof(path), "%s/nonces", dir);
	snprintf(fill, sizeof(fill), "%s/fill", dir);
	T_NEED(!opened(&s, path, now_s, &e) && !nonces_use(&s, first, now_s + 60, false, now_s, &e), "%s", e.msg);
	int fd = open(fill, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, block, sizeof(block)) > 0)
		;
	do
		snprintf(hex, sizeof(hex), "%032x", ++taken);
	while (!nonces_use(&s, hex, now_s + 60, false, now_s, &e));
	T_CHECK(taken > 1 && strstr(e.msg, "No space left"), "%u: %s", taken, e.msg);
	T_CHECK(!nonces_use(&s, second, now_s + 60, true, now_s, &e), "what changes nothing is taken all the same: %s", e.msg);
	nonces_deinit(&s);
	T_NEED(!opened(&s, path, now_s, &e), "a full disk keeps no daemon from its work: %s", e.msg);
	T_CHECK(s.n == taken && nonces_use(&s, first, now_s + 60, false, now_s, &e) == -ESTALE, "%zu of %u", s.n, taken);
	T_CHECK(nonces_use(&s, hex, now_s + 60, false, now_s, &e) == -EIO, "%s", e.msg);
	T_NEED(!ftruncate(fd, 0), "%m");
	T_CHECK(!nonces_use(&s, hex, now_s + 60, false, now_s, &e), "%s", e.msg);
	nonces_deinit(&s);
	T_NEED(!opened(&s, path, now_s, &e) && s.n == taken + 1, "%zu of %u: %s", s.n, taken + 1, e.msg);
	nonces_deinit(&s);
	T_CHECK(!close(fd) && !umount(dir) && !rmdir(dir), "%m");
}

/* All disks are gone: what changes nothing is taken, once, and a disk that comes back knows of it. */
static void without_a_disk_only_reads_are_taken(void)
{
	char path[] = "/tmp/nonces_test.XXXXXX";
	struct nonces s = NONCES_NONE;
	struct err e = { 0 };
	int fd = mkstemp(path);

	T_NEED(fd >= 0 && !close(fd), "mkstemp: %m");
	T_NEED(!opened(&s, path, now_s, &e) && !nonces_use(&s, first, now_s + 60, false, now_s, &e), "with one, changes are, too: %s", e.msg);
	nonces_drop(&s, path);
	T_CHECK(nonces_use(&s, second, now_s + 60, false, now_s, &e) == -EIO && strstr(e.msg, "none of its disks is here"), "%s", e.msg);
	T_CHECK(!nonces_use(&s, second, now_s + 60, true, now_s, &e), "%s", e.msg);
	T_CHECK(nonces_use(&s, second, now_s + 60, true, now_s, &e) == -ESTALE, "%s", e.msg);
	T_CHECK(nonces_use(&s, first, now_s + 60, true, now_s, &e) == -ESTALE, "%s", e.msg);
	T_NEED(!nonces_add(&s, path, now_s, &e), "%s", e.msg);
	nonces_deinit(&s);
	T_NEED(!opened(&s, path, now_s, &e), "%s", e.msg);
	T_CHECK(nonces_use(&s, second, now_s + 60, true, now_s, &e) == -ESTALE, "the disk was told: %s", e.msg);
	nonces_deinit(&s);
	unlink(path);
}

int main(void)
{
	T_RUN(is_taken_once_also_after_a_restart);
	T_RUN(is_on_every_disk);
	T_RUN(is_written_where_it_is_missing);
	T_RUN(is_short_however_many_there_were);
	T_RUN(is_bounded);
	T_RUN(is_taken_only_where_it_can_be_written);
	T_RUN(without_a_disk_only_reads_are_taken);
	return T_END();
}
