/* names NETWORK -- answers for names in a private network: enters its namespace as root, shuts itself in as uid 907 without capabilities, and becomes
 * dnsmasq, which talks with machines that are strangers. */
#include "base/file.h"
#include "base/log.h"
#include "network/names.h"
#include "network/network.h"
#include "sys/become.h"
#include "sys/sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>

#define PROGRAM "/usr/sbin/dnsmasq"
enum { UID_NAMES = 907, ID_LEN = WORK_ID_LEN };

struct place {
	char netns[96], conf[96], hosts[96];
};

/* Where the node has put what belongs to ID. */
static int place_find(const char *id, struct place *ret, struct err *e)
{
	AUTO_BUF struct buf bridge = { 0 };
	uint8_t ignored[ID_LEN / 2];
	char path[96];
	int r;

	if (parse_hex(str_c(id), ignored, sizeof(ignored)))
		return err_set(e, -EINVAL, "'%.40s' is no network", id);
	snprintf(path, sizeof(path), NETWORK_DIR "/%s/bridge", id);
	if ((r = file_read(AT_FDCWD, path, 4096, &bridge, e)))
		return r;
	if (bridge.len < ID_LEN || parse_hex((struct str){ bridge.p, ID_LEN }, ignored, sizeof(ignored)))
		return err_set(e, -EBADMSG, "%s does not say whose it is", path);
	snprintf(ret->netns, sizeof(ret->netns), NETWORK_DIR "/%s/netns", id);
	snprintf(ret->conf, sizeof(ret->conf), NAMES_DIR "/%s.conf", id);
	snprintf(ret->hosts, sizeof(ret->hosts), NAMES_DIR "/%.16s", bridge.p);
	return 0;
}

static int enter(const char *netns, struct err *e)
{
	AUTO_FD int fd = open(netns, O_RDONLY | O_CLOEXEC);

	return fd < 0 || setns(fd, CLONE_NEWNET) ? err_set(e, -errno, "enter the network namespace %s: %m", netns) : 0;
}

static int shut_in(const struct place *p, struct err *e)
{
	const struct sandbox box = {
		.paths = { { "/usr", SANDBOX_READ | SANDBOX_EXEC },
			   { "/dev/null", SANDBOX_READ | SANDBOX_WRITE },
			   { "/dev/urandom", SANDBOX_READ },
			   { p->conf, SANDBOX_READ },
			   { p->hosts, SANDBOX_READ } },
		.any_connect = true,
		.bind = { 53 },
		.calls = SANDBOX_CALLS_FILES | SANDBOX_CALLS_NET | SANDBOX_CALLS_SPAWN,
	};
	int r = become(UID_NAMES, UID_NAMES, e);

	return r ? r : sandbox_enter(&box, e);
}

int main(int argc, char **argv)
{
	static const char *const env[] = { NULL };
	struct place place;
	struct err e = { 0 };
	char conf[128];
	const char *const args[] = { PROGRAM, conf, NULL };

	log_init("names", getenv("ZOS_DEBUG") != NULL);
	signal(SIGHUP, SIG_IGN); /* until dnsmasq hears it: it reads what there is when it starts */
	if (argc != 2)
		err_set(&e, -EINVAL, "which network?");
	else if (!place_find(argv[1], &place, &e) && !enter(place.netns, &e) && !shut_in(&place, &e)) {
		snprintf(conf, sizeof(conf), "--conf-file=%s", place.conf);
		execve(PROGRAM, (char **)args, (char **)env);
		err_set(&e, -errno, "run " PROGRAM ": %m");
	}
	log_err("%s", e.msg);
	return EXIT_FAILURE;
}
