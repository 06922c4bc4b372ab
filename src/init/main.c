/* PID 1: first as /init of the initial RAM file system, then as /usr/lib/zos/init of the root. */
#include "init/boot.h"
#include "init/init.h"
#include "init/power.h"
#include "init/setup.h"

#include <fcntl.h>
#include <linux/major.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { ALT_STACK_SIZE = 65536 };

static struct init init_state; /* 10 MiB of mostly untouched zeroes: not on the stack */
static int console_fd = STDERR_FILENO;

static void warn(const char *sentence)
{
	dprintf(console_fd, "init: %s\r\n", sentence);
}

/* PID 1 must not end: when it is broken, the machine is started again and comes back with all that is on its disks. */
static void on_fault(int sig)
{
	char text[] = "\r\ninit: a bug in PID 1, signal ??: starting the machine again\r\n";
	char *at = strchr(text, '?');

	at[0] = (char)('0' + sig / 10);
	at[1] = (char)('0' + sig % 10);
	(void)!write(console_fd, text, sizeof(text) - 1);
	power_finish(INIT_POWER_REBOOT);
}

static void faults_catch(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS };
	static char room[ALT_STACK_SIZE];
	stack_t stack = { .ss_sp = room, .ss_size = sizeof(room) };
	struct sigaction act = { .sa_handler = on_fault, .sa_flags = SA_ONSTACK | SA_RESETHAND };

	sigaltstack(&stack, NULL);
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		sigaction(faults[i], &act, NULL);
}

[[noreturn]] static void give_up(const struct err *e)
{
	warn(e->msg);
	warn("this machine cannot start: power it off and on, or boot another image");
	for (;;)
		pause();
}

/* /dev/console stands for another terminal: the last one of the command line that this machine has. */
static bool is_screen(int fd)
{
	unsigned dev = 0;

	return !ioctl(fd, TIOCGDEV, &dev) && dev == makedev(TTY_MAJOR, 1);
}

[[noreturn]] static void stage_two(void)
{
	struct cmdline cmdline;
	struct err e;

	setup_system(&cmdline, warn);
	console_fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	struct init_setup setup = {
		.services = services,
		.services_n = services_n,
		.run_dir = "/run",
		.cgroup_mount = "/sys/fs/cgroup",
		.cgroup_base = "/zos",
		.console_fd = console_fd,
		.console_is_screen = is_screen(console_fd),
		.is_debug = cmdline.is_debug,
		.has_watchdog = true,
		.finish = power_finish,
	};
	if (init_open(&init_state, &setup, &e))
		give_up(&e);
	init_info(&init_state, "Zero-OS %s, kernel handed over", ZOS_VERSION);
	init_run(&init_state);
}

int main(int argc, char **argv)
{
	struct err e;

	if (getpid() != 1) {
		warn("runs as the first process of a system only");
		return EXIT_FAILURE;
	}
	faults_catch();
	if (argc && !strcmp(argv[0], "/init")) {
		(void)!boot_root(&e);
		give_up(&e);
	}
	stage_two();
}
