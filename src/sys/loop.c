#include "sys/loop.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>

enum { LOOP_TRIES = 64 };

int loop_open(const char *file, int *ret_fd, char ret_path[static LOOP_PATH_MAX], struct err *e)
{
	AUTO_FD int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	AUTO_FD int from = open(file, O_RDONLY | O_CLOEXEC);
	struct loop_config config = { .fd = (uint32_t)from, .info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR };
	char path[LOOP_PATH_MAX];

	if (control < 0 || from < 0)
		return err_set(e, -errno, "make a loop device of %s: %m", file);
	for (int i = 0; i < LOOP_TRIES; i++) { /* between asking for a free one and taking it, another may take it */
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		snprintf(path, sizeof(path), "/dev/loop%d", number);
		AUTO_FD int fd = number < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			break;
		if (!ioctl(fd, LOOP_CONFIGURE, &config)) {
			strcpy(ret_path, path);
			*ret_fd = take_fd(fd);
			return 0;
		}
		if (errno != EBUSY)
			break;
	}
	return err_set(e, -errno, "make a loop device of %s: %m", file);
}
