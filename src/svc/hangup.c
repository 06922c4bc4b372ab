#include "svc/hangup.h"

#include "svc/daemon.h"

#include <sys/epoll.h>
#include <sys/socket.h>

struct hangup {
	int fd;
	sd_event_source *io, *timer;
};

static void hangup_end(struct hangup *h)
{
	source_unrefp(&h->io);
	source_unrefp(&h->timer);
	fd_close(&h->fd);
	free(h);
}

static int on_bytes(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	char dropped[16384];
	ssize_t n = recv(fd, dropped, sizeof(dropped), MSG_DONTWAIT);

	(void)s;
	(void)events;
	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		hangup_end(userdata);
	return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s;
	(void)usec;
	hangup_end(userdata);
	return 0;
}

void hangup_begin(sd_event *event, int fd)
{
	struct hangup *h = calloc(1, sizeof(*h));

	BUG_ON(!h);
	h->fd = fd;
	shutdown(fd, SHUT_WR);
	if (sd_event_add_io(event, &h->io, fd, EPOLLIN, on_bytes, h) < 0 ||
	    sd_event_add_time_relative(event, &h->timer, CLOCK_MONOTONIC, HANGUP_S * 1000000ull, 1000000, on_timer, h) < 0)
		hangup_end(h);
}
