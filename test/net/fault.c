/* fault CONTROL PROGRAM [ARG...] -- runs PROGRAM on a disk that can be told to give errors. CONTROL holds two words of 4 bytes, which may change
 * at any time: the number of a system call, and the errno with which each such call ends from then on (0: it is carried out).
 *
 * The kernel asks a process beside it (seccomp's user notification) about each call that touches data files; PROGRAM is as it is. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct control {
	uint32_t call, error;
};

#define WATCH(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)

static struct sock_filter filter[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	WATCH(SYS_fdatasync),
	WATCH(SYS_fsync),
	WATCH(SYS_pwritev),
	WATCH(SYS_pwrite64),
	WATCH(SYS_pread64),
	WATCH(SYS_fallocate),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

[[noreturn]] static void die(const char *what)
{
	fprintf(stderr, "fault: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void answer(int listener, const volatile struct control *c)
{
	struct seccomp_notif call = { 0 };
	struct seccomp_notif_resp resp = { 0 };

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call))
		return; /* it was killed meanwhile */
	resp.id = call.id;
	if (c->error && (uint32_t)call.data.nr == c->call)
		resp.error = -(int)c->error;
	else
		resp.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	(void)!ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

static int fd_take(int from)
{
	char room[CMSG_SPACE(sizeof(int))], byte;
	struct iovec part = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
	int fd;

	if (recvmsg(from, &msg, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&msg))
		_exit(1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static void fd_give(int to, int fd)
{
	char room[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec part = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

	*head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	if (sendmsg(to, &msg, 0) != 1)
		die("hand on the listener");
}

/* Until the program is gone. Its streams are not held open by this. */
[[noreturn]] static void look_after(int from, const volatile struct control *c)
{
	struct pollfd p = { .events = POLLIN };

	for (int fd = 0; fd <= 2; fd++)
		close(fd);
	p.fd = fd_take(from);
	while (poll(&p, 1, -1) >= 0 && !(p.revents & POLLHUP))
		answer(p.fd, c);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };
	const volatile struct control *c;
	int pair[2], fd, listener;

	if (argc < 3)
		return 2;
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	c = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*c), PROT_READ, MAP_SHARED, fd, 0);
	if (c == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		die(argv[1]);
	switch (fork()) {
	case -1:
		die("fork");
	case 0:
		close(pair[0]);
		look_after(pair[1], c);
	}
	close(pair[1]);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("no new privileges");
	listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (listener < 0)
		die("watch system calls");
	fd_give(pair[0], listener);
	close(listener);
	execv(argv[2], argv + 2);
	die(argv[2]);
}
