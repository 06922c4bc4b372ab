#include "machine/group.h"

#include "base/log.h"
#include "sys/cgroup.h"

#include <inttypes.h>
#include <stdio.h>

/* Anew, as after cgroup.kill some kernels go on killing what is born in a group. */
int group_make(const char *path, const struct group_limits *l, struct err *e)
{
	char memory[32], cpu[48], tasks[16];
	const struct {
		const char *file, *value;
	} limits[] = { { "memory.max", memory }, { "memory.swap.max", "0" }, { "cpu.max", cpu }, { "pids.max", tasks }, { "memory.oom.group", "1" } };
	int r;

	snprintf(memory, sizeof(memory), "%" PRIu64, l->memory_bytes);
	snprintf(cpu, sizeof(cpu), "%" PRIu64 " 100000", l->cpu_milli * 100);
	snprintf(tasks, sizeof(tasks), "%u", l->tasks);
	if ((r = cgroup_remove(path, e)) || (r = cgroup_make(path, e)))
		return r;
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		if ((r = cgroup_set(path, limits[i].file, str_c(limits[i].value), e)) < 0)
			return r;
	return 0;
}

void group_freeze(const char *path, bool on)
{
	struct err e = { 0 };

	if (cgroup_set(path, "cgroup.freeze", on ? S("1") : S("0"), &e) < 0)
		log_warn("%s", e.msg);
}

void group_end(const char *path)
{
	struct err e = { 0 };

	if (cgroup_kill(path, &e))
		log_warn("%s", e.msg);
}
