#include "init/init.h"

#include "base/file.h"
#include "base/log.h"
#include "init/control.h"
#include "init/notify.h"

#include <fcntl.h>
#include <linux/input.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define INPUT_DIR "/dev/input"
enum { NOTIFY_ROUND_MAX = 64, EVENTS_MAX = 32, UNSAID_FIRST_MS = 10, UNSAID_MAX_MS = 5000 };

/* Never waits: the kernel refuses a line as long as somebody else's is written. */
static void unsaid_write(struct init *in)
{
	ssize_t n = write(in->setup.console_fd, in->unsaid.text, in->unsaid.len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		in->unsaid.pause_ms = !in->unsaid.pause_ms                  ? UNSAID_FIRST_MS
				      : in->unsaid.pause_ms < UNSAID_MAX_MS ? in->unsaid.pause_ms * 2
									    : UNSAID_MAX_MS;
		in->unsaid.due_ms = log_now_ms() + in->unsaid.pause_ms;
		return;
	}
	if (n < 0) /* there is no console */
		n = (ssize_t)in->unsaid.len;
	in->unsaid.len -= (size_t)n;
	memmove(in->unsaid.text, in->unsaid.text + n, in->unsaid.len);
	in->unsaid.pause_ms = 0;
	in->unsaid.due_ms = log_now_ms() + UNSAID_FIRST_MS;
}

void init_show(struct init *in, const char *who, const char *text, size_t n)
{
	uint64_t now_ms = log_now_ms();
	char line[RING_LINE_MAX + 96];
	int len = snprintf(line, sizeof(line), "[%5llu.%03u] %s: %.*s\r\n", (unsigned long long)now_ms / 1000, (unsigned)(now_ms % 1000), who, (int)n,
			   text);

	if (in->setup.console_is_screen && in->is_screen_taken)
		return;
	if (in->setup.console_fd < 0 || len <= 0)
		return;
	if ((size_t)len >= sizeof(line))
		len = sizeof(line) - 1;
	if (in->unsaid.len + (size_t)len > sizeof(in->unsaid.text))
		return;
	memcpy(in->unsaid.text + in->unsaid.len, line, (size_t)len);
	in->unsaid.len += (size_t)len;
	if (in->unsaid.len == (size_t)len) /* others wait for their time */
		unsaid_write(in);
}

void init_say(struct init *in, int level, bool is_shown, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(text))
		n = sizeof(text) - 1;
	ring_add(&in->ring, level, log_now_ms(), text, (size_t)n);
	if (is_shown || level <= 4 || in->setup.is_debug)
		init_show(in, "init", text, (size_t)n);
}

int init_poll(struct init *in, int fd, enum init_key key, size_t number)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = (uint64_t)key << 32 | number };

	return epoll_ctl(in->epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int socket_open(const char *path, int type, mode_t mode, struct err *e)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	AUTO_FD int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || strlen(path) >= sizeof(at.sun_path))
		return err_set(e, fd < 0 ? -errno : -ENAMETOOLONG, "make the socket %s", path);
	strcpy(at.sun_path, path);
	if (unlink(path) && errno != ENOENT)
		return err_set(e, -errno, "remove the old %s: %m", path);
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || chmod(path, mode))
		return err_set(e, -errno, "bind %s: %m", path);
	if (type == SOCK_SEQPACKET && listen(fd, INIT_CONNS_MAX))
		return err_set(e, -errno, "listen on %s: %m", path);
	return take_fd(fd);
}

static int sockets_open(struct init *in, struct err *e)
{
	char path[128];
	int on = 1;

	snprintf(in->notify_path, sizeof(in->notify_path), "%s/init.notify", in->setup.run_dir);
	in->notify_fd = socket_open(in->notify_path, SOCK_DGRAM, 0666, e); /* who sent is checked, not who may send */
	if (in->notify_fd < 0)
		return in->notify_fd;
	if (setsockopt(in->notify_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)))
		return err_set(e, -errno, "ask for senders on %s: %m", in->notify_path);
	snprintf(path, sizeof(path), "%s/init.sock", in->setup.run_dir);
	in->listen_fd = socket_open(path, SOCK_SEQPACKET, 0600, e);
	return in->listen_fd < 0 ? in->listen_fd : 0;
}

static int signals_open(struct init *in, struct err *e)
{
	static const int signals[] = { SIGCHLD, SIGTERM, SIGINT, SIGPIPE };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	in->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return in->signal_fd < 0 ? err_set(e, -errno, "take signals: %m") : 0;
}

