#include "guest/channel.h"

#include "base/log.h"
#include "base/rd.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

/* Until the runner's side is known to be there, the driver says "end of file" to readers (drivers/char/virtio_console.c). */
static bool is_connected(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) >= 0 && !(p.revents & POLLHUP);
}

int channel_open(unsigned number, int flags, int *ret_fd, struct err *e)
{
	uint64_t until_ms = log_now_ms() + CHANNEL_WAIT_MS;
	AUTO_FD int fd = -1;
	char path[32];

	snprintf(path, sizeof(path), "/dev/vport0p%u", number);
	while (fd < 0 || !is_connected(fd)) {
		if (fd < 0)
			fd = open(path, flags | O_CLOEXEC);
		if (log_now_ms() > until_ms)
			return err_set(e, fd < 0 ? -errno : -ETIMEDOUT, "open %s: %s", path, strerror(fd < 0 ? errno : ETIMEDOUT));
		nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
	}
	*ret_fd = take_fd(fd);
	return 0;
}

static int read_all(int fd, void *p, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t got = read(fd, (char *)p + at, n - at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? -errno : -EPIPE;
		at += (size_t)got;
	}
	return 0;
}

static int frame_read(int fd, enum guest_type want, struct buf *ret)
{
	uint8_t head[GUEST_HEAD];
	enum guest_type type;
	size_t n;
	int r = read_all(fd, head, sizeof(head));

	if (r || (r = guest_head_decode(head, GUEST_CONFIG_MAX, &type, &n)))
		return r;
	buf_reserve(ret, n);
	if (type != want || buf_check(ret))
		return -EBADMSG;
	ret->len = n;
	return read_all(fd, ret->p, n);
}

int channel_config(int fd, struct buf *room, struct guest_config *ret, struct err *e)
{
	int r = frame_read(fd, GUEST_CONFIG, room);

	if (!r)
		r = guest_config_decode(room->p, room->len, ret);
	return r ? err_set(e, r, "read the machine's configuration: %s", strerror(-r)) : 0;
}

int channel_signal(int fd)
{
	AUTO_BUF struct buf b = { 0 };
	int r = frame_read(fd, GUEST_SIGNAL, &b);
	struct rd rd = rd_over(b.p, b.len);
	uint64_t number = rd_le(&rd, 4);

	return r ? r : rd_done(&rd) || !number || number > 64 ? -EBADMSG : (int)number;
}

/* One write a word: the port takes it whole. Nobody is left to tell when that fails. */
static void say(int fd, enum guest_type type, const void *p, size_t n)
{
	AUTO_BUF struct buf b = { 0 };

	guest_head_encode(&b, type, n);
	buf_add_bytes(&b, p, n);
	(void)!write(fd, b.p, b.len);
}

void channel_ready(int fd)
{
	say(fd, GUEST_READY, NULL, 0);
}

void channel_failed(int fd, const char *sentence)
{
	char text[GUEST_WORD_MAX];
	size_t n = 0;

	for (; sentence[n] && n < sizeof(text); n++)
		text[n] = sentence[n] < ' ' || sentence[n] > '~' ? '?' : sentence[n];
	say(fd, GUEST_FAILED, text, n);
}

void channel_exit(int fd, unsigned status, bool oom)
{
	uint8_t bytes[4] = { (uint8_t)status, oom ? GUEST_EXIT_OOM >> 8 : 0 };

	say(fd, GUEST_EXIT, bytes, sizeof(bytes));
}
