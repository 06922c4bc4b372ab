#include "sys/become.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>

int become(uid_t uid, gid_t gid, struct err *e)
{
	for (int c = 0; c <= CAP_LAST_CAP; c++)
		if (prctl(PR_CAPBSET_DROP, c, 0, 0, 0) && errno != EINVAL)
			return err_set(e, -errno, "drop capabilities: %m");
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return err_set(e, -errno, "become user %u: %m", uid);
	return 0;
}
