/* bench-probe COMMAND... -- what the bench needs inside a guest, ours and the peer's alike: one static file, so that
 * both run the same bytes.
 *
 *   stamp              the monotonic clock in microseconds
 *   exec CMD...        the same, then CMD in its place
 *   procs              a line for each process that is no kernel thread: PID, name, PSS in kB, switches of context and
 *                      microseconds of CPU so far
 *   kill PID           kills it; microseconds until another process of the same program runs in its control group
 *   start ID           asks init for machine@ID and waits until its runner is up; the monotonic clock just before
 *   until ID STATE     asks init for machine@ID; microseconds until its runner says STATE
 *   vm-hand MEMORY MAC DEVICE ADDRESS GATEWAY LAYER...
 *                      starts QEMU by hand with the runner's own arguments; microseconds until guest-init says that the
 * program runs
 *   vm-hold ...        the same, and goes on until it is ended */
#include "base/cleanup.h"
#include "base/parse.h"
#include "machine/qemu.h"
#include "sys/supervisor.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

enum { DEADLINE_US = 60 * 1000000, LOOK_NS = 50000, ALONE_S = 1 };

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static void pause_shortly(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
}

static ssize_t text_read(const char *path, char *ret, size_t size)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	ret[n > 0 ? n : 0] = '\0';
	return n;
}

static unsigned long number_after(const char *text, const char *word)
{
	const char *at = strstr(text, word);

	return at ? strtoul(at + strlen(word), NULL, 10) : 0;
}

struct used {
	unsigned long switches, cpu_us;
};

static struct used used_by(int pid)
{
	char path[64], text[4096];
	struct used sum = { 0 };
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", pid, d->d_name);
		if (text_read(path, text, sizeof(text)) > 0)
			sum.switches += number_after(text, "\nvoluntary_ctxt_switches:\t") + number_after(text, "\nnonvoluntary_ctxt_switches:\t");
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/schedstat", pid, d->d_name);
		if (text_read(path, text, sizeof(text)) > 0)
			sum.cpu_us += strtoul(text, NULL, 10) / 1000;
	}
	if (dir)
		closedir(dir);
	return sum;
}

static int cmd_procs(char **argv)
{
	DIR *dir = opendir("/proc");
	char path[64], name[64], text[4096];
	struct dirent *d;

	(void)argv;
	while (dir && (d = readdir(dir))) {
		int pid = (int)strtol(d->d_name, NULL, 10);

		snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
		if (pid <= 0 || pid == getpid() || text_read(path, text, sizeof(text)) <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		text_read(path, name, sizeof(name));
		name[strcspn(name, "\n")] = '\0';
		snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
		text_read(path, text, sizeof(text));
		struct used used = used_by(pid);
		printf("%d %s %lu %lu %lu\n", pid, name, number_after(text, "\nPss:"), used.switches, used.cpu_us);
	}
	return 0;
}

static bool runs_again(const char *procs, int old, const char *program)
{
	char text[256], path[64], exe[256] = "";
	int pid = text_read(procs, text, sizeof(text)) > 0 ? (int)strtol(text, NULL, 10) : 0;

	if (pid <= 0 || pid == old)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return readlink(path, exe, sizeof(exe) - 1) > 0 && !strcmp(exe, program);
}

static int cmd_kill(char **argv)
{
	int old = (int)strtol(argv[0], NULL, 10);
	char path[64], text[256], procs[512], exe[256] = "";
	uint64_t began_us;

	snprintf(path, sizeof(path), "/proc/%d/exe", old);
	if (readlink(path, exe, sizeof(exe) - 1) < 0)
		return fail(path);
	snprintf(path, sizeof(path), "/proc/%d/cgroup", old);
	text_read(path, text, sizeof(text));
	text[strcspn(text, "\n")] = '\0';
	snprintf(procs, sizeof(procs), "/sys/fs/cgroup%s/cgroup.procs", strchr(text, '/'));
	began_us = now_us();
	if (kill(old, SIGKILL))
		return fail("kill");
	while (!runs_again(procs, old, exe)) {
		if (now_us() > began_us + DEADLINE_US)
			return fail("it did not come back");
		pause_shortly();
	}
	printf("%llu\n", (unsigned long long)(now_us() - began_us));
	return 0;
}

static int cmd_stamp(char **argv)
{
	(void)argv;
	printf("%llu\n", (unsigned long long)now_us());
	return 0;
}

static int cmd_exec(char **argv)
{
	cmd_stamp(NULL);
	fflush(stdout);
	execv(argv[0], argv);
	return fail(argv[0]);
}

static int machine_start(const char *id, uint64_t *ret_us)
{
	struct supervisor s = SUPERVISOR_DEFAULT;
	struct supervisor_unit u;
	char name[SUPERVISOR_NAME_MAX];
	struct err e = { 0 };

	snprintf(name, sizeof(name), "machine@%s", id);
	*ret_us = now_us();
	if (supervisor_start(&s, name, &e) >= 0 &&
	    supervisor_wait(&s, name, 1u << SUPERVISOR_UP | 1u << SUPERVISOR_BACKOFF, DEADLINE_US / 1000, &u, &e) >= 0)
		return 0;
	fprintf(stderr, "%s\n", e.msg);
	return 1;
}

static int cmd_start(char **argv)
{
	uint64_t us;

	if (machine_start(argv[0], &us))
		return 1;
	sleep(ALONE_S); /* who reads the result must not compete with what is measured */
	printf("%llu\n", (unsigned long long)us);
	return 0;
}

static int lab_wait(const char *id, const char *state)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		dup2(null, 2);
		execl("/usr/bin/lab", "lab", "wait", id, state, NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return status;
}

/* From the order to start it until its runner says that state. */
static int cmd_until(char **argv)
{
	uint64_t us;

	if (machine_start(argv[0], &us) || lab_wait(argv[0], argv[1]))
		return 1;
	printf("%llu\n", (unsigned long long)(now_us() - us));
	return 0;
}

static int tap_open(const char *device)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", device);
	return fd < 0 || ioctl(fd, TUNSETIFF, &req) ? -1 : fd;
}

