/* cards -- brings the network cards up, once the packet filter stands, and ends; addresses are dhcpcd's business.
 *
 * The kernel tells of a carrier at most once a second (net/core/link_watch.c), and the card's appearance has used that up: dhcpcd,
 * bringing the card up itself, would wait for most of a second. Whoever reads the carrier from /sys makes the kernel look at once
 * (since Linux 6.8). */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define NET "/sys/class/net"
static const struct str name_of_card = S("eth"); /* the kernel's own for network cards */

static void card_up(int fd, const char *name)
{
	struct ifreq req = { .ifr_flags = IFF_UP };
	char path[sizeof(NET "//carrier") + IF_NAMESIZE], carrier;

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (ioctl(fd, SIOCSIFFLAGS, &req)) {
		log_warn("cannot bring %s up: %m", name);
		return;
	}
	snprintf(path, sizeof(path), NET "/%.15s/carrier", name);
	AUTO_FD int look = open(path, O_RDONLY | O_CLOEXEC);
	if (look < 0 || read(look, &carrier, 1) != 1)
		log_warn("cannot see whether %s has a carrier: %m", name);
}

int main(void)
{
	AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	AUTO_DIR DIR *dir = opendir(NET);
	const struct dirent *d;

	log_init("cards", getenv("ZOS_DEBUG") != NULL);
	if (fd < 0 || !dir) {
		log_err("cannot look for network cards: %m");
		return EXIT_FAILURE;
	}
	while ((d = readdir(dir)))
		if (str_starts(str_c(d->d_name), name_of_card))
			card_up(fd, d->d_name);
	return EXIT_SUCCESS;
}
