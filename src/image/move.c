/* imagemove FROM TO -- puts the image cache FROM, which lies in memory, onto a disk: what is in it is copied to the directory TO, which then is
 * found at FROM, and imaged is started again there. `imagemove FROM -` gives FROM back to memory, empty, when the disk is gone. What is on a disk already
 * is not copied from there to another: that one goes, or is gone.
 *
 * A program of its own because a disk may hang. Files in the cache never change once they have a name (doc/image-cache.md, F), so they are copied
 * under imaged's hands, a record after its layers; a pull that is under way is asked for again by the engine. */
#include "base/file.h"
#include "base/log.h"
#include "image/filecopy.h"
#include "image/share.h"
#include "sys/mnt.h"
#include "sys/supervisor.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

enum { UID_IMAGED = 902, PATH_BYTES = 256 };
#define SERVICE "imaged"

static int folder_copy(int from, int to, const char *name, struct err *e)
{
	AUTO_FD int from_fd = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), to_fd = -1;
	const struct dirent *entry;
	int r = 0;

	if (from_fd < 0)
		return errno == ENOENT ? 0 : err_set(e, -errno, "open %s: %m", name);
	if ((mkdirat(to, name, 0755) && errno != EEXIST) || fchownat(to, name, UID_IMAGED, UID_IMAGED, AT_SYMLINK_NOFOLLOW) ||
	    (to_fd = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		return err_set(e, -errno, "make %s: %m", name);
	AUTO_DIR DIR *d = fdopendir(from_fd);
	if (!d)
		return err_set(e, -errno, "list %s: %m", name);
	take_fd(from_fd);
	while (!r && (entry = readdir(d)))
		if (entry->d_name[0] != '.')
			r = filecopy(dirfd(d), to_fd, entry->d_name, e);
	return r;
}

/* A record counts when all its layers are there, and a holder when its record is. */
static int all_copy(int from, int to, struct err *e)
{
	static const char *const folders[] = { "layers", "images", "held" };
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(folders) && !r; i++)
		r = folder_copy(from, to, folders[i], e);
	return r;
}

static int empty(int dir, struct err *e)
{
	AUTO_DIR DIR *d = fdopendir(dir);
	const struct dirent *entry;
	int r = 0;

	if (!d)
		return err_set(e, -errno, "list the cache in memory: %m");
	while (!r && (entry = readdir(d)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			r = tree_remove(dirfd(d), entry->d_name, e);
	return r;
}

/* It ends, and PID 1 starts it again where the cache is now. */
static int imaged_restart(struct err *e)
{
	const struct supervisor s = SUPERVISOR_DEFAULT;
	struct supervisor_unit u;
	int r = supervisor_find(&s, SERVICE, &u, e);

	if (r)
		return r < 0 ? r : err_set(e, -ENOENT, "PID 1 knows no service '" SERVICE "'");
	if (u.pid && kill(u.pid, SIGTERM) && errno != ESRCH)
		return err_set(e, -errno, "end " SERVICE ": %m");
	return 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* A mount over another would keep the disk below it for ever. */
static int other_disk_drop(const char *from, const char *to, struct err *e)
{
	struct stat here, above, there;
	char parent[PATH_BYTES];

	snprintf(parent, sizeof(parent), "%s/..", from);
	if (stat(from, &here) || stat(parent, &above) || stat(to, &there))
		return err_set(e, -errno, "look at the cache: %m");
	return here.st_dev == above.st_dev || is_same(&here, &there) ? 0 : mnt_drop(from, e);
}

static int to_disk(const char *from, const char *to, struct err *e)
{
	AUTO_FD int from_fd = -1, to_fd = -1;
	struct stat here, there;
	int r;

	if ((r = dir_make(from, 0700, e)) || (r = dir_make(to, 0700, e)) || (r = other_disk_drop(from, to, e)))
		return r;
	from_fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	to_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from_fd < 0 || to_fd < 0 || fstat(from_fd, &here) || fstat(to_fd, &there))
		return err_set(e, -errno, "open the cache: %m");
	if (is_same(&here, &there))
		return 0; /* it is there already */
	if (fchown(to_fd, UID_IMAGED, UID_IMAGED) || fchown(from_fd, UID_IMAGED, UID_IMAGED) || fchmod(to_fd, 0700))
		return err_set(e, -errno, "give the cache to " SERVICE ": %m");
	if (unlinkat(to_fd, SHARE_MARK, 0) && errno != ENOENT)
		return err_set(e, -errno, "make %s the cache: %m", to);
	if ((r = all_copy(from_fd, to_fd, e)) || (r = mnt_bind(to, from, MS_NOSUID | MS_NODEV | MS_NOEXEC, e)) || (r = imaged_restart(e)))
		return r;
	return empty(take_fd(from_fd), e);
}

static int to_memory(const char *from, struct err *e)
{
	int r = mnt_drop(from, e);

	return r ? r : imaged_restart(e);
}

int main(int argc, char **argv)
{
	struct err e = { 0 };
	int r;

	log_init("imagemove", getenv("ZOS_DEBUG") != NULL);
	if (argc != 3)
		r = err_set(&e, -EINVAL, "imagemove: is called by noded; its source says how");
	else
		r = strcmp(argv[2], "-") ? to_disk(argv[1], argv[2], &e) : to_memory(argv[1], &e);
	if (r)
		printf("%s\n", e.msg);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
