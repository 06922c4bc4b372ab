/* console -- draws the node's screen on descriptor 0 and writes to the serial line on descriptor 1, which init opened.
 */
#include "console/console.h"
#include "svc/daemon.h"
#include "sys/sandbox.h"

/* No path at all: it speaks to the engine's socket and to the kernel about network cards, and holds its terminals
 * already. */
static const struct sandbox console_sandbox = { .calls = SANDBOX_CALLS_NET };

int main(void)
{
	CLEANUP(event_unrefp) sd_event *event = NULL;
	struct console c = CONSOLE_NONE;
	struct err e = { 0 };
	int r = daemon_loop("console", &event, &e);

	if (!r)
		r = sandbox_enter(&console_sandbox, &e);
	if (!r)
		r = console_init(&c, event, "/run/zos/console/sock", STDIN_FILENO, STDOUT_FILENO, &e);
	if (!r)
		daemon_ready("shows how things are");
	r = r ? daemon_failed(&e) : daemon_run(event);
	console_deinit(&c);
	return r;
}
