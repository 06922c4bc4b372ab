/* A data file that somebody wrote, or that a crash left. Whatever it is, what was found in it can be walked and read without end or harm, what
 * is set afterwards is there after the next start, and what was sound stays. */
#include "base/err.h"
#include "zdb/space.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/fuzz-datalog-XXXXXX";

static int open_dir(void)
{
	return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void clean(void)
{
	AUTO_DIR DIR *d = opendir(folder);
	const struct dirent *entry;

	while (d && (entry = readdir(d)))
		if (entry->d_name[0] == 'd')
			BUG_ON(unlinkat(dirfd(d), entry->d_name, 0));
}

static void write_file(const uint8_t *data, size_t size)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/d0", folder);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	BUG_ON(fd < 0 || write(fd, data, size) != (ssize_t)size);
	close(fd);
}

/* Reads all of it, from both ends; returns how many keys there are. */
static uint64_t walk(struct space *s)
{
	struct place at = { 0 };
	struct reading r;
	uint64_t n = 0, back = 0;

	while (!space_next(s, at, &r, &at, NULL)) {
		AUTO_FREE uint8_t *value = malloc(r.record.length + 1);

		BUG_ON(!value || ++n > s->keys.n);
		(void)!datalog_payload(&r, value, NULL); /* it may be damaged */
	}
	for (at = (struct place){ .file = UINT32_MAX }; !space_previous(s, at, &r, &at, NULL);)
		BUG_ON(++back > s->keys.n);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char room[SPACE_SEQ_ID_BYTES];
	struct space s;
	struct reading r;
	struct place at;
	struct str id;
	uint64_t n;

	if (!strcmp(folder + sizeof(folder) - 7, "XXXXXX"))
		BUG_ON(!mkdtemp(folder));
	clean();
	write_file(data, size);
	if (!space_open(&s, SPACE_USER, open_dir(), open_dir(), 1 << 20, NULL)) {
		n = walk(&s);
		BUG_ON(space_set(&s, S("a key of its own"), S("value"), 1, room, &id, NULL) < 0 || space_sync(&s, NULL));
		n = s.keys.n;
		space_close(&s);
		BUG_ON(space_open(&s, SPACE_USER, open_dir(), open_dir(), 1 << 20, NULL));
		BUG_ON(s.keys.n != n || space_get(&s, S("a key of its own"), &at, &r, NULL));
	}
	space_close(&s);
	return 0;
}
