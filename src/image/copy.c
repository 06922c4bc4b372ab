/* imagecopy fetch CACHE DISK -- what machines need of the images that are kept in DISK, a folder on a disk of the node, is in CACHE, too; says how many images CACHE had not.
 * imagecopy keep CACHE DISK LIMIT -- what they need of CACHE is in DISK, too, where it takes at most LIMIT bytes; says for how many images there is no room.
 *
 * A program of its own because a disk may hang. Files in a cache never change once they have a name (doc/image-cache.md, F), so it is done under imaged's hands. */
#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "image/share.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { UID_IMAGED = 902, IO_OF_PROCESS = 1, IO_LAST = 2 << 13 | 7 };

static int cache_at(const char *dir, struct cache *ret, struct err *e)
{
	if (dir[0] != '/' || strlen(dir) > CACHE_DIR_MAX)
		return err_set(e, -EINVAL, "'%.60s' is no absolute path of at most %d characters", dir, CACHE_DIR_MAX);
	snprintf(ret->dir, sizeof(ret->dir), "%s", dir);
	return 0;
}

static int fetch(const struct cache *cache, const struct cache *disk, uint64_t limit, struct err *e)
{
	struct share_end end = { 0 };
	int r;

	(void)limit;
	if ((r = share_open(disk, UID_IMAGED, e)) || (r = share_give(disk, cache, false, UINT64_MAX, &end, e)))
		return r;
	printf("%zu\n", end.n_given);
	return 0;
}

/* What nobody needs goes first, for room. */
static int keep(const struct cache *cache, const struct cache *disk, uint64_t limit, struct err *e)
{
	struct share_end end = { 0 };
	int r;

	if ((r = share_open(disk, UID_IMAGED, e)) || (r = share_trim(cache, disk, e)) || (r = share_give(cache, disk, true, limit, &end, e)))
		return r;
	printf("%zu\n", end.n_left_out);
	return 0;
}

static int run(int argc, char **argv, struct err *e)
{
	static const struct {
		const char *name;
		int n_words;
		int (*run)(const struct cache *cache, const struct cache *disk, uint64_t limit, struct err *e);
	} commands[] = { { "fetch", 4, fetch }, { "keep", 5, keep } };
	struct cache cache, disk;
	uint64_t limit = 0;
	int r;

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (argc != commands[i].n_words || strcmp(argv[1], commands[i].name) || (argc == 5 && parse_u64(str_c(argv[4]), UINT64_MAX, &limit)))
			continue;
		if ((r = cache_at(argv[2], &cache, e)) || (r = cache_at(argv[3], &disk, e)))
			return r;
		return commands[i].run(&cache, &disk, limit, e);
	}
	return err_set(e, -EINVAL, "imagecopy: is called by noded; its source says how");
}

int main(int argc, char **argv)
{
	struct err e = { 0 };

	log_init("imagecopy", getenv("ZOS_DEBUG") != NULL);
	(void)setpriority(PRIO_PROCESS, 0, 10); /* machines come first: both are wishes */
	(void)syscall(SYS_ioprio_set, IO_OF_PROCESS, 0, IO_LAST);
	if (!run(argc, argv, &e))
		return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
	printf("%s\n", e.msg);
	return EXIT_FAILURE;
}