/* Until guest-init says READY: 0. */
static int ready_wait(int control)
{
	struct guest_ear ear = { 0 };
	struct guest_word w;
	char bytes[512];
	ssize_t n;

	while (poll(&(struct pollfd){ .fd = control, .events = POLLIN }, 1, DEADLINE_US / 1000) > 0 &&
	       (n = read(control, bytes, sizeof(bytes))) > 0) {
		struct str p = { bytes, (size_t)n };

		if (guest_ear_take(&ear, &p, &w) != GUEST_EAR_WORD)
			continue;
		if (w.type == GUEST_READY)
			return 0;
		fprintf(stderr, "guest: %s\n", w.text);
		return 1;
	}
	return fail("the guest did not come up");
}

static int config_send(int fd, const char *address, const char *gateway, size_t n_layers)
{
	struct guest_config c = { .rootfs_bytes = 16 << 20,
				  .n_layers = (uint32_t)n_layers,
				  .hostname = "box",
				  .workdir = "/",
				  .user = "0",
				  .argv = { "/bin/sleep", "1000" },
				  .env = { "PATH=/bin" } };
	AUTO_BUF struct buf b = { 0 };
	struct in_addr a, g;
	struct err e = { 0 };

	if (inet_pton(AF_INET, address, &a) != 1 || inet_pton(AF_INET, gateway, &g) != 1)
		return fail("address");
	c.address = ntohl(a.s_addr);
	c.gateway = ntohl(g.s_addr);
	if (guest_config_encode(&c, &b, &e) || write(fd, b.p, b.len) != (ssize_t)b.len)
		return fail("config");
	return 0;
}

static int vm_by_hand(char **argv, bool hold)
{
	static struct qemu_args args;
	int layers[GUEST_LAYERS_MAX], pairs[GUEST_PORTS + 1][2];
	struct qemu q = { .cpus = 1, .mac = argv[1], .initrd = QEMU_INITRD, .tap = tap_open(argv[2]), .layers = layers };
	uint64_t began_us;
	pid_t pid;
	int r;

	if (parse_u64(str_c(argv[0]), UINT64_MAX, &q.memory_bytes) || q.tap < 0)
		return fail("tap");
	for (; argv[5 + q.n_layers] && q.n_layers < GUEST_LAYERS_MAX; q.n_layers++)
		layers[q.n_layers] = open(argv[5 + q.n_layers], O_RDONLY);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]))
			return fail("socketpair");
	q.console = pairs[GUEST_PORTS][1];
	for (size_t i = 0; i < ARRAY_LEN(q.ports); i++)
		q.ports[i] = pairs[i][1];
	if (config_send(pairs[0][0], argv[3], argv[4], q.n_layers))
		return 1;
	qemu_args_make(&q, &args);
	began_us = now_us();
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		execv(QEMU_PROGRAM, (char **)args.argv);
		_exit(127);
	}
	r = ready_wait(pairs[0][0]);
	printf("%llu\n", (unsigned long long)(now_us() - began_us));
	fflush(stdout);
	if (!hold || r)
		kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return r;
}

static int cmd_vm_hand(char **argv)
{
	return vm_by_hand(argv, false);
}

static int cmd_vm_hold(char **argv)
{
	return vm_by_hand(argv, true);
}

static const struct {
	const char *name;
	int n_args; /* at least */
	int (*run)(char **argv);
} commands[] = {
	{ "stamp", 0, cmd_stamp }, { "exec", 1, cmd_exec },   { "procs", 0, cmd_procs },     { "kill", 1, cmd_kill },
	{ "start", 1, cmd_start }, { "until", 2, cmd_until }, { "vm-hand", 6, cmd_vm_hand }, { "vm-hold", 6, cmd_vm_hold },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(commands); i++)
		if (!strcmp(argv[1], commands[i].name) && argc - 2 >= commands[i].n_args)
			return commands[i].run(argv + 2);
	fprintf(stderr, "bench-probe stamp|exec|procs|kill|start|until|vm-hand|vm-hold ...\n");
	return 2;
}
