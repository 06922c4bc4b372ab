/* Release bound to scope: whoever holds the variable owns the thing.
 *
 * AUTO_x declares a local that cleans up after itself; take() disarms it and hands the value to somebody else. */
#pragma once
#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define MUST_CHECK __attribute__((warn_unused_result))

static inline void freep(void *at)
{
	void *p;

	memcpy(&p, at, sizeof(p)); /* AT may be any pointer to a pointer: no type punning */
	free(p);
}

static inline void fd_close(int *fd)
{
	int before = errno; /* the errno on its way to the caller survives the close */

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = before;
}

static inline void dir_closep(DIR **d)
{
	if (*d)
		closedir(*d);
	*d = NULL;
}

#define AUTO_FREE CLEANUP(freep)
#define AUTO_FD CLEANUP(fd_close)
#define AUTO_DIR CLEANUP(dir_closep)

#define take(var, none)                     \
	({                                  \
		__auto_type taken_ = (var); \
		(var) = (none);             \
		taken_;                     \
	})
#define take_ptr(var) take(var, NULL)
#define take_fd(var) take(var, -1)

#define ARRAY_LEN(a) (sizeof(a) / sizeof(*(a)))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
