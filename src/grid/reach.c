#include "grid/reach.h"

#include "grid/certificate.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct look {
	struct hub_addr hub;
	char host[256], port[8];
	int fd; /* the answer goes here */
};

/* 0, or the errno of the attempt. */
static int try_address(const struct addrinfo *a, int *ret_fd)
{
	AUTO_FD int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int error = 0;
	socklen_t n = sizeof(error);

	if (fd < 0)
		return errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen)) {
		if (errno != EINPROGRESS)
			return errno;
		if (poll(&p, 1, REACH_CONNECT_MS) != 1)
			return ETIMEDOUT;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n))
			return errno;
	}
	if (!error)
		*ret_fd = take_fd(fd);
	return error;
}

/* The port takes connections: what about its certificate? */
static void look_tls(const struct look *l, int fd, char why[static REACH_WHY_MAX])
{
	struct timeval limit = { .tv_sec = REACH_CONNECT_MS / 1000 };

	if (fcntl(fd, F_SETFL, 0) || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)))
		return;
	certificate_look(fd, l->host, &l->hub, why, REACH_WHY_MAX);
}

static void why_write(const struct look *l, int error, char ret[static REACH_WHY_MAX])
{
	ret[0] = '\0';
	if (error == ECONNREFUSED)
		snprintf(ret, REACH_WHY_MAX, "no hub runs at %.80s, port %s", l->host, l->port);
	else if (error == ETIMEDOUT)
		snprintf(ret, REACH_WHY_MAX, "the hub at %.80s does not answer", l->host);
	else if (error)
		snprintf(ret, REACH_WHY_MAX, "no way to the hub at %.80s: %s", l->host, strerror(error));
}

static void look(const struct look *l, char why[static REACH_WHY_MAX])
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all = NULL;
	int r = getaddrinfo(l->host, l->port, &hints, &all), error = r ? 0 : ENOENT;
	AUTO_FD int fd = -1;

	if (r)
		snprintf(why, REACH_WHY_MAX, "the hub's name %.80s does not resolve: %s", l->host, gai_strerror(r));
	for (const struct addrinfo *a = all; a && error; a = a->ai_next)
		error = try_address(a, &fd);
	if (!r) {
		why_write(l, error, why);
		freeaddrinfo(all);
	}
	if (fd >= 0 && !strncmp(l->hub.url, "tls://", 6))
		look_tls(l, fd, why);
}

static void *look_run(void *userdata)
{
	struct look *l = userdata;
	char why[REACH_WHY_MAX] = "";

	look(l, why);
	(void)!write(l->fd, why, strlen(why));
	close(l->fd);
	free(l);
	return NULL;
}

static void again(struct reach *r, uint64_t in_ms)
{
	sd_event_source_set_time_relative(r->timer, in_ms * 1000);
	sd_event_source_set_enabled(r->timer, SD_EVENT_ONESHOT);
}

static int on_answer(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct reach *r = userdata;
	char why[REACH_WHY_MAX];
	ssize_t n = read(fd, why, sizeof(why) - 1);

	(void)source;
	(void)events;
	why[n > 0 ? n : 0] = '\0';
	r->answer = sd_event_source_disable_unref(r->answer);
	again(r, REACH_AGAIN_MS);
	r->fn(r->userdata, why);
	return 0;
}

static int look_start(struct reach *r, struct look *l)
{
	AUTO_FD int read_fd = -1;
	int fds[2];
	pthread_t thread;

	if (hub_url_parse(r->hub->url, l->host, l->port) || pipe2(fds, O_CLOEXEC))
		return -EINVAL;
	read_fd = fds[0];
	l->fd = fds[1];
	if (sd_event_add_io(r->event, &r->answer, read_fd, EPOLLIN, on_answer, r) < 0 || pthread_create(&thread, NULL, look_run, l)) {
		r->answer = sd_event_source_disable_unref(r->answer);
		close(l->fd);
		return -EAGAIN;
	}
	pthread_detach(thread); /* a name server may keep it longer than this process wants to wait for its own end */
	sd_event_source_set_io_fd_own(r->answer, true);
	(void)take_fd(read_fd);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct reach *r = userdata;
	struct look *l = calloc(1, sizeof(*l));

	(void)source;
	(void)usec;
	BUG_ON(!l);
	l->hub = *r->hub;
	if (look_start(r, l)) {
		free(l);
		again(r, REACH_AGAIN_MS);
	}
	return 0;
}

int reach_init(struct reach *ret, sd_event *event, const struct hub_addr *hub, reach_fn *fn, void *userdata, struct err *e)
{
	int r;

	*ret = (struct reach){ .event = event, .hub = hub, .fn = fn, .userdata = userdata };
	if ((r = sd_event_add_time(event, &ret->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timer, ret)) < 0)
		return err_set(e, r, "make a timer: %s", strerror(-r));
	sd_event_source_set_enabled(ret->timer, SD_EVENT_OFF);
	return 0;
}

void reach_deinit(struct reach *r)
{
	sd_event_source_disable_unref(r->timer);
	sd_event_source_disable_unref(r->answer);
	*r = (struct reach){ 0 };
}

void reach_start(struct reach *r)
{
	int enabled = SD_EVENT_OFF;

	if (!r->answer && sd_event_source_get_enabled(r->timer, &enabled) >= 0 && enabled == SD_EVENT_OFF)
		again(r, REACH_FIRST_MS);
}

void reach_stop(struct reach *r)
{
	sd_event_source_set_enabled(r->timer, SD_EVENT_OFF);
	r->answer = sd_event_source_disable_unref(r->answer);
}