int init_open(struct init *in, const struct init_setup *setup, struct err *e)
{
	int r;

	in->setup = *setup;
	in->signal_fd = in->notify_fd = in->listen_fd = -1;
	in->watchdog = (struct watchdog){ .fd = -1, .due_ms = setup->has_watchdog ? log_now_ms() + WATCHDOG_PET_MS : UINT64_MAX };
	for (size_t i = 0; i < INIT_CONNS_MAX; i++)
		in->conns[i].fd = -1;
	in->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (in->epoll_fd < 0)
		return err_set(e, -errno, "make the loop: %m");
	r = signals_open(in, e);
	if (!r)
		r = sockets_open(in, e);
	if (!r && (init_poll(in, in->signal_fd, INIT_KEY_SIGNAL, 0) || init_poll(in, in->notify_fd, INIT_KEY_NOTIFY, 0) ||
		   init_poll(in, in->listen_fd, INIT_KEY_LISTEN, 0)))
		r = err_set(e, -errno, "fill the loop: %m");
	return r;
}

static struct unit *unit_of_process(struct init *in, pid_t pid)
{
	for (size_t i = 0; i < in->units_n; i++)
		if (in->units[i].service && in->units[i].pid == pid)
			return &in->units[i];
	for (size_t i = 0; i < in->units_n; i++) /* a helper of the service: by its group */
		if (in->units[i].service && in->units[i].pid && cgroup_has(in->units[i].group + strlen(in->setup.cgroup_mount), pid))
			return &in->units[i];
	return NULL;
}

static void notify_apply(struct init *in, struct unit *u, const struct notify *n)
{
	if (n->status.p) {
		snprintf(u->text, sizeof(u->text), STR_FMT "%s", STR_ARG(n->status), u->is_oom_killed ? "; was killed for want of memory" : "");
		init_say(in, 6, !u->instance, "%s: %s", u->name, u->text);
		control_tell(in, u);
	}
	if (n->is_ready && u->service->ready == SERVICE_READY_NOTIFY)
		unit_event(in, u, UNIT_EV_READY, log_now_ms());
}

/* One datagram. False when there is none. */
static bool notify_take(struct init *in)
{
	char text[NOTIFY_MAX], room[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(4 * sizeof(int))];
	struct iovec iov = { text, sizeof(text) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
	ssize_t n = recvmsg(in->notify_fd, &m, MSG_CMSG_CLOEXEC);
	struct notify parsed;
	int fds[4];
	size_t n_fds = 0;
	pid_t sender = 0;

	if (n < 0)
		return errno == EINTR;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
			sender = ((struct ucred *)CMSG_DATA(c))->pid;
		for (size_t i = 0; c->cmsg_type == SCM_RIGHTS && CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++)
			fds[n_fds++] = ((int *)CMSG_DATA(c))[i];
	}
	struct unit *u = sender > 0 ? unit_of_process(in, sender) : NULL;
	if (u && !(m.msg_flags & MSG_TRUNC) && !notify_parse(&parsed, (struct str){ text, (size_t)n }))
		notify_apply(in, u, &parsed);
	while (n_fds) /* sd_notify_barrier(3): the sender waits for this, so that it is still there when we look who it is */
		close(fds[--n_fds]);
	return true;
}

static void on_notify(struct init *in)
{
	for (int i = 0; i < NOTIFY_ROUND_MAX && notify_take(in); i++)
		;
}

static void reap(struct init *in)
{
	int status;
	pid_t pid;

	on_notify(in); /* what a process said before it ended comes first */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < in->units_n; i++) /* others are orphans: reaping is all they need */
			if (in->units[i].service && in->units[i].pid == pid)
				unit_exited(in, &in->units[i], status, log_now_ms());
}

void init_power(struct init *in, enum init_power how, const char *why)
{
	if (in->power)
		return;
	in->power = how;
	in->power_due_ms = log_now_ms() + INIT_SHUTDOWN_MAX_MS;
	in->is_dirty = true;
	init_say(in, 6, true, "%s: %s", how == INIT_POWER_OFF ? "going down" : "going down to start again", why);
}

static void on_signal(struct init *in)
{
	struct signalfd_siginfo s;

	while (read(in->signal_fd, &s, sizeof(s)) == sizeof(s)) {
		if (s.ssi_signo == SIGTERM)
			init_power(in, INIT_POWER_OFF, "SIGTERM");
		if (s.ssi_signo == SIGINT)
			init_power(in, INIT_POWER_REBOOT, "control, alt and delete");
	}
	reap(in);
}

static void on_button(struct init *in, size_t number)
{
	struct input_event ev;

	while (read(in->key_fds[number], &ev, sizeof(ev)) == sizeof(ev))
		if (ev.type == EV_KEY && ev.code == KEY_POWER && ev.value == 1)
			init_power(in, INIT_POWER_OFF, "power button");
}

static void button_open(struct init *in, const char *name)
{
	unsigned char keys[KEY_MAX / 8 + 1] = { 0 };
	char path[64];

	snprintf(path, sizeof(path), INPUT_DIR "/%.32s", name);
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || in->keys_n == INIT_KEYS_MAX || ioctl(fd, EVIOCGBIT(EV_KEY, sizeof(keys)), keys) < 0)
		return;
	if ((keys[KEY_POWER / 8] >> KEY_POWER % 8 & 1) && !init_poll(in, fd, INIT_KEY_BUTTON, in->keys_n))
		in->key_fds[in->keys_n++] = take_fd(fd);
}

