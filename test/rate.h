/* For tests: how fast bytes get from one network namespace to another. */
#pragma once
#include "sys/netns.h"
#include "test/t.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

enum { RATE_PORT = 5001, RATE_PIECE = 65536, RATE_PATIENCE_MS = 30000 };

struct rate_end {
	uint32_t to; /* where the connection goes; host byte order */
	int fd;
};

static struct sockaddr_in rate_address(uint32_t at)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(RATE_PORT), .sin_addr.s_addr = htonl(at) };
}

static int rate_listen(void *ctx, struct err *e)
{
	struct rate_end *end = ctx;
	struct sockaddr_in any = rate_address(INADDR_ANY);

	(void)e;
	end->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	T_NEED(end->fd >= 0 && !setsockopt(end->fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) &&
		       !bind(end->fd, (struct sockaddr *)&any, sizeof(any)) && !listen(end->fd, 1),
	       "listen: %m");
	return 0;
}

static int rate_connect(void *ctx, struct err *e)
{
	struct rate_end *end = ctx;
	struct sockaddr_in to = rate_address(end->to);

	(void)e;
	end->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	T_NEED(end->fd >= 0 && !connect(end->fd, (struct sockaddr *)&to, sizeof(to)), "connect: %m");
	return 0;
}

static uint64_t rate_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* N bytes written to OUT are read from IN. */
static void rate_move(int out, int in, size_t n)
{
	static char piece[RATE_PIECE];
	size_t sent = 0, got = 0;

	T_NEED(!fcntl(out, F_SETFL, O_NONBLOCK) && !fcntl(in, F_SETFL, O_NONBLOCK), "fcntl: %m");
	while (got < n) {
		struct pollfd wait[2] = { { .fd = in, .events = POLLIN }, { .fd = sent < n ? out : -1, .events = POLLOUT } };
		ssize_t k;

		T_NEED(poll(wait, 2, RATE_PATIENCE_MS) > 0, "nothing moves after %zu bytes", got);
		if (wait[1].revents && (k = send(out, piece, n - sent < sizeof(piece) ? n - sent : sizeof(piece), MSG_NOSIGNAL)) > 0)
			sent += (size_t)k;
		if (wait[0].revents && (k = recv(in, piece, sizeof(piece), 0)) > 0)
			got += (size_t)k;
	}
}

/* Bytes a second of a new TCP connection from the namespace FROM (a path) to the address TO in the namespace THERE, as it carries N bytes; UP: they go the
 * way of the connection, else back. */
static uint64_t rate_of(const char *from, const char *there, uint32_t to, bool up, size_t n)
{
	struct rate_end listener = { .fd = -1 }, out = { .to = to, .fd = -1 };
	struct err e = { 0 };
	uint64_t begun;
	int in;

	T_NEED(!netns_run(there, rate_listen, &listener, &e) && !netns_run(from, rate_connect, &out, &e), "%s", e.msg);
	in = accept(listener.fd, NULL, NULL);
	T_NEED(in >= 0, "accept: %m");
	begun = rate_now_us();
	rate_move(up ? out.fd : in, up ? in : out.fd, n);
	begun = rate_now_us() - begun;
	close(in);
	close(out.fd);
	close(listener.fd);
	return n * 1000000 / (begun ? begun : 1);
}
