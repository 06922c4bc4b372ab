/* calls -- only for a container (it mounts): makes each of a few system calls once and prints `NAME ERRNO` for it, 0 for one that was done: what a container's filter lets through, and
 * what not, for test/node/workload_test.py. One file without libraries, which its test writes into the machine. */
#include <errno.h>
#include <linux/aio_abi.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As libaio waits: the call is asked for what has ended, of which there is nothing. */
static long aio_wait(void)
{
	aio_context_t context = 0;
	struct timespec none = { 0 };
	struct io_event event;

	if (syscall(SYS_io_setup, 1, &context))
		return -1;
	return syscall(SYS_io_pgetevents, context, 0L, 1L, &event, &none, NULL);
}

static long key_ring(void)
{
	return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
}

static long ring(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL);
}

static long mount_proc(void)
{
	return mount("proc", "/proc", "proc", 0, NULL);
}

static long user_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static const struct {
	const char *name;
	long (*make)(void);
} calls[] = {
	{ "io_pgetevents", aio_wait }, { "keyctl", key_ring }, { "io_uring_setup", ring }, { "mount", mount_proc }, { "unshare", user_namespace },
};

int main(void)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		printf("%s %d\n", calls[i].name, calls[i].make() < 0 ? errno : 0);
	return EXIT_SUCCESS;
}
