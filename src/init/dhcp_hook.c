/* What dhcpcd runs at every change: keeps the name servers of each lease (sys/resolv.h), and its time servers for the service `clock`.
 *
 * dhcpcd tells by environment variables (dhcpcd-run-hooks(8)). One file a lease, INTERFACE.PROTOCOL, so that the end of
 * one lease leaves the others' servers in place. The texts come from the network: only addresses pass. */
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "init/servers.h"
#include "sys/resolv.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#define CLOCK "/run/zos/clock" /* clock.c */
#define NOTIFY_SOCKET "/run/init.notify" /* dhcpcd hands its own environment on to nobody */
enum { TOLD_MS = 5000 };

static const struct {
	const char *protocol, *variable, *time, *address;
} sources[] = {
	{ "dhcp", "new_domain_name_servers", "new_ntp_servers", "new_ip_address" },
	{ "dhcp6", "new_dhcp6_name_servers", NULL, "new_dhcp6_ia_na1_ia_addr1" },
	{ "ra", "nd1_rdnss1_servers", NULL, "nd1_addr1" },
};

static const struct {
	const char *reason, *protocol;
	bool is_lease;
} reasons[] = {
	{ "BOUND", "dhcp", true },      { "RENEW", "dhcp", true },     { "REBIND", "dhcp", true },     { "REBOOT", "dhcp", true },
	{ "INFORM", "dhcp", true },     { "EXPIRE", "dhcp", false },   { "FAIL", "dhcp", false },      { "NAK", "dhcp", false },
	{ "RELEASE", "dhcp", false },   { "STOP", "dhcp", false },     { "BOUND6", "dhcp6", true },    { "RENEW6", "dhcp6", true },
	{ "REBIND6", "dhcp6", true },   { "REBOOT6", "dhcp6", true },  { "INFORM6", "dhcp6", true },   { "EXPIRE6", "dhcp6", false },
	{ "RELEASE6", "dhcp6", false }, { "STOP6", "dhcp6", false },   { "ROUTERADVERT", "ra", true }, { "STOPPED", "dhcp", false },
	{ "NOCARRIER", "dhcp", false }, { "DEPARTED", "dhcp", false },
};

/* What the lease says of the time, or nothing any more. */
static int times_put(const char *interface, const char *protocol, struct str text, struct err *e)
{
	char path[64 + IF_NAMESIZE];

	snprintf(path, sizeof(path), CLOCK "/%s.%s", interface, protocol);
	if (!text.n)
		return unlink(path) && errno != ENOENT ? err_set(e, -errno, "remove %s: %m", path) : 0;
	return file_save(AT_FDCWD, path, text, 0644, e);
}

static int lease_save(const char *interface, const char *protocol, bool is_lease, struct err *e)
{
	AUTO_BUF struct buf names = { .limit = RESOLV_SOURCE_MAX_BYTES }, times = { .limit = RESOLV_SOURCE_MAX_BYTES };
	char source[RESOLV_NAME_SIZE];
	int r;

	for (size_t i = 0; is_lease && i < ARRAY_LEN(sources); i++)
		if (!strcmp(sources[i].protocol, protocol)) {
			servers_add(&names, "nameserver", "", getenv(sources[i].variable), interface);
			servers_add(&times, "server", " iburst", sources[i].time ? getenv(sources[i].time) : NULL, interface);
		}
	snprintf(source, sizeof(source), "%s.%s", interface, protocol);
	r = resolv_put(RESOLV_SOURCES, RESOLV_CONF, source, buf_str(&names), e);
	return r ? r : times_put(interface, protocol, buf_str(&times), e);
}

/* Sends TEXT and one end of a pipe, and waits until init has closed it: init asks /proc whose process the sender is. */
static int init_tell(int fd, const char *text, size_t n)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = NOTIFY_SOCKET };
	alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (char *)text, n };
	struct msghdr m = {
		.msg_name = &at, .msg_namelen = sizeof(at), .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	AUTO_FD int ours = ends[0];
	AUTO_FD int theirs = ends[1];
	*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(c), &theirs, sizeof(theirs));
	if (sendmsg(fd, &m, MSG_NOSIGNAL) < 0)
		return -errno;
	close(take_fd(theirs));
	return poll(&(struct pollfd){ .fd = ours }, 1, TOLD_MS) == 1 ? 0 : -ETIMEDOUT;
}

static void lease_tell(const char *interface, const char *protocol)
{
	AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const char *address = NULL;
	char text[128];
	int n, r;

	for (size_t i = 0; i < ARRAY_LEN(sources); i++)
		if (!strcmp(sources[i].protocol, protocol))
			address = getenv(sources[i].address);
	if (fd < 0 || !address)
		return;
	n = snprintf(text, sizeof(text), "READY=1\nSTATUS=%s has %.60s", interface, address);
	if ((r = init_tell(fd, text, (size_t)n)))
		log_warn("cannot tell of a lease: %s", strerror(-r));
}

int main(void)
{
	const char *reason = getenv("reason"), *interface = getenv("interface");
	struct err e;

	log_init("dhcp", false);
	if (!reason || !interface || strlen(interface) >= IF_NAMESIZE || strchr(interface, '/') || interface[0] == '.')
		return EXIT_SUCCESS; /* dhcpcd asks its hook other things too */
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		if (strcmp(reasons[i].reason, reason))
			continue;
		if (lease_save(interface, reasons[i].protocol, reasons[i].is_lease, &e)) {
			log_err("%s", e.msg);
			return EXIT_FAILURE;
		}
		if (reasons[i].is_lease)
			lease_tell(interface, reasons[i].protocol);
	}
	return EXIT_SUCCESS;
}
