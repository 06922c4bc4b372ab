#include "init/setup.h"

#include "base/file.h"
#include "init/service.h"
#include "sys/cgroup.h"
#include "sys/mnt.h"

#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#define QUIET (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static const struct mnt_spec mounts[] = {
	{ "proc", "/proc", "proc", "hidepid=invisible", QUIET },
	{ "sysfs", "/sys", "sysfs", NULL, QUIET },
	{ "devtmpfs", "/dev", "devtmpfs", "mode=0755", MS_NOSUID | MS_NOEXEC },
	{ "devpts", "/dev/pts", "devpts", "mode=0600,ptmxmode=0666", MS_NOSUID | MS_NOEXEC, .make_dir = true },
	{ "shm", "/dev/shm", "tmpfs", "mode=1777,size=10%", QUIET, .make_dir = true },
	{ "tmp", "/tmp", "tmpfs", "mode=1777,size=20%", QUIET },
	{ "var", "/var", "tmpfs", "mode=0755,size=20%", QUIET },
	/* images and the roots of machines are mounted below: programs run from there, devices never */
	{ "zos", "/run/zos", "tmpfs", "mode=0755,size=50%", MS_NOSUID | MS_NODEV, .make_dir = true },
	{ "state", "/run/zos/state", "tmpfs", "mode=0700,size=64m", QUIET, .make_dir = true }, /* room that nothing else can take */
	{ "layers", "/run/zos/layers", "tmpfs", "mode=0700,size=1m", QUIET, .make_dir = true }, /* as disks: a place to take away as a whole */
	{ "disks", "/zos", "tmpfs", "mode=0755,size=1m", QUIET }, /* only mount points */
	{ "cgroup2", "/sys/fs/cgroup", "cgroup2", "nsdelegate,memory_recursiveprot,favordynmods", QUIET },
	{ "securityfs", "/sys/kernel/security", "securityfs", NULL, QUIET, .optional = true },
	{ "pstore", "/sys/fs/pstore", "pstore", NULL, QUIET, .optional = true },
	{ "bpf", "/sys/fs/bpf", "bpf", "mode=0700", QUIET, .optional = true },
};

static const struct {
	const char *path;
	mode_t mode;
	uid_t uid;
} dirs[] = {
	{ "/dev/input", 0755, 0 }, /* there from the start, so that init can watch it for power buttons */
	{ "/var/lib", 0755, 0 },
	{ "/var/lib/dhcpcd", 0700, 0 },
	{ "/var/log", 0755, 0 },
	{ "/run/empty", 0555, 0 },
	{ "/run/zos/clock", 0755, 0 },
	{ "/run/zos/dhcp", 0755, 0 },
	{ "/run/zos/noded", 0755, 0 }, /* a daemon's sockets live in a directory of its own */
	{ "/run/zos/gridd", 0755, 901 },
	{ "/run/zos/imaged", 0755, 902 },
	{ "/run/zos/gateway-web", 0755, 909 },
	{ "/run/zos/gateway-steer", 0700, 911 },
	{ "/run/zos/gateway-acme", 0700, 912 },
	{ "/run/zos/gateway-ca", 0755, 912 },
	{ "/run/zos/relay", 0700, 913 },
};

static const struct {
	const char *name, *value;
} settings[] = {
	{ "kernel/panic", "10" }, /* s: a node whose kernel fell over starts again by itself */
	{ "kernel/panic_on_oops", "1" },
	{ "kernel/kptr_restrict", "2" },
	{ "kernel/dmesg_restrict", "1" },
	{ "kernel/sysrq", "0" },
	{ "kernel/core_pattern", "" },
	{ "kernel/perf_event_paranoid", "3" },
	{ "kernel/unprivileged_bpf_disabled", "1" },
	{ "kernel/unprivileged_userns_clone", "0" },
	{ "kernel/yama/ptrace_scope", "2" },
	{ "kernel/randomize_va_space", "2" },
	{ "kernel/pid_max", "4194304" }, /* machines are held by pids.max and their memory, not by a number */
	{ "kernel/threads-max", "4194304" }, /* that one could use up for all */
	{ "fs/suid_dumpable", "0" },
	{ "fs/protected_symlinks", "1" },
	{ "fs/protected_hardlinks", "1" },
	{ "fs/protected_fifos", "2" },
	{ "fs/protected_regular", "2" },
	{ "fs/inotify/max_user_instances", "1024" },
	{ "vm/overcommit_memory", "0" },
	{ "vm/unprivileged_userfaultfd", "0" },
	{ "net/core/bpf_jit_harden", "2" },
	{ "net/core/somaxconn", "4096" },
	{ "net/ipv4/icmp_echo_ignore_all", "1" }, /* nothing that comes from outside unasked gets an answer */
	{ "net/ipv6/icmp/echo_ignore_all", "1" },
	{ "net/ipv4/tcp_syncookies", "1" },
	{ "net/ipv4/conf/all/accept_redirects", "0" },
	{ "net/ipv4/conf/default/accept_redirects", "0" },
	{ "net/ipv4/conf/all/send_redirects", "0" },
	{ "net/ipv4/conf/default/send_redirects", "0" },
	{ "net/ipv4/conf/all/accept_source_route", "0" },
	{ "net/ipv4/conf/default/accept_source_route", "0" },
	{ "net/ipv4/conf/all/rp_filter", "2" },
	{ "net/ipv6/conf/all/accept_redirects", "0" },
	{ "net/ipv6/conf/default/accept_redirects", "0" },
	{ "net/ipv6/conf/default/accept_ra", "0" }, /* dhcpcd's to do, addresses too, also where the card is up before it runs */
	{ "net/ipv6/conf/default/addr_gen_mode", "1" },
};

