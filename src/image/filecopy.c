#include "image/filecopy.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

enum { NAME_BYTES = 256 };

static int copy_bytes(int from, int to)
{
	ssize_t n;

	while ((n = sendfile(to, from, NULL, 1 << 24)) > 0)
		;
	return n < 0 ? -errno : 0;
}

int filecopy(int from_dir, int to_dir, const char *name, struct err *e)
{
	AUTO_FD int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char passing[NAME_BYTES];
	struct stat st;
	int r;

	if (from < 0 || fstat(from, &st))
		return errno == ENOENT ? 0 : err_set(e, -errno, "read %s: %m", name); /* evicted meanwhile */
	if (!faccessat(to_dir, name, F_OK, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
		return 0;
	snprintf(passing, sizeof(passing), ".%.200s", name);
	AUTO_FD int to = openat(to_dir, passing, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return err_set(e, -errno, "make %s: %m", name);
	r = copy_bytes(from, to);
	if (!r && (fchown(to, st.st_uid, st.st_gid) || fchmod(to, st.st_mode & 0777) ||
		   futimens(to, (const struct timespec[]){ st.st_atim, st.st_mtim }) || fsync(to) || renameat(to_dir, passing, to_dir, name)))
		r = -errno;
	if (!r)
		return 0;
	unlinkat(to_dir, passing, 0);
	return err_set(e, r, "copy %s: %s", name, strerror(-r));
}
