/* cards -- brings the network up, once the packet filter stands: cards, and what the boot configuration makes of them (doc/boot.md, Uplinks).
 *
 * Without such words each card there is comes up, dhcpcd is told to ask on all of them, and this program ends. With some it makes what they name, tells dhcpcd which of that is
 * its business, and stays, for cards that come later. Words that are in doubt are refused as a whole: then no card comes up, and the reason is said again and again
 * where whoever can help stands, before the screen. */
#include "base/file.h"
#include "base/log.h"
#include "init/cabler.h"
#include "init/tell.h"
#include "sys/netlink.h"
#include "sys/resolv.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdio.h>

#define NET "/sys/class/net"
#define DHCPCD_CONF "/run/zos/dhcpcd.conf"
#define CREDENTIAL "/run/boot/credentials/uplink.cred"
#define FALLBACK "boot.fallback"
enum { PATIENCE_MS = 10000, AGAIN_MS = 600000 }; /* for a card that is named; for a warning that stays true */
static const struct str name_of_card = S("eth"); /* the kernel's own for network cards */

/* The command line's word, and where it has none that of the medium: whoever stands at the loader can set right what is on a medium. */
static int words_read(struct cabling *ret, struct err *e)
{
	AUTO_BUF struct buf line = { 0 }, file = { 0 };
	int r = file_read(AT_FDCWD, "/proc/cmdline", CABLING_TEXT_MAX, &line, e);

	if (!r)
		r = cabling_read(ret, buf_str(&line), true, e);
	if (r)
		return err_wrap(e, r, "the kernel command line");
	if (!cabling_is_empty(ret) || access(CREDENTIAL, F_OK))
		return 0;
	r = file_read(AT_FDCWD, CREDENTIAL, CABLING_TEXT_MAX, &file, e);
	if (!r)
		r = cabling_read(ret, buf_str(&file), false, e);
	return r ? err_wrap(e, r, "uplink.cred of the boot medium") : 0;
}

/* What dhcpcd and whoever looks for names shall know. */
static int others_tell(const struct cabling *c, bool is_refused, struct err *e)
{
	AUTO_BUF struct buf conf = { 0 }, names = { 0 };
	int r;

	if (is_refused)
		buf_add(&conf, S("allowinterfaces none\n"));
	else
		cabling_dhcpcd(c, &conf);
	cabling_servers(c->servers, c->n_servers, &names);
	r = file_save(AT_FDCWD, DHCPCD_CONF, buf_str(&conf), 0644, e);
	return r || !names.len ? r : resolv_put(RESOLV_SOURCES, RESOLV_CONF, FALLBACK, buf_str(&names), e);
}

static int all_up(int netlink, struct err *e)
{
	AUTO_DIR DIR *dir = opendir(NET);
	const struct dirent *d;

	if (!dir)
		return err_set(e, -errno, "look for network cards: %m");
	while ((d = readdir(dir)))
		if (str_starts(str_c(d->d_name), name_of_card)) {
			if (netlink_up(netlink, d->d_name, e))
				log_warn("%s", e->msg);
			else
				cabler_look(d->d_name);
		}
	return 0;
}

[[noreturn]] static void refuse(const char *why)
{
	char text[128];

	snprintf(text, sizeof(text), "READY=1\nSTATUS=no network: the boot configuration of the uplinks is refused");
	init_tell(text);
	for (;;) {
		log_err("no network card is used, because the boot configuration of the uplinks is not clear: %s", why);
		(void)!poll(NULL, 0, AGAIN_MS);
	}
}

/* For good. */
static int follow(struct cabler *c, int watch, struct err *e)
{
	struct pollfd fd = { .fd = watch, .events = POLLIN };
	bool is_told = cabler_step(c);

	init_tell("READY=1");
	for (;;) {
		int n = poll(&fd, 1, is_told ? -1 : PATIENCE_MS);

		if (n < 0 && errno != EINTR)
			return err_set(e, -errno, "wait for network cards: %m");
		netlink_drain(watch);
		is_told |= cabler_step(c) > 0;
		if (!n && !is_told) {
			log_err("no network card of this machine is one that the boot configuration of the uplinks names: compare its names and MACs");
			is_told = true;
		}
	}
}

static int run(struct err *e)
{
	static const struct supervisor supervisor = SUPERVISOR_DEFAULT;
	static struct cabler c = { .supervisor = &supervisor, .sources = RESOLV_SOURCES, .resolv_conf = RESOLV_CONF };
	struct err why = { 0 };
	bool is_refused = words_read(&c.cabling, &why);
	AUTO_FD int netlink = -1, watch = -1;
	int r = others_tell(&c.cabling, is_refused, e);

	if (!r && is_refused)
		refuse(why.msg);
	if (r || (r = netlink_open(&netlink, e)) || (r = netlink_watch(RTMGRP_LINK, &watch, e)))
		return r;
	c.netlink = netlink;
	if (c.cabling.n_uplinks)
		return follow(&c, watch, e);
	r = all_up(netlink, e);
	if (!r)
		init_tell("READY=1");
	return r;
}

int main(void)
{
	struct err e = { 0 };

	log_init("cards", getenv("ZOS_DEBUG") != NULL);
	if (!run(&e))
		return EXIT_SUCCESS;
	log_err("%s", e.msg);
	return EXIT_FAILURE;
}
