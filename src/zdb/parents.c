#include "zdb/parents.h"

#include "base/buf.h"
#include "base/rd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

enum { VERSION = 1, HEAD_BYTES = 8, ENTRY_BYTES = 16, CHUNK_BYTES = 1 << 16 };

static const char magic[4] = "ZDBP";
static const char name_new[] = PARENTS_NAME ".new";

struct parents {
	int dir, fd, failed;
	struct buf gathered;
};

static void flush(struct parents *p)
{
	for (size_t done = 0; !p->failed && done < p->gathered.len;) {
		ssize_t n = write(p->fd, p->gathered.p + done, p->gathered.len - done);

		if (n < 0 && errno != EINTR)
			p->failed = -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	p->gathered.len = 0;
}

int parents_begin(int dir, struct parents **ret, struct err *e)
{
	AUTO_FD int fd = openat(dir, name_new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct parents *p = fd < 0 ? NULL : calloc(1, sizeof(*p));

	if (!p)
		return err_set(e, -errno, "make %s: %m", name_new);
	*p = (struct parents){ .dir = dir, .fd = take_fd(fd) };
	buf_add_bytes(&p->gathered, magic, sizeof(magic));
	buf_add_le(&p->gathered, VERSION, 4);
	*ret = p;
	return 0;
}

void parents_add(struct parents *p, struct place at, struct place parent)
{
	const uint32_t words[] = { at.file, at.offset, parent.file, parent.offset };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		buf_add_le(&p->gathered, words[i], 4);
	if (p->gathered.len >= CHUNK_BYTES)
		flush(p);
}

void parents_free(struct parents *p)
{
	if (!p)
		return;
	fd_close(&p->fd);
	buf_deinit(&p->gathered);
	free(p);
}

int parents_end(struct parents *p, struct err *e)
{
	int r;

	flush(p);
	r = p->failed ? p->failed : buf_check(&p->gathered);
	if (!r && (fsync(p->fd) || renameat(p->dir, name_new, p->dir, PARENTS_NAME) || fsync(p->dir)))
		r = -errno;
	parents_free(p);
	return r ? err_set(e, r, "write " PARENTS_NAME ": %s", strerror(-r)) : 0;
}

/* N bytes at OFFSET: 0, PARENTS_NONE when there are fewer, -errno. */
static int take_at(int fd, uint8_t *ret, size_t n, uint64_t offset)
{
	ssize_t k = pread(fd, ret, n, (off_t)offset);

	return k < 0 ? -errno : (size_t)k < n ? PARENTS_NONE : 0;
}

static int entry_at(int fd, uint64_t i, struct place *ret_at, struct place *ret_parent)
{
	uint8_t bytes[ENTRY_BYTES] = { 0 };
	struct rd r = rd_over(bytes, sizeof(bytes));
	int k = take_at(fd, bytes, sizeof(bytes), HEAD_BYTES + i * ENTRY_BYTES);

	if (k)
		return k;
	ret_at->file = (uint32_t)rd_le(&r, 4);
	ret_at->offset = (uint32_t)rd_le(&r, 4);
	ret_parent->file = (uint32_t)rd_le(&r, 4);
	ret_parent->offset = (uint32_t)rd_le(&r, 4);
	return 0;
}

/* How many entries there are. */
static int entries_of(int fd, uint64_t *ret)
{
	uint8_t head[HEAD_BYTES] = { 0 };
	struct rd r = rd_over(head + sizeof(magic), sizeof(head) - sizeof(magic));
	struct stat st;
	int k = take_at(fd, head, sizeof(head), 0);

	if (k || fstat(fd, &st))
		return k ? k : -errno;
	if (memcmp(head, magic, sizeof(magic)) || rd_le(&r, 4) != VERSION)
		return PARENTS_NONE;
	*ret = ((uint64_t)st.st_size - HEAD_BYTES) / ENTRY_BYTES;
	return 0;
}

static int find_in(int fd, struct place at, struct place *ret)
{
	uint64_t from = 0, to = 0;
	struct place seen = { 0 }, parent = { 0 };
	int r = entries_of(fd, &to);

	while (!r && from < to) {
		uint64_t mid = from + (to - from) / 2;

		r = entry_at(fd, mid, &seen, &parent);
		if (r)
			break;
		if (place_is_before(seen, at)) {
			from = mid + 1;
		} else if (place_is_before(at, seen)) {
			to = mid;
		} else {
			if (!place_is_before(parent, at)) /* a damaged one leads nobody in a circle */
				return PARENTS_NONE;
			*ret = parent;
			return 0;
		}
	}
	return r ? r : PARENTS_NONE;
}

int parents_find(int dir, struct place at, struct place *ret, struct err *e)
{
	AUTO_FD int fd = openat(dir, PARENTS_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int r = fd < 0 ? -errno : find_in(fd, at, ret);

	if (r == -ENOENT)
		return PARENTS_NONE;
	return r < 0 ? err_set(e, r, "read " PARENTS_NAME ": %s", strerror(-r)) : r;
}
