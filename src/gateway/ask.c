#include "gateway/ask.h"

#include "base/buf.h"
#include "gateway/cert.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

struct ask {
	sd_event_source *io, *timer;
	struct buf out, in;
	size_t sent;
	int fd;
	void (*answered)(void *ctx, struct str answer, int r, const struct err *e);
	void *ctx;
};

void ask_drop(struct ask *a)
{
	if (!a)
		return;
	sd_event_source_disable_unref(a->io);
	sd_event_source_disable_unref(a->timer);
	fd_close(&a->fd);
	buf_wipe(&a->out); /* keys may have been told */
	buf_deinit(&a->in);
	free(a);
}

/* R: 0, or what went wrong. */
static int ask_end(struct ask *a, int r)
{
	struct err e = { 0 };

	if (r)
		err_set(&e, r, "ask HAProxy: %s", strerror(-r));
	a->answered(a->ctx, buf_str(&a->in), r, &e);
	ask_drop(a);
	return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	return ask_end(userdata, -ETIMEDOUT);
}

static int send_more(struct ask *a)
{
	ssize_t n = send(a->fd, a->out.p + a->sent, a->out.len - a->sent, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	a->sent += (size_t)n;
	return a->sent < a->out.len ? 0 : sd_event_source_set_io_events(a->io, EPOLLIN);
}

/* 1: that was all. */
static int receive_more(struct ask *a)
{
	char bytes[16384];
	ssize_t n = recv(a->fd, bytes, sizeof(bytes), 0);

	if (n <= 0)
		return !n ? 1 : errno == EAGAIN ? 0 : -errno;
	buf_add(&a->in, (struct str){ bytes, (size_t)n });
	return buf_check(&a->in) ? -EFBIG : 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct ask *a = userdata;
	int r = 0;

	(void)source;
	(void)fd;
	if (a->sent < a->out.len && (events & (EPOLLOUT | EPOLLERR)))
		r = send_more(a);
	if (r >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		r = receive_more(a);
	return r ? ask_end(a, r < 0 ? r : 0) : 0;
}

static int ask_connect(struct ask *a, const char *socket_path, struct err *e)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	BUG_ON((size_t)snprintf(at.sun_path, sizeof(at.sun_path), "%s", socket_path) >= sizeof(at.sun_path));
	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->fd < 0 || connect(a->fd, (struct sockaddr *)&at, sizeof(at)))
		return err_set(e, -errno, "reach HAProxy: %m");
	return 0;
}

int ask_start(struct ask **ret, sd_event *event, const char *socket, struct str text,
	      void (*answered)(void *ctx, struct str answer, int r, const struct err *e), void *ctx, struct err *e)
{
	struct ask *a = calloc(1, sizeof(*a));
	int r;

	BUG_ON(!a);
	*a = (struct ask){ .fd = -1, .in.limit = ASK_ANSWER_MAX, .answered = answered, .ctx = ctx };
	buf_add(&a->out, text);
	if ((r = buf_check(&a->out)))
		err_set(e, r, "ask HAProxy: out of memory");
	if (!r && !(r = ask_connect(a, socket, e)) &&
	    ((r = sd_event_add_io(event, &a->io, a->fd, EPOLLIN | EPOLLOUT, on_io, a)) < 0 ||
	     (r = sd_event_add_time_relative(event, &a->timer, CLOCK_MONOTONIC, ASK_DEADLINE_MS * 1000ull, 0, on_deadline, a)) < 0))
		err_set(e, r, "ask HAProxy: %s", strerror(-r));
	if (r < 0) {
		ask_drop(a);
		return r;
	}
	*ret = a;
	return 0;
}
