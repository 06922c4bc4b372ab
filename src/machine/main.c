/* machine ID -- runs the machine whose spec stands in /run/zos/machines/ID/spec.json, until PID 1 says stop. */
#include "machine/runner.h"
#include "svc/daemon.h"

int main(int argc, char **argv)
{
	CLEANUP(event_unrefp) sd_event *event = NULL;
	struct runner r;
	struct err e = { 0 };
	int ret;

	if (argc != 2 || daemon_loop("machine", &event, &e))
		return argc == 2 ? daemon_failed(&e) : 2;
	ret = runner_init(&r, event, argv[1], &e);
	if (!ret)
		daemon_ready("runs");
	ret = ret ? daemon_failed(&e) : daemon_run(event);
	runner_deinit(&r);
	return ret;
}
