#include "sys/uevent.h"

#include <linux/netlink.h>
#include <sys/socket.h>

enum { RECEIVE_BYTES = 1 << 20 };

int uevent_open(int flags, int *ret_fd, struct err *e)
{
	struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_groups = 1 }; /* the kernel's own */
	int size = RECEIVE_BYTES;
	AUTO_FD int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | flags, NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)))
		return err_set(e, -errno, "listen to the kernel's uevents: %m");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)); /* it works with less */
	*ret_fd = take_fd(fd);
	return 0;
}

int uevent_read(int fd, struct uevent *ret)
{
	struct sockaddr_nl from = { 0 };
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(fd, ret->text, UEVENT_MAX, 0, (struct sockaddr *)&from, &len);

	if (n < 0 && errno == ENOBUFS)
		return UEVENT_LOST;
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	if (n <= 0 || from.nl_pid) /* port 0 is the kernel */
		return UEVENT_NONE;
	ret->len = (size_t)n;
	ret->text[n] = '\0';
	return 0;
}

const char *uevent_get(const struct uevent *u, const char *name)
{
	size_t n = strlen(name);

	for (size_t at = 0; at < u->len; at += strlen(u->text + at) + 1)
		if (!strncmp(u->text + at, name, n) && u->text[at + n] == '=')
			return u->text + at + n + 1;
	return NULL;
}
