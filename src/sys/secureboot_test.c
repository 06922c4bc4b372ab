#include "sys/secureboot.h"

#include "base/cleanup.h"
#include "test/t.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>

enum { PAGE = 4096, AT = 0x1ec };

/* A page of LEN bytes with MODE in its place, all else as it would be if it were on. */
static bool look(uint8_t mode, size_t len)
{
	uint8_t page[PAGE];
	char path[32];
	AUTO_FD int fd = memfd_create("page", MFD_CLOEXEC);

	memset(page, 3, sizeof(page));
	page[AT] = mode;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fd >= 0 && write(fd, page, len) == (ssize_t)len && secureboot_is_on(path);
}

static void on_is_the_one_value(void)
{
	T_CHECK(look(3, PAGE), "enabled");
	for (unsigned mode = 0; mode <= UINT8_MAX; mode++)
		T_CHECK(look((uint8_t)mode, PAGE) == (mode == 3), "%u", mode);
}

static void off_where_nothing_says_so(void)
{
	T_CHECK(look(3, AT + 1), "just long enough");
	T_CHECK(!look(3, AT), "a short page");
	T_CHECK(!look(3, 0), "an empty one");
	T_CHECK(!secureboot_is_on("/nowhere/at/all"), "no page");
	T_CHECK(!secureboot_is_on("/proc/self"), "a directory");
}

int main(void)
{
	T_RUN(on_is_the_one_value);
	T_RUN(off_where_nothing_says_so);
	return T_END();
}
