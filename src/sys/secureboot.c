#include "sys/secureboot.h"

#include "base/cleanup.h"

#include <asm/bootparam.h>
#include <fcntl.h>
#include <stdint.h>

enum { IN_FORCE = 3 }; /* of its four: not asked, not known, disabled, enabled */

bool secureboot_is_on(const char *path)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t mode = 0;

	return fd >= 0 && pread(fd, &mode, sizeof(mode), offsetof(struct boot_params, secure_boot)) == sizeof(mode) && mode == IN_FORCE;
}
