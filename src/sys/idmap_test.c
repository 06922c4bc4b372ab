#include "sys/idmap.h"

#include "test/t.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BASE = 1 << 20, COUNT = 1 << 16 };
enum { NO_ENTRY = 1, NOT_ROOT, FOREIGN, GAINED, LOST, OUT_OF_RANGE };

/* What a process of the range can do to a file of the range and to one of the node's: an answer of the enum, 0 = as it should be. */
static int look_around(int userns, int own, int foreign)
{
	struct err e = { 0 };

	if (idmap_enter(userns, 1ull << CAP_CHOWN, &e))
		return NO_ENTRY;
	if (getuid() || getgid())
		return NOT_ROOT;
	if (fchown(own, 1000, 1000))
		return LOST;
	if (!fchown(foreign, 1000, 1000) || !fchmod(foreign, 0777))
		return FOREIGN;
	if (!fchown(own, COUNT, COUNT))
		return OUT_OF_RANGE;
	return !setresuid(1, 1, 1) || !chroot("/") ? GAINED : 0; /* it kept one capability alone */
}

static void a_process_of_a_range_is_root_of_that_alone(void)
{
	char own_name[] = "/tmp/idmap-XXXXXX", foreign_name[] = "/tmp/idmap-XXXXXX";
	AUTO_FD int own = mkstemp(own_name);
	AUTO_FD int foreign = mkstemp(foreign_name);
	AUTO_FD int userns = -1;
	struct err e = { 0 };
	struct stat st = { 0 };
	int status = 0;
	pid_t pid;

	T_CHECK(!fchown(own, BASE, BASE) && !idmap_open(BASE, COUNT, &userns, &e), "%s", e.msg);
	if (!(pid = fork()))
		_exit(look_around(userns, own, foreign));
	T_CHECK(waitpid(pid, &status, 0) == pid && !status, "it answered %d", WEXITSTATUS(status));
	T_CHECK(!fstat(own, &st) && st.st_uid == BASE + 1000 && st.st_gid == BASE + 1000, "owner %u", st.st_uid);
	T_CHECK(!fstat(foreign, &st) && !st.st_uid, "owner %u", st.st_uid);
	unlink(own_name);
	unlink(foreign_name);
}

int main(void)
{
	T_RUN(a_process_of_a_range_is_root_of_that_alone);
	return T_END();
}
