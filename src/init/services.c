/* What runs on a node. One row a program; README.md says what the columns mean to whom. */
#include "init/service.h"

#include "base/cleanup.h"

#include <linux/capability.h>

#define CAP(name) SERVICE_CAP(CAP_##name)
#define MIB (1ull << 20)
#define ALL_CAPS UINT64_MAX

enum { UID_ROOT = 0, UID_GRIDD = 901, UID_IMAGED = 902, UID_CONSOLE = 905, UID_CLOCK = 908 };

const struct service services[] = {
	{
		.name = "modules",
		.argv = { "/usr/lib/zos/modload", "first" },
		.ready = SERVICE_READY_ONESHOT,
		.caps = CAP(SYS_MODULE),
		.nofile = 256,
		.start_ms = 30000,
		.stop_ms = 1000,
	},
	{
		.name = "disks", /* not behind the rest of the drivers: noded waits for it wherever there is a disk of ours */
		.argv = { "/usr/lib/zos/modload", "disks" },
		.after = { "modules" },
		.ready = SERVICE_READY_ONESHOT,
		.is_background = true,
		.caps = CAP(SYS_MODULE),
		.nofile = 256,
		.start_ms = 60000,
		.stop_ms = 1000,
	},
	{
		.name = "drivers",
		.argv = { "/usr/lib/zos/modload" },
		.after = { "modules" },
		.ready = SERVICE_READY_NOTIFY,
		.is_background = true,
		.cpu_weight = 1, /* whoever waits for the network comes before the rest of the drivers */
		.caps = CAP(SYS_MODULE) | CAP(CHOWN) | CAP(FOWNER) | CAP(NET_ADMIN),
		.nofile = 256,
		.stop_ms = 1000,
	},
	{
		.name = "panics", /* once the drivers of what keeps them are there */
		.argv = { "/usr/lib/zos/panics" },
		.after = { "drivers" },
		.ready = SERVICE_READY_ONESHOT,
		.is_background = true,
		.cpu_weight = 1,
		.caps = CAP(SYSLOG),
		.nofile = 64,
		.start_ms = 30000,
		.stop_ms = 1000,
	},
	{
		.name = "imaged",
		.argv = { "/usr/lib/zos/imaged" },
		.ready = SERVICE_READY_NOTIFY,
		.cpu_weight = 20,
		.uid = UID_IMAGED,
		.gid = UID_IMAGED,
		.nofile = 4096,
		.pids_max = 128,
		.oom_score_adj = 200,
		.start_ms = 10000,
		.stop_ms = 5000,
	},
	{
		.name = "filter", /* before the first card is up: until then nothing can ask. noded loads the same program's wider rules later */
		.argv = { "/usr/lib/zos/filter", "closed" },
		.after = { "modules" },
		.ready = SERVICE_READY_ONESHOT,
		.caps = CAP(NET_ADMIN),
		.nofile = 64,
		.start_ms = 10000,
		.stop_ms = 1000,
	},
	{
		.name = "noded",
		.argv = { "/usr/lib/zos/noded" },
		.after = { "filter", "machine" },
		.ready = SERVICE_READY_NOTIFY,
		.caps = CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) | CAP(FOWNER) | CAP(FSETID) | CAP(KILL) | CAP(SETGID) | CAP(SETUID) |
			CAP(SETPCAP) | CAP(SETFCAP) | CAP(LINUX_IMMUTABLE) | CAP(NET_ADMIN) | CAP(NET_RAW) | CAP(NET_BIND_SERVICE) | CAP(IPC_LOCK) |
			CAP(SYS_CHROOT) | CAP(SYS_PTRACE) | CAP(SYS_ADMIN) | CAP(SYS_RESOURCE) | CAP(SYS_NICE) | CAP(MKNOD),
		.nofile = 65536,
		.oom_score_adj = -800,
		.start_ms = 60000,
		.stop_ms = 20000,
	},
	{
		.name = "cards",
		.argv = { "/usr/lib/zos/cards" },
		.after = { "filter" },
		.ready = SERVICE_READY_NOTIFY,
		.restart = SERVICE_RESTART_FAILURE, /* without a boot configuration of the uplinks it has nothing to stay for */
		.caps = CAP(NET_ADMIN),
		.nofile = 64,
		.start_ms = 10000,
		.stop_ms = 1000,
	},
	{
		.name = "dhcp",
		/* what cards writes names the links that are its business; what noded makes is none of it */
		.argv = { "/usr/sbin/dhcpcd", "-B", "-f", "/run/zos/dhcpcd.conf", "--noarp", "-c", "/usr/lib/zos/dhcp-hook", "--nodelay", "-o",
			  "domain_name_servers,ntp_servers,classless_static_routes,interface_mtu" },
		.after = { "cards" },
		.ready = SERVICE_READY_NOTIFY, /* its hook says so, once there is a lease */
		.is_background = true,         /* a node without a cable is up all the same */
		.caps = CAP(NET_ADMIN) | CAP(NET_RAW) | CAP(NET_BIND_SERVICE) | CAP(SETUID) | CAP(SETGID) | CAP(SYS_CHROOT) | CAP(KILL),
		.nofile = 256,
		.pids_max = 64,
		.memory_max_bytes = 64 * MIB,
		.stop_ms = 3000,
	},
	{
		.name = "clock",
		.argv = { "/usr/lib/zos/clock" },
		.after = { "noded" }, /* which knows the farm's time servers */
		.ready = SERVICE_READY_EXEC,
		.is_background = true,
		.uid = UID_CLOCK,
		.gid = UID_CLOCK,
		.caps = CAP(SYS_TIME),
		.nofile = 64,
		.pids_max = 8,
		.memory_max_bytes = 32 * MIB,
		.stop_ms = 2000,
	},
	{
		.name = "gridd",
		.argv = { "/usr/lib/zos/gridd" },
		.ready = SERVICE_READY_NOTIFY,
		.uid = UID_GRIDD,
		.gid = UID_GRIDD,
		.nofile = 4096,
		.pids_max = 128,
		.memory_max_bytes = 256 * MIB,
		.oom_score_adj = -500,
		.start_ms = 30000,
		.stop_ms = 5000,
	},
	{
		.name = "console",
		.argv = { "/usr/lib/zos/console" },
		.opens = { "/dev/tty1", "/dev/console" },
		.ready = SERVICE_READY_NOTIFY,
		.cpu_weight = 20,
		.is_background = true,
		.uid = UID_CONSOLE,
		.gid = UID_CONSOLE,
		.nofile = 64,
		.pids_max = 4,
		.memory_max_bytes = 32 * MIB,
		.oom_score_adj = 100,
		.start_ms = 10000,
		.stop_ms = 1000,
	},
	{
		.name = "machine",
		.argv = { "/usr/lib/zos/machine", "%i" },
		.is_template = true,
		.ready = SERVICE_READY_NOTIFY,
		.restart = SERVICE_RESTART_FAILURE,
		/* what crun needs, and what a container may have in its own user namespace: it can have no more than this */
		.caps = CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) | CAP(FOWNER) | CAP(FSETID) | CAP(KILL) | CAP(SETGID) | CAP(SETUID) |
			CAP(SETPCAP) | CAP(SETFCAP) | CAP(NET_BIND_SERVICE) | CAP(NET_ADMIN) | CAP(SYS_CHROOT) | CAP(SYS_PTRACE) | CAP(SYS_ADMIN) |
			CAP(SYS_RESOURCE) | CAP(MKNOD),
		.nofile = 65536,
		.start_ms = 60000,
		.stop_ms = 30000,
	},
	{
		.name = "names", /* of one private network: enters it, and drops the rest before it hears a word */
		.argv = { "/usr/lib/zos/names", "%i" },
		.is_template = true,
		.ready = SERVICE_READY_EXEC,
		.is_background = true,
		.cpu_weight = 20,
		.caps = CAP(SYS_ADMIN) | CAP(SETUID) | CAP(SETGID) | CAP(SETPCAP),
		.nofile = 1024,
		.pids_max = 24,
		.memory_max_bytes = 48 * MIB,
		.oom_score_adj = 200,
		.stop_ms = 1000,
	},
	{
		.name = "gateway", /* web: HAProxy; steer: what tells it whose names it publishes; acme: what gets their certificates. Each enters the namespace, and drops the rest */
		.argv = { "/usr/lib/zos/gateway", "%i", "/run/zos/gateway/netns" },
		.is_template = true,
		.ready = SERVICE_READY_EXEC,
		.is_background = true,
		.caps = CAP(SYS_ADMIN) | CAP(SETUID) | CAP(SETGID) | CAP(SETPCAP),
		.nofile = 20000,
		.pids_max = 128, /* HAProxy has a thread for each processor, up to 64 */
		.memory_max_bytes = 512 * MIB,
		.oom_score_adj = 100,
		.stop_ms = 2000,
	},
	{
		.name = "relay", /* what nodes cannot send each other: has its ports, and drops the rest before it hears a word */
		.argv = { "/usr/lib/zos/relay" },
		.is_template = true,
		.ready = SERVICE_READY_NOTIFY,
		.is_background = true,
		.caps = CAP(SYS_ADMIN) | CAP(NET_ADMIN) | CAP(SETUID) | CAP(SETGID) | CAP(SETPCAP),
		.nofile = 1024, /* a socket for each port */
		.pids_max = 4,
		.memory_max_bytes = 128 * MIB,
		.oom_score_adj = 100,
		.start_ms = 10000,
		.stop_ms = 1000,
	},
	{
		.name = "module", /* that a workload came to need: modload has the list */
		.argv = { "/usr/lib/zos/modload", "only", "%i" },
		.is_template = true,
		.ready = SERVICE_READY_ONESHOT,
		.caps = CAP(SYS_MODULE),
		.nofile = 64,
		.start_ms = 30000,
		.stop_ms = 1000,
	},
	{
		.name = "ata", /* of one disk, for a moment: the only one that may send it commands as they are (decision 110) */
		.argv = { "/usr/lib/zos/disk-ata", "%i" },
		.is_template = true,
		.ready = SERVICE_READY_ONESHOT,
		.is_background = true,
		.caps = CAP(SYS_RAWIO),
		.nofile = 16,
		.pids_max = 1,
		.memory_max_bytes = 16 * MIB,
		.start_ms = 60000,
		.stop_ms = 1000,
	},
	{
		.name = "shell", /* flavour debug only: no other image has its program */
		.argv = { "/usr/bin/busybox", "sh" },
		.condition = "/dev/hvc0",
		.tty = "/dev/hvc0",
		.warning = "this is the debug flavour: whoever reaches its first virtual console is root",
		.ready = SERVICE_READY_EXEC,
		.caps = ALL_CAPS,
		.oom_score_adj = -900,
		.stop_ms = 100,
	},
};
const size_t services_n = ARRAY_LEN(services);
