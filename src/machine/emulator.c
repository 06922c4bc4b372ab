#include "machine/emulator.h"

#include "base/file.h"
#include "base/log.h"
#include "machine/cage.h"
#include "machine/group.h"
#include "sys/cgroup.h"
#include "sys/netns.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

/* A start takes two seconds; where many begin together on a slow disk, patience costs less than starting over. */
enum {
	START_TIMEOUT_US = 180 * 1000000,
	TASKS_MAX = 256, /* threads of QEMU: virtual CPUs, block requests */
	COMPLAINTS_MAX = 4096,
	SHARE_END_US = 5 * 1000000, /* from the end of what serves a volume to QEMU's */
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
		emulator_why(m, "the virtual machine did not come up in three minutes", "");
	for (size_t i = 0; i < ARRAY_LEN(m->shares); i++)
		if (m->shares[i].name && !m->shares[i].child)
			emulator_why(m, "what serves its volume ended before it: ", m->shares[i].name);
	emulator_kill(m->runner);
	return 0;
}

int emulator_init(struct emulator *m, struct runner *r, struct err *e)
{
	int ret;

	m->runner = r;
	for (size_t i = 0; i < ARRAY_LEN(m->shares); i++)
		m->shares[i] = (struct share)SHARE_NONE;
	r->output.heard = on_complaint;
	r->output.ctx = m;
	if (access("/dev/kvm", R_OK | W_OK))
		return err_set(e, -ENODEV, "this node has no /dev/kvm: switch virtualisation on in its firmware, or run a container");
	if ((ret = sd_event_add_time(r->event, &m->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timeout, m)) < 0)
		return err_set(e, ret, "time the virtual machine's start: %s", strerror(-ret));
	return 0;
}

static void shares_close(struct emulator *m)
{
	for (size_t i = 0; i < ARRAY_LEN(m->shares); i++) {
		share_close(&m->shares[i]);
		m->shares[i].name = NULL;
	}
}

void emulator_deinit(struct emulator *m)
{
	m->child = sd_event_source_disable_unref(m->child);
	shares_close(m);
	m->timer = sd_event_source_disable_unref(m->timer);
	buf_deinit(&m->complaints);
}

struct tap {
	const char *device;
	int fd;
};

/* In the calling thread's network namespace. */
static int tap_open(void *ctx, struct err *e)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	AUTO_FD int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct tap *t = ctx;

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", t->device);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &req))
		return err_set(e, -errno, "attach to the network device %s: %m", t->device);
	t->fd = take_fd(fd);
	return 0;
}

/* A tap is found by name in its own namespace alone: QEMU, which is in none of them, gets it open. */
int emulator_taps_open(const struct runner *r, struct emulator_taps *ret, struct err *e)
{
	struct tap t = { r->spec.device, -1 };
	int code = tap_open(&t, e);

	ret->way_out = t.fd;
	for (size_t i = 0; i < r->spec.n_links && !code; i++) {
		const struct machine_link *l = &r->spec.links[i];
		struct qemu_link *q = &ret->links[i];

		t = (struct tap){ l->device, -1 };
		if ((code = netns_run(l->netns, tap_open, &t, e)))
			break;
		q->tap = t.fd;
		snprintf(q->mac, sizeof(q->mac), "%s", l->mac);
		ret->n_links++;
	}
	return code;
}

void emulator_taps_close(struct emulator_taps *t)
{
	fd_close(&t->way_out);
	while (t->n_links)
		fd_close(&t->links[--t->n_links].tap);
}

void emulator_taps_keep(const struct emulator_taps *t)
{
	emulator_keep(t->way_out);
	for (size_t i = 0; i < t->n_links; i++)
		emulator_keep(t->links[i].tap);
}

int emulator_limit(struct emulator *m, const struct runner *r, struct err *e)
{
	struct group_limits limits = { r->spec.memory_bytes + OVERHEAD_BYTES, r->spec.cpu_milli + QEMU_CPU_MILLI, TASKS_MAX };

	for (size_t i = 0; i < r->spec.n_mounts; i++)
		limits.memory_bytes += r->spec.mounts[i].format ? 0 : ZMACHINE_SHARE_OVERHEAD;
	m->complaints.len = 0;
	m->is_up = m->is_killed = false;
	m->status = -1;
	m->why[0] = '\0';
	return group_make(r->box_group, &limits, e);
}

void emulator_keep(int fd)
{
	fcntl(fd, F_SETFD, 0);
}

/* As QEMU would open it: a set gives out descriptors with the flags that are asked for. */
static int disk_open(struct emulator_mounts *ret, const struct machine_mount *m, const char *serial, struct err *e)
{
	int fd = open(m->source, (m->read_only ? O_RDONLY : O_RDWR) | O_DIRECT | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, -errno, "open the disk '%s': %m", m->name);
	ret->disks[ret->n_disks++] = (struct qemu_mount){ fd, serial, m->read_only };
	return 0;
}

enum { SERIAL_MAX = 20 }; /* bytes of one that virtio has room for; for a tag it has 36, which is what a name may have */

