/* What a guest-init that counts its lines (tools/coverage) does before it switches its machine off: puts the counters on the disk with the
 * serial number "counts", where there is one: their length (u64, little-endian) and the file that they are mapped from. */
#include "base/buf.h"
#include "base/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int __real_reboot(int how);
int __wrap_reboot(int how);

static int disk_open(void)
{
	char path[64], serial[16];

	for (int c = 'a'; c <= 'z'; c++) {
		snprintf(path, sizeof(path), "/sys/block/vd%c/serial", c);
		AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, serial, sizeof(serial)) < 6 || strncmp(serial, "counts", 6))
			continue;
		snprintf(path, sizeof(path), "/dev/vd%c", c);
		return open(path, O_WRONLY | O_CLOEXEC);
	}
	return -1;
}

/* The name that it was opened by is out of reach: the root is another by now. */
static int counters_open(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], path[128];
	int fd = -1;

	while (maps && fd < 0 && fgets(line, sizeof(line), maps)) {
		if (!strstr(line, ".profraw"))
			continue;
		snprintf(path, sizeof(path), "/proc/self/map_files/%.*s", (int)strcspn(line, " "), line);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (maps)
		fclose(maps);
	return fd;
}

int __wrap_reboot(int how)
{
	AUTO_FD int to = disk_open();
	AUTO_FD int from = counters_open();
	uint64_t bytes = from < 0 ? 0 : (uint64_t)lseek(from, 0, SEEK_END);
	char *p = malloc(sizeof(bytes) + bytes);

	if (p && to >= 0 && from >= 0 && pread(from, p + sizeof(bytes), bytes, 0) == (ssize_t)bytes) {
		memcpy(p, &bytes, sizeof(bytes));
		if (write(to, p, sizeof(bytes) + bytes) != (ssize_t)(sizeof(bytes) + bytes) || fsync(to))
			perror("guest-init: counters");
	}
	free(p);
	return __real_reboot(how);
}