static void settings_apply(setup_warn_fn *warn)
{
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		char path[128];
		int r;

		snprintf(path, sizeof(path), "/proc/sys/%s", settings[i].name);
		r = file_poke(AT_FDCWD, path, settings[i].value[0] ? str_c(settings[i].value) : S("\n"), &e);
		if (r && r != -ENOENT) /* not every kernel has every one */
			warn(e.msg);
	}
}

/* What the kernel itself would keep free if transparent huge pages had not asked for ten times as much on small machines:
 * 4 * sqrt(memory in kB), between 8 and 64 MiB (mm/page_alloc.c). */
unsigned long setup_min_free_kb(unsigned long memory_kb)
{
	unsigned long kb = 8192;

	while (kb < 65536 && kb / 4 * (kb / 4) < memory_kb)
		kb += 64;
	return kb;
}

static void reserve_set(setup_warn_fn *warn)
{
	struct sysinfo info;
	char text[24];
	struct err e;
	int n;

	if (sysinfo(&info))
		return;
	n = snprintf(text, sizeof(text), "%lu", setup_min_free_kb(info.totalram / 1024 * info.mem_unit));
	if (file_poke(AT_FDCWD, "/proc/sys/vm/min_free_kbytes", (struct str){ text, (size_t)n }, &e))
		warn(e.msg);
}

static void group_ready(const char *path, setup_warn_fn *warn)
{
	static const struct str controllers[] = { S("+cpu"), S("+memory"), S("+pids"), S("+io") };
	struct err e;

	if (cgroup_make(path, &e))
		warn(e.msg);
	for (size_t i = 0; i < ARRAY_LEN(controllers); i++)
		if (cgroup_set(path, "cgroup.subtree_control", controllers[i], &e))
			warn(e.msg);
}

/* A group has the files of its limits where its parent hands the controllers on: also those of templates' instances (init/unit.c names them). */
static void groups_make(setup_warn_fn *warn)
{
	static const char *const parents[] = { "", "/zos", "/zos/services" };
	char path[CGROUP_PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(parents); i++) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s", parents[i]);
		group_ready(path, warn);
	}
	for (size_t i = 0; i < services_n; i++) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup/zos/%ss", services[i].name);
		if (services[i].is_template)
			group_ready(path, warn);
	}
}

static void loopback_up(setup_warn_fn *warn)
{
	AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &req))
		warn("cannot bring up the loopback interface");
}

static void cmdline_take(struct cmdline *ret, setup_warn_fn *warn)
{
	char text[CMDLINE_MAX], sentence[128];
	AUTO_FD int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text));
	struct str bad = { 0 };

	if (cmdline_parse(ret, (struct str){ text, n < 0 ? 0 : (size_t)n }, &bad)) {
		snprintf(sentence, sizeof(sentence), "the kernel command line has a word that means nothing: %.*s", (int)(bad.n < 60 ? bad.n : 60),
			 bad.p);
		warn(sentence);
	}
}

void setup_system(struct cmdline *ret, setup_warn_fn *warn)
{
	struct rlimit files = { 524288, 524288 };
	struct err e;

	umask(022);
	for (size_t i = 0; i < ARRAY_LEN(mounts); i++)
		if (mnt_make("", &mounts[i], &e))
			warn(e.msg);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		if (dir_make(dirs[i].path, dirs[i].mode, &e) || chown(dirs[i].path, dirs[i].uid, dirs[i].uid))
			warn(e.msg);
	cmdline_take(ret, warn);
	if (sethostname(ret->hostname, strlen(ret->hostname)))
		warn("cannot set the host name");
	settings_apply(warn);
	reserve_set(warn);
	groups_make(warn);
	loopback_up(warn);
	setrlimit(RLIMIT_NOFILE, &files);
	reboot(RB_DISABLE_CAD); /* control, alt and delete becomes a SIGINT */
}
