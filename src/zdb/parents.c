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

static bool entry_at(int fd, uint64_t i, struct place *ret_at, struct place *ret_parent)
{
	uint8_t bytes[ENTRY_BYTES] = { 0 };
	struct rd r = rd_over(bytes, sizeof(bytes));

	if (pread(fd, bytes, sizeof(bytes), (off_t)(HEAD_BYTES + i * ENTRY_BYTES)) != sizeof(bytes))
		return false;
	ret_at->file = (uint32_t)rd_le(&r, 4);
	ret_at->offset = (uint32_t)rd_le(&r, 4);
	ret_parent->file = (uint32_t)rd_le(&r, 4);
	ret_parent->offset = (uint32_t)rd_le(&r, 4);
	return true;
}

/* How many entries there are; 0 as well when it is no such file. */
static uint64_t entries_of(int fd)
{
	uint8_t head[HEAD_BYTES] = { 0 };
	struct rd r = rd_over(head + sizeof(magic), sizeof(head) - sizeof(magic));
	struct stat st;

	if (fstat(fd, &st) || pread(fd, head, sizeof(head), 0) != sizeof(head) || memcmp(head, magic, sizeof(magic)) || rd_le(&r, 4) != VERSION)
		return 0;
	return ((uint64_t)st.st_size - HEAD_BYTES) / ENTRY_BYTES;
}

bool parents_find(int dir, struct place at, struct place *ret)
{
	AUTO_FD int fd = openat(dir, PARENTS_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint64_t from = 0, to = fd < 0 ? 0 : entries_of(fd);
	struct place seen, parent;

	while (from < to) {
		uint64_t mid = from + (to - from) / 2;

		if (!entry_at(fd, mid, &seen, &parent))
			return false;
		if (place_is_before(seen, at)) {
			from = mid + 1;
		} else if (place_is_before(at, seen)) {
			to = mid;
		} else {
			*ret = parent;
			return place_is_before(parent, at); /* a damaged one leads nobody in a circle */
		}
	}
	return false;
}
