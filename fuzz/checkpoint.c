/* A checkpoint whose check sums hold and whose words do not, beside the data that it is of: the input is a list of changes, three bytes each (place,
 * value), and where two are left over, how much of it there is. Whatever it says, no key has another's value, walks end, and what is set afterwards is there after
 * the next start. */
#include "base/file.h"
#include "zdb/checkpoint.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* of doc/disk-zdb.md, Checkpoint */
enum { HEAD_BYTES = 64, HEAD_CRC_AT = 60, FILES_AT = 56, FILE_BYTES = 40 };
enum { KEYS = 150, FILE_MAX_BYTES = 4 << 10, FILES_MAX = 8, SIZE_MAX_BYTES = 1 << 20 };

static char folder[] = "/tmp/fuzz-checkpoint-XXXXXX";

static struct {
	bool is_there;
	struct buf data[FILES_MAX], checkpoint;
	size_t n_files;
} good;

static int open_dir(const char *what)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", folder, what);
	BUG_ON(mkdir(path, 0700) && errno != EEXIST);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int space_at(struct space *s)
{
	return space_open(s, SPACE_USER, open_dir("data"), open_dir("index"), FILE_MAX_BYTES, NULL);
}

static void id_of(unsigned i, char ret[static 16])
{
	snprintf(ret, 16, "key %u", i);
}

static void file_of(size_t i, char ret[static 64])
{
	snprintf(ret, 64, "%s/data/d%zu", folder, i);
}

static void make(void)
{
	char id[16], value[32], path[64], room[SPACE_SEQ_ID_BYTES];
	struct space s;
	struct str ret;

	BUG_ON(!mkdtemp(folder) || space_at(&s));
	for (unsigned i = 0; i < KEYS; i++) {
		id_of(i, id);
		snprintf(value, sizeof(value), "the value of %s", id);
		BUG_ON(space_set(&s, str_c(id), str_c(value), 1, room, &ret, NULL));
	}
	BUG_ON(space_save(&s, NULL));
	good.n_files = s.log.n_files;
	space_close(&s);
	BUG_ON(good.n_files < 2 || good.n_files > FILES_MAX);
	for (size_t i = 0; i < good.n_files; i++) {
		file_of(i, path);
		BUG_ON(file_read(AT_FDCWD, path, SIZE_MAX_BYTES, &good.data[i], NULL));
	}
	snprintf(path, sizeof(path), "%s/index/" CHECKPOINT_NAME, folder);
	BUG_ON(file_read(AT_FDCWD, path, SIZE_MAX_BYTES, &good.checkpoint, NULL));
	good.is_there = true;
}

static void write_all(const char *path, const void *p, size_t n)
{
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	BUG_ON(fd < 0 || write(fd, p, n) != (ssize_t)n);
}

static uint32_t sum(const uint8_t *p, size_t n)
{
	return record_crc_more(0, (struct str){ (const char *)p, n });
}

/* As whoever wrote it would have. */
static void seal(uint8_t *p, size_t n)
{
	uint32_t n_files, crc;
	size_t front;

	if (n < HEAD_BYTES + 4)
		return;
	memcpy(&n_files, p + FILES_AT, 4);
	front = n_files <= (n - HEAD_BYTES - 4) / FILE_BYTES ? HEAD_BYTES + n_files * FILE_BYTES : HEAD_BYTES;
	crc = record_crc_more(sum(p, HEAD_CRC_AT), (struct str){ (const char *)p + HEAD_BYTES, front - HEAD_BYTES });
	memcpy(p + HEAD_CRC_AT, &crc, 4);
	crc = sum(p + front, n - 4 - front);
	memcpy(p + n - 4, &crc, 4);
}

static void lay_out(const uint8_t *data, size_t size)
{
	AUTO_FREE uint8_t *p = malloc(good.checkpoint.len);
	size_t n = good.checkpoint.len;
	char path[64];

	BUG_ON(!p);
	memcpy(p, good.checkpoint.p, n);
	for (; size >= 3; data += 3, size -= 3)
		p[(data[0] | (size_t)data[1] << 8) % n] = data[2];
	if (size == 2)
		n = (data[0] | (size_t)data[1] << 8) % n;
	seal(p, n);
	snprintf(path, sizeof(path), "%s/index/" CHECKPOINT_NAME, folder);
	write_all(path, p, n);
	for (size_t i = 0; i < good.n_files; i++) {
		file_of(i, path);
		write_all(path, good.data[i].p, good.data[i].len);
	}
}

/* How many keys have their value; none has another. */
static unsigned check(struct space *s)
{
	char id[16], value[32];
	uint8_t got[sizeof(value)];
	unsigned n = 0;

	for (unsigned i = 0; i < KEYS; i++) {
		struct reading r;
		struct place at;

		id_of(i, id);
		snprintf(value, sizeof(value), "the value of %s", id);
		if (space_get(s, str_c(id), &at, &r, NULL))
			continue;
		BUG_ON(r.record.length != strlen(value) || datalog_payload(&r, got, NULL) || memcmp(got, value, r.record.length) != 0);
		n++;
	}
	return n;
}

static void walk(struct space *s)
{
	struct place at = { 0 };
	struct reading r;
	uint64_t n = 0;

	while (!space_next(s, at, &r, &at, NULL))
		BUG_ON(++n > s->keys.n);
}

static void clean(void)
{
	char path[64];
	AUTO_DIR DIR *d = NULL;
	const struct dirent *entry;

	snprintf(path, sizeof(path), "%s/data", folder);
	d = opendir(path);
	while (d && (entry = readdir(d)))
		if (entry->d_name[0] == 'd')
			BUG_ON(unlinkat(dirfd(d), entry->d_name, 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char room[SPACE_SEQ_ID_BYTES];
	struct space s;
	struct reading r;
	struct place at;
	struct str id;

	if (!good.is_there)
		make();
	clean();
	lay_out(data, size);
	if (!space_at(&s)) {
		BUG_ON(check(&s) != KEYS && !size); /* unchanged it is taken as it is */
		walk(&s);
		if (!space_set(&s, S("a key of its own"), S("value"), 1, room, &id, NULL) && !space_sync(&s, NULL)) {
			space_close(&s);
			BUG_ON(space_at(&s) || space_get(&s, S("a key of its own"), &at, &r, NULL));
		}
	} else {
		BUG_ON(!size);
	}
	space_close(&s);
	return 0;
}
