/* guest-init -- PID 1 of a virtual machine that a node made from an image. It asks the runner what to run, makes the root, runs it, says
 * how that ended, and switches the machine off. README.md. */
#include "base/file.h"
#include "guest/channel.h"
#include "guest/program.h"
#include "guest/root.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/reboot.h>
#include <sys/stat.h>

static int machine_run(struct program_ports *ports, struct err *e)
{
	static struct buf room; /* the configuration lives as long as the machine */
	struct guest_config c;
	int r;

	if ((r = root_early(e)) || (r = channel_open(GUEST_PORT_CONTROL, O_RDWR, &ports->control, e)) ||
	    (r = channel_open(GUEST_PORT_OUT, O_WRONLY | O_NONBLOCK, &ports->out, e)) ||
	    (r = channel_open(GUEST_PORT_ERR, O_WRONLY | O_NONBLOCK, &ports->err, e)) || (r = sessions_open(ports->sessions, e)) ||
	    (r = channel_config(ports->control, &room, &c, e)) || (r = root_enter(&c, e)) || (r = root_mount(&c, e)) || (r = root_dress(&c, e)))
		return r;
	return program_run(&c, ports, e);
}

int main(void)
{
	struct sessions sessions = SESSIONS_NONE;
	struct program_ports ports = { -1, -1, -1, &sessions };
	struct err e = { 0 };
	int r;

	umask(022);
	signal(SIGPIPE, SIG_IGN);
	r = machine_run(&ports, &e);
	if (r < 0) {
		fprintf(stderr, "guest-init: %s\n", e.msg); /* the console: the runner keeps its last lines */
		channel_failed(ports.control, e.msg);
	} else {
		channel_exit(ports.control, (unsigned)r, r == 128 + SIGKILL && file_count("/proc/vmstat", "oom_kill"));
	}
	sync();
	reboot(RB_POWER_OFF);
	return 1;
}
