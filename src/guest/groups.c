#include "guest/groups.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define MOUNT "/sys/fs/cgroup"
#define OWNER MOUNT "/zos"

enum { RESERVE_BYTES = 8 << 20, RESERVE_SHARE = 256 }; /* and a 256th of what is free: the kernel's own reserve grows with it */

static bool there_are_groups(void)
{
	return !access(MOUNT "/cgroup.procs", F_OK);
}

static uint64_t limit_bytes(void)
{
	struct sysinfo si = { 0 };
	uint64_t free_bytes, reserve;

	(void)!sysinfo(&si); /* fails for a bad pointer alone */
	free_bytes = (uint64_t)si.freeram * si.mem_unit;
	reserve = RESERVE_BYTES + free_bytes / RESERVE_SHARE;
	return free_bytes > 2 * reserve ? free_bytes - reserve : free_bytes / 2;
}

/* Without the limit a guest that runs out reads its own programs anew for minutes before its kernel kills anything. */
int groups_open(struct err *e)
{
	char text[32];
	int r;

	if (!there_are_groups())
		return 0;
	snprintf(text, sizeof(text), "%" PRIu64, limit_bytes());
	if ((r = cgroup_set(MOUNT, "cgroup.subtree_control", S("+memory"), e)) < 0 || (r = cgroup_make(OWNER, e)))
		return r;
	r = cgroup_set(OWNER, "memory.max", str_c(text), e);
	return r < 0 ? r : 0;
}

int groups_make(const char *name, char ret[static CGROUP_PATH_MAX], struct err *e)
{
	ret[0] = '\0';
	if (!there_are_groups())
		return 0;
	snprintf(ret, CGROUP_PATH_MAX, OWNER "/%s", name);
	return cgroup_make(ret, e);
}