int emulator_mounts_open(struct emulator_mounts *ret, const struct machine_spec *s, bool by_name, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < s->n_mounts && !r; i++) {
		const struct machine_mount *m = &s->mounts[i];
		char *name = ret->names[i];

		if (by_name)
			snprintf(name, sizeof(ret->names[i]), "%.*s", m->format ? SERIAL_MAX : QEMU_TAG_MAX, m->name);
		else
			snprintf(name, sizeof(ret->names[i]), "mount%zu", i);
		if (m->format)
			r = disk_open(ret, m, name, e);
		else
			ret->shares[ret->n_shares++] = (struct qemu_share){ -1, name };
	}
	return r;
}

void emulator_mounts_close(struct emulator_mounts *m)
{
	while (m->n_disks)
		fd_close(&m->disks[--m->n_disks].fd);
}

void emulator_mounts_keep(struct emulator_mounts *mounts, const struct emulator *m)
{
	for (size_t i = 0; i < mounts->n_disks; i++)
		emulator_keep(mounts->disks[i].fd);
	for (size_t i = 0; i < mounts->n_shares; i++) {
		mounts->shares[i].fd = m->shares[i].fd;
		emulator_keep(m->shares[i].fd);
	}
}

/* QEMU is over, and what serves it: not before is its group empty for the next start. */
static void over_maybe(struct emulator *m)
{
	bool none_left = m->status >= 0;

	for (size_t i = 0; i < ARRAY_LEN(m->shares); i++)
		none_left &= !m->shares[i].child;
	if (none_left)
		m->on_end(m->runner, m->status);
}

static int on_qemu_end(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct emulator *m = userdata;

	(void)source;
	emulator_over(m);
	m->status = si->si_code == CLD_EXITED ? si->si_status : 128 + si->si_status;
	for (size_t i = 0; i < ARRAY_LEN(m->shares); i++)
		if (m->shares[i].child)
			emulator_kill(m->runner);
	over_maybe(m);
	return 0;
}

static bool is_over(sd_event_source *child)
{
	siginfo_t si = { 0 };
	pid_t pid;

	return sd_event_source_get_child_pid(child, &pid) < 0 || waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) || si.si_pid;
}

/* A guest that cannot reach its volume any more would wait for ever. With status 0 it saw QEMU go, which is over in a moment. */
static int on_share_end(sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct emulator *m = userdata;
	struct share *s = m->shares;
	char last[100], text[200];

	while (s->child != source)
		s++;
	share_close(s);
	if (m->status >= 0) {
		over_maybe(m);
		return 0;
	}
	if (si->si_code == CLD_EXITED && !si->si_status) {
		emulator_end_in(m, SHARE_END_US);
		return 0;
	}
	if (m->is_killed || is_over(m->child))
		return 0;
	emulator_last_words(m, last, sizeof(last));
	snprintf(text, sizeof(text), "what serves its volume '%s' ended, and the virtual machine with it%s%s", s->name, last[0] ? ": " : "", last);
	runner_warn(m->runner, text);
	emulator_why(m, text, "");
	emulator_kill(m->runner);
	return 0;
}

static int shares_start(struct emulator *m, int complaints, struct err *e)
{
	const struct machine_spec *s = &m->runner->spec;
	size_t n = 0;
	int r = 0;

	shares_close(m);
	for (size_t i = 0; i < s->n_mounts && !r; i++)
		if (!s->mounts[i].format)
			r = share_start(&m->shares[n++], m->runner, &s->mounts[i], complaints, on_share_end, m, e);
	return r;
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

int emulator_spawn(struct emulator *m, const struct emulator_start *s, emulator_end *on_end, struct err *e)
{
	int ret = shares_start(m, s->complaints, e);
	pid_t pid = ret ? -1 : fork();

	if (!pid)
		become(m->runner, s);
	if (pid < 0)
		return emulator_drop(m, ret ? ret : err_set(e, -errno, "fork: %m"));
	for (size_t i = 0; i < ARRAY_LEN(m->shares); i++)
		fd_close(&m->shares[i].fd);
	m->on_end = on_end;
	m->child = sd_event_source_disable_unref(m->child);
	if ((ret = sd_event_add_child(m->runner->event, &m->child, pid, WEXITED, on_qemu_end, m)) < 0 ||
	    (ret = sd_event_source_set_priority(m->child, SD_EVENT_PRIORITY_IDLE)) < 0)
		return emulator_drop(m, err_set(e, ret, "watch the virtual machine: %s", strerror(-ret)));
	emulator_end_in(m, START_TIMEOUT_US);
	return 0;
}

int emulator_drop(struct emulator *m, int ret)
{
	m->child = sd_event_source_disable_unref(m->child);
	shares_close(m);
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
	struct emulator *m = r->box_state;

	m->is_killed = true;
	group_end(r->box_group);
}

void emulator_pause(struct runner *r, bool on)
{
	group_freeze(r->box_group, on);
}
