#include "machine/emulator.h"

#include "base/file.h"
#include "base/log.h"
#include "machine/cage.h"
#include "machine/group.h"
#include "sys/cgroup.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>

enum {
	START_TIMEOUT_US = 60 * 1000000,
	TASKS_MAX = 256, /* threads of QEMU: virtual CPUs, block requests */
	COMPLAINTS_MAX = 4096,
	QEMU_CPU_MILLI = 500, /* for its own threads: within the guest's share they held up the virtual CPUs (1.9 to 4 s of a start of 12
	                       * to 19 without hardware help) */
};
#define OVERHEAD_BYTES (64ull << 20) /* as the engine counts it: src/node/capacity.c */

static void on_complaint(void *ctx, struct str bytes)
{
	struct emulator *m = ctx;

	buf_add(&m->complaints, bytes);
	if (m->complaints.len > COMPLAINTS_MAX)
		buf_drop(&m->complaints, m->complaints.len - COMPLAINTS_MAX);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct emulator *m = userdata;

	(void)source;
	(void)usec;
	if (!m->is_up)
		emulator_why(m, "the virtual machine did not come up in a minute", "");
	emulator_kill(m->runner);
	return 0;
}

int emulator_init(struct emulator *m, struct runner *r, struct err *e)
{
	int ret;

	m->runner = r;
	r->output.heard = on_complaint;
	r->output.ctx = m;
	if (access("/dev/kvm", R_OK | W_OK))
		return err_set(e, -ENODEV, "this node has no /dev/kvm: switch virtualisation on in its firmware, or run a container");
	if ((ret = sd_event_add_time(r->event, &m->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timeout, m)) < 0)
		return err_set(e, ret, "time the virtual machine's start: %s", strerror(-ret));
	return 0;
}

void emulator_deinit(struct emulator *m)
{
	m->child = sd_event_source_disable_unref(m->child);
	m->timer = sd_event_source_disable_unref(m->timer);
	buf_deinit(&m->complaints);
}

int emulator_tap_open(const struct runner *r, int *ret, struct err *e)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	AUTO_FD int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", r->spec.device);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &req))
		return err_set(e, -errno, "attach to the network device %s: %m", r->spec.device);
	*ret = take_fd(fd);
	return 0;
}

int emulator_limit(struct emulator *m, const struct runner *r, struct err *e)
{
	const struct group_limits limits = { r->spec.memory_bytes + OVERHEAD_BYTES, r->spec.cpu_milli + QEMU_CPU_MILLI, TASKS_MAX };

	m->complaints.len = 0;
	m->is_up = false;
	m->why[0] = '\0';
	return group_make(r->box_group, &limits, e);
}

void emulator_keep(int fd)
{
	fcntl(fd, F_SETFD, 0);
}

int emulator_mounts_open(struct emulator_mounts *ret, const struct machine_spec *s, bool by_name, struct err *e)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct machine_mount *m = &s->mounts[i];
		struct qemu_mount *q = &ret->all[i];

		if (!m->format)
			return err_set(e, -EBADMSG, "the volume '%s' is no disk, and a virtual machine mounts disks alone", m->name);
		/* as QEMU would open it: a set gives out descriptors with the flags that are asked for */
		*q = (struct qemu_mount){ .fd = open(m->source, (m->read_only ? O_RDONLY : O_RDWR) | O_DIRECT | O_NOFOLLOW | O_CLOEXEC),
					  .serial = ret->serials[i],
					  .read_only = m->read_only };
		if (q->fd < 0)
			return err_set(e, -errno, "open the disk '%s': %m", m->name);
		ret->n++;
		if (by_name)
			snprintf(ret->serials[i], sizeof(ret->serials[i]), "%.20s", m->name); /* virtio has room for 20 */
		else
			snprintf(ret->serials[i], sizeof(ret->serials[i]), "mount%zu", i);
	}
	return 0;
}

void emulator_mounts_close(struct emulator_mounts *m)
{
	while (m->n)
		fd_close(&m->all[--m->n].fd);
}

void emulator_mounts_keep(const struct emulator_mounts *m)
{
	for (size_t i = 0; i < m->n; i++)
		emulator_keep(m->all[i].fd);
}

[[noreturn]] static void become(const struct runner *r, const struct emulator_start *s)
{
	static const char *const env[] = { "PATH=/usr/bin", NULL };
	static struct qemu_args args;
	int null = open("/dev/null", O_RDWR);
	struct err e = { 0 };
	char cage[128];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	snprintf(cage, sizeof(cage), "%s/cage", r->dir);
	dup2(null, 0);
	dup2(null, 1);
	dup2(s->complaints, 2);
	if (!cage_enter(cage, r->box_group, s->room_bytes, &e) && !s->args_make(s->ctx, &args, &e)) {
		execve(QEMU_PROGRAM, (char **)args.argv, (char **)env);
		err_set(&e, -errno, "run " QEMU_PROGRAM ": %m");
	}
	dprintf(2, "%s\n", e.msg);
	_exit(EMULATOR_FAILED);
}

int emulator_spawn(struct emulator *m, const struct emulator_start *s, sd_event_child_handler_t on_end, struct err *e)
{
	pid_t pid = fork();
	int ret;

	if (pid < 0)
		return err_set(e, -errno, "fork: %m");
	if (!pid)
		become(m->runner, s);
	m->child = sd_event_source_disable_unref(m->child);
	if ((ret = sd_event_add_child(m->runner->event, &m->child, pid, WEXITED, on_end, m->runner)) < 0 ||
	    (ret = sd_event_source_set_priority(m->child, SD_EVENT_PRIORITY_IDLE)) < 0)
		return emulator_drop(m, err_set(e, ret, "watch the virtual machine: %s", strerror(-ret)));
	emulator_end_in(m, START_TIMEOUT_US);
	return 0;
}

int emulator_drop(struct emulator *m, int ret)
{
	m->child = sd_event_source_disable_unref(m->child);
	emulator_over(m);
	emulator_kill(m->runner);
	return ret;
}

void emulator_up(struct emulator *m)
{
	m->is_up = true;
	sd_event_source_set_enabled(m->timer, SD_EVENT_OFF);
}

void emulator_end_in(struct emulator *m, uint64_t usec)
{
	sd_event_source_set_time_relative(m->timer, usec);
	sd_event_source_set_enabled(m->timer, SD_EVENT_ONESHOT);
}

void emulator_over(struct emulator *m)
{
	sd_event_source_set_enabled(m->timer, SD_EVENT_OFF);
}

void emulator_why(struct emulator *m, const char *sentence, const char *more)
{
	if (!m->why[0])
		snprintf(m->why, sizeof(m->why), "%s%s", sentence, more);
}

void emulator_last_words(const struct emulator *m, char *ret, size_t size)
{
	struct str rest = buf_str(&m->complaints), line, last = { "", 0 };
	size_t n = 0;

	while (str_next(&rest, '\n', &line))
		if (line.n > 1)
			last = line;
	for (size_t i = 0; i < last.n && n + 1 < size; i++)
		if (last.p[i] >= ' ' && last.p[i] <= '~')
			ret[n++] = last.p[i];
	ret[n] = '\0';
}

void emulator_kill(struct runner *r)
{
	struct err e = { 0 };

	if (cgroup_kill(r->box_group, &e))
		log_warn("%s", e.msg);
}

void emulator_pause(struct runner *r, bool on)
{
	struct err e = { 0 };

	if (cgroup_set(r->box_group, "cgroup.freeze", on ? S("1") : S("0"), &e) < 0)
		log_warn("%s", e.msg);
}
