#include "console/sink.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <termios.h>

static void flush(struct sink *s)
{
	while (s->waiting.len) {
		ssize_t n = write(s->fd, s->waiting.p, s->waiting.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		buf_drop(&s->waiting, n < 0 ? s->waiting.len : (size_t)n); /* a terminal that is gone takes nothing more */
	}
	sd_event_source_set_enabled(s->source, s->waiting.len ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static int on_writable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct sink *s = userdata;

	(void)source;
	(void)fd;
	(void)events;
	flush(s);
	if (!s->waiting.len)
		s->ready(s->userdata);
	return 0;
}

/* Keys are neither echoed nor kept, and control-S stops nothing. */
static void raw_set(int fd)
{
	struct termios t;

	if (tcgetattr(fd, &t))
		return;
	t.c_iflag = 0;
	t.c_lflag = 0;
	t.c_cflag &= ~(tcflag_t)CREAD;
	t.c_oflag &= ~(tcflag_t)OPOST;
	(void)!tcsetattr(fd, TCSANOW, &t);
}

int sink_open(struct sink *ret, sd_event *event, int fd, bool raw, sink_ready_fn *ready, void *userdata, struct err *e)
{
	int r;

	*ret = (struct sink)SINK_NONE;
	if (!isatty(fd))
		return 0;
	if (fcntl(fd, F_SETFL, O_NONBLOCK))
		return err_set(e, -errno, "write to a terminal without waiting for it: %m");
	r = sd_event_add_io(event, &ret->source, fd, EPOLLOUT, on_writable, ret);
	if (r < 0)
		return err_set(e, r, "wait for a terminal: %s", strerror(-r));
	sd_event_source_set_enabled(ret->source, SD_EVENT_OFF);
	ret->fd = fd;
	ret->ready = ready;
	ret->userdata = userdata;
	if (raw)
		raw_set(fd);
	return 0;
}

void sink_close(struct sink *s)
{
	sd_event_source_disable_unref(s->source);
	buf_deinit(&s->waiting);
	*s = (struct sink)SINK_NONE;
}

bool sink_is_open(const struct sink *s)
{
	return s->fd >= 0;
}

bool sink_is_busy(const struct sink *s)
{
	return s->waiting.len;
}

void sink_write(struct sink *s, struct buf *b)
{
	if (sink_is_open(s) && !buf_check(b)) {
		buf_add(&s->waiting, buf_str(b));
		flush(s);
	}
	buf_deinit(b);
}