/* New input devices, some of which have a power key. */
static void on_input(struct init *in)
{
	alignas(struct inotify_event) char room[4096];
	ssize_t n;

	while ((n = read(in->input_fd, room, sizeof(room))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *ev = (const struct inotify_event *)(room + at);

			if (ev->len && !strncmp(ev->name, "event", 5))
				button_open(in, ev->name);
			at += (ssize_t)(sizeof(*ev) + ev->len);
		}
}

static void input_watch(struct init *in)
{
	in->input_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (in->input_fd < 0 || inotify_add_watch(in->input_fd, INPUT_DIR, IN_CREATE) < 0 || init_poll(in, in->input_fd, INIT_KEY_INPUT, 0))
		init_info(in, "no power button: cannot watch " INPUT_DIR);
}

static void up_tell(struct init *in)
{
	unsigned n_up = 0;
	uint64_t now_ms = log_now_ms();

	for (size_t i = 0; i < in->units_n; i++) {
		const struct unit *u = &in->units[i];

		n_up += u->state == SUPERVISOR_UP;
		if (u->service && !u->instance && !u->service->is_background && u->state != SUPERVISOR_UP && !unit_is_at_rest(u))
			return;
	}
	in->is_up = true;
	init_say(in, 6, true, "Zero-OS %s is up, %u services, %llu.%03u s after the kernel started", ZOS_VERSION, n_up,
		 (unsigned long long)now_ms / 1000, (unsigned)(now_ms % 1000));
}

static void power_check(struct init *in)
{
	bool is_late = log_now_ms() >= in->power_due_ms;

	for (size_t i = 0; i < in->units_n && !is_late; i++)
		if (!unit_is_at_rest(&in->units[i]))
			return;
	if (is_late)
		init_warn(in, "some services did not end in %d s", INIT_SHUTDOWN_MAX_MS / 1000);
	init_say(in, 6, true, "all services are down");
	if (in->unsaid.len) /* nobody else writes any more */
		unsaid_write(in);
	watchdog_last(&in->watchdog);
	in->setup.finish(in->power);
}

/* Until nothing changes any more: a unit that came up lets others go. */
static void settle(struct init *in)
{
	do {
		in->is_dirty = false;
		for (size_t i = 0; i < in->units_n; i++)
			if (in->units[i].service)
				unit_settle(in, &in->units[i], log_now_ms());
	} while (in->is_dirty);
	if (in->power)
		power_check(in);
	else if (!in->is_up)
		up_tell(in);
	if (watchdog_step(&in->watchdog, log_now_ms()) == WATCHDOG_BEGUN)
		init_say(in, 6, true, "watchdog: %s starts the machine again should PID 1 hang for %d s", in->watchdog.name, WATCHDOG_TIMEOUT_S);
}

static int next_ms(const struct init *in)
{
	uint64_t now_ms = log_now_ms(), due_ms = in->power && in->power_due_ms < in->watchdog.due_ms ? in->power_due_ms : in->watchdog.due_ms;

	for (size_t i = 0; i < in->units_n; i++)
		if (in->units[i].service && in->units[i].due_ms && in->units[i].due_ms < due_ms)
			due_ms = in->units[i].due_ms;
	if (in->unsaid.len && in->unsaid.due_ms < due_ms)
		due_ms = in->unsaid.due_ms;
	if (due_ms == UINT64_MAX)
		return -1;
	return due_ms <= now_ms ? 0 : due_ms - now_ms > 60000 ? 60000 : (int)(due_ms - now_ms);
}

static void dispatch(struct init *in, uint64_t key)
{
	size_t number = (uint32_t)key;

	switch ((enum init_key)(key >> 32)) {
	case INIT_KEY_SIGNAL:
		return on_signal(in);
	case INIT_KEY_NOTIFY:
		return on_notify(in);
	case INIT_KEY_LISTEN:
		return control_accept(in);
	case INIT_KEY_CONN:
		if (in->conns[number].fd >= 0)
			control_serve(in, number);
		return;
	case INIT_KEY_LOG:
		if (in->units[number].service)
			unit_log_read(in, &in->units[number]);
		return;
	case INIT_KEY_BUTTON:
		return on_button(in, number);
	case INIT_KEY_INPUT:
		return on_input(in);
	}
}

void init_run(struct init *in)
{
	struct epoll_event evs[EVENTS_MAX];

	input_watch(in);
	for (size_t i = 0; i < in->setup.services_n; i++) {
		const struct service *s = &in->setup.services[i];
		struct unit *u = s->is_template ? NULL : unit_add(in, s, NULL);

		if (u)
			u->is_wanted = true;
	}
	for (;;) {
		settle(in);
		if (in->unsaid.len && log_now_ms() >= in->unsaid.due_ms)
			unsaid_write(in);
		int n = epoll_wait(in->epoll_fd, evs, EVENTS_MAX, next_ms(in));

		for (int i = 0; i < n; i++)
			dispatch(in, evs[i].data.u64);
	}
}
