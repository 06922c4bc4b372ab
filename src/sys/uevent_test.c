/* What is in an event is found by its whole name; the kernel's events are heard, and nobody else's are believed. */
#include "sys/uevent.h"

#include "test/t.h"

#include <linux/netlink.h>
#include <sys/socket.h>

static void values_are_found(void)
{
	static struct uevent u = { .text = "add@/devices/a\0ACTION=add\0SUBSYSTEM=block\0DEVNAME=sda\0EMPTY=\0X" };
	static const struct {
		const char *name, *value;
	} rows[] = { { "SUBSYSTEM", "block" }, { "DEVNAME", "sda" }, { "EMPTY", "" },           { "SYSTEM", NULL },
		     { "SUB", NULL },          { "X", NULL },        { "add@/devices/a", NULL } };

	u.len = sizeof("add@/devices/a\0ACTION=add\0SUBSYSTEM=block\0DEVNAME=sda\0EMPTY=\0X") - 1;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *got = uevent_get(&u, rows[i].name);

		T_CHECK(rows[i].value ? got && !strcmp(got, rows[i].value) : !got, "%s: '%s'", rows[i].name, got ? got : "none");
	}
}

static void strangers_are_not_believed(void)
{
	static const char forged[] = "add@/devices/forged\0SUBSYSTEM=block";
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	AUTO_FD int fd = -1;
	AUTO_FD int sender = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	static struct uevent u;
	struct err e = { 0 };

	T_NEED(!uevent_open(SOCK_NONBLOCK, &fd, &e), "%s", e.msg);
	T_CHECK(uevent_read(fd, &u) == UEVENT_NONE, "nothing was said");
	if (sender >= 0 && sendto(sender, forged, sizeof(forged), 0, (struct sockaddr *)&to, sizeof(to)) > 0)
		T_CHECK(uevent_read(fd, &u) == UEVENT_NONE, "believed '%s'", u.text);
}

int main(void)
{
	T_RUN(values_are_found);
	T_RUN(strangers_are_not_believed);
	return T_END();
}
