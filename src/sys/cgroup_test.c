#include "sys/cgroup.h"

#include "base/file.h"
#include "test/t.h"

#include <fcntl.h>
#include <stdlib.h>

static void kills_are_counted(void)
{
	static const struct {
		const char *events;
		uint64_t want;
	} rows[] = {
		{ NULL, 0 },
		{ "", 0 },
		{ "low 0\nhigh 0\nmax 12\noom 4\noom_kill 3\noom_group_kill 9\n", 3 },
		{ "oom_kill 18446744073709551615\n", UINT64_MAX },
		{ "max 7\noom_group_kill 9\n", 0 },
		{ "oom_kill x\n", 0 },
	};
	char dir[] = "/tmp/cgroup-test-XXXXXX";

	T_NEED(mkdtemp(dir), "mkdtemp");
	AUTO_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = { 0 };

		T_NEED(!rows[i].events || !file_save(fd, "memory.events", str_c(rows[i].events), 0600, &e), "%s", e.msg);
		T_CHECK(cgroup_oom_kills(dir) == rows[i].want, "row %zu: %llu", i, (unsigned long long)cgroup_oom_kills(dir));
	}
	T_CHECK(!tree_remove(AT_FDCWD, dir, NULL), "remove %s", dir);
}

int main(void)
{
	T_RUN(kills_are_counted);
	return T_END();
}
